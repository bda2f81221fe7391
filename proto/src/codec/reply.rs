//! `ServerFrame`: domain to wire and back.

use super::{
    WireError,
    field::{bytes, channel_head, fixed, ledger_head, optional, required, signed_head},
};
use crate::{
    ids::{Epoch, RequestId, UnixMillis},
    reply::{
        Code, Failure, Hello, ItemLease, Limits, Ok as OkFrame, PendingRequest, Push, Reply,
        ServerFrame, WaitingWelcome,
    },
    wire::{self, push::Body as PushBody, reply::Body, server_frame::Body as Frame},
};

impl From<ServerFrame> for wire::ServerFrame {
    fn from(frame: ServerFrame) -> Self {
        let body = match frame {
            ServerFrame::Hello(hello) => Frame::Hello(hello.into()),
            ServerFrame::Ok(ok) => Frame::Ok(wire::Ok {
                signature: bytes(&ok.signature),
                key_packages: ok.key_packages,
            }),
            ServerFrame::Refused(failure) => Frame::Refused(failure.into()),
            ServerFrame::Reply(id, result) => Frame::Reply(wire::Reply {
                id: id.0,
                body: Some(match result {
                    Ok(reply) => reply.into(),
                    Err(failure) => Body::Failure(failure.into()),
                }),
            }),
            ServerFrame::Push(push) => Frame::Push(wire::Push {
                body: Some(push.into()),
            }),
            ServerFrame::Part(part) => Frame::Part(part.into()),
        };
        Self { body: Some(body) }
    }
}

impl TryFrom<wire::ServerFrame> for ServerFrame {
    type Error = WireError;

    fn try_from(frame: wire::ServerFrame) -> Result<Self, WireError> {
        Ok(match required("body", frame.body)? {
            Frame::Hello(hello) => Self::Hello(hello.try_into()?),
            Frame::Ok(ok) => Self::Ok(OkFrame {
                signature: fixed("signature", &ok.signature)?,
                key_packages: ok.key_packages,
            }),
            Frame::Refused(failure) => Self::Refused(failure.try_into()?),
            Frame::Reply(reply) => Self::Reply(
                RequestId(reply.id),
                match required("reply", reply.body)? {
                    Body::Failure(failure) => Err(failure.try_into()?),
                    body => Ok(body.try_into()?),
                },
            ),
            Frame::Push(push) => Self::Push(required("push", push.body)?.try_into()?),
            Frame::Part(part) => Self::Part(part.into()),
        })
    }
}

impl From<Hello> for wire::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            network: bytes(&hello.network),
            server_key: bytes(&hello.server_key),
            nonce: bytes(&hello.nonce),
            limits: Some(wire::Limits {
                chat_message: hello.limits.chat_message,
                bulk_message: hello.limits.bulk_message,
                read_records: hello.limits.read_records,
                messages_per_minute: hello.limits.messages_per_minute,
                message_burst: hello.limits.message_burst,
            }),
            ledger: Some(hello.ledger.into()),
            time: hello.time.0,
        }
    }
}

impl TryFrom<wire::Hello> for Hello {
    type Error = WireError;

    fn try_from(hello: wire::Hello) -> Result<Self, WireError> {
        let limits = required("limits", hello.limits)?;
        Ok(Self {
            network: fixed("network", &hello.network)?,
            server_key: fixed("server_key", &hello.server_key)?,
            nonce: fixed("nonce", &hello.nonce)?,
            limits: Limits {
                chat_message: limits.chat_message,
                bulk_message: limits.bulk_message,
                read_records: limits.read_records,
                messages_per_minute: limits.messages_per_minute,
                message_burst: limits.message_burst,
            },
            ledger: ledger_head("ledger", hello.ledger)?,
            time: UnixMillis(hello.time),
        })
    }
}

impl From<Failure> for wire::Failure {
    fn from(failure: Failure) -> Self {
        Self {
            code: wire::Code::from(failure.code).into(),
            message: failure.message,
            retry_after_ms: failure.retry_after_ms.unwrap_or(0),
        }
    }
}

impl TryFrom<wire::Failure> for Failure {
    type Error = WireError;

    fn try_from(failure: wire::Failure) -> Result<Self, WireError> {
        Ok(Self {
            code: failure.code().try_into()?,
            retry_after_ms: (failure.retry_after_ms != 0).then_some(failure.retry_after_ms),
            message: failure.message,
        })
    }
}

macro_rules! codes {
    ($($name:ident),* $(,)?) => {
        impl From<Code> for wire::Code {
            fn from(code: Code) -> Self {
                match code { $(Code::$name => Self::$name),* }
            }
        }

        impl TryFrom<wire::Code> for Code {
            type Error = WireError;

            fn try_from(code: wire::Code) -> Result<Self, WireError> {
                match code {
                    wire::Code::Unspecified => Err(WireError::Unknown("code")),
                    $(wire::Code::$name => Ok(Self::$name)),*
                }
            }
        }
    };
}
codes!(
    Malformed,
    TooLarge,
    Unauthenticated,
    NotAllowed,
    NotFound,
    StaleEpoch,
    Conflict,
    Fenced,
    Invalid,
    RateLimited,
    Quota,
    Unavailable,
    Trimmed,
    Exists,
);

impl From<Reply> for Body {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Done => Body::Done(wire::Empty {}),
            Reply::LedgerPage { statements, head } => Body::LedgerPage(wire::LedgerPage {
                statements,
                head: Some(head.into()),
            }),
            Reply::LedgerHead(head) => Body::LedgerHead(head.into()),
            Reply::RequestState { waiting, answer } => {
                Body::RequestState(wire::RequestState { waiting, answer })
            }
            Reply::RequestList(requests) => Body::RequestList(wire::RequestList {
                requests: requests.into_iter().map(Into::into).collect(),
            }),
            Reply::SealedList(entries) => Body::SealedList(wire::SealedList {
                entries: entries
                    .into_iter()
                    .map(|(name, bytes)| wire::Sealed {
                        name: Some(name.into()),
                        bytes: bytes.unwrap_or_default(),
                    })
                    .collect(),
            }),
            Reply::Count(count) => Body::Count(wire::Count { count }),
            Reply::KeyPackageList(packages) => Body::KeyPackageList(wire::KeyPackageList {
                packages: packages
                    .into_iter()
                    .map(|(device, package)| wire::KeyPackage {
                        device: bytes(&device),
                        package: package.unwrap_or_default(),
                    })
                    .collect(),
            }),
            Reply::Appended { head, repeated } => Body::Appended(wire::Appended {
                head: Some(head.into()),
                repeated,
            }),
            Reply::Records { records, head } => Body::Records(wire::Records {
                records: records.into_iter().map(Into::into).collect(),
                head: Some(head.into()),
            }),
            Reply::GroupState {
                epoch,
                head,
                group_info,
                tree,
            } => Body::GroupState(wire::GroupState {
                epoch: epoch.0,
                head: Some(head.into()),
                group_info,
                tree,
            }),
            Reply::Heads(heads) => Body::Heads(wire::Heads {
                heads: heads
                    .into_iter()
                    .map(|(channel, head)| wire::ChannelHead {
                        channel: bytes(&channel),
                        head: Some(head.into()),
                    })
                    .collect(),
            }),
            Reply::WelcomeList(welcomes) => Body::WelcomeList(wire::WelcomeList {
                welcomes: welcomes
                    .into_iter()
                    .map(|welcome| wire::WaitingWelcome {
                        channel: bytes(&welcome.channel),
                        head: Some(welcome.head.into()),
                        bytes: welcome.bytes,
                        tree: welcome.tree,
                    })
                    .collect(),
            }),
            Reply::Token(token) => Body::Token(wire::Token { token }),
            Reply::ItemState {
                size,
                chunk,
                durable,
                committed,
            } => Body::ItemState(wire::ItemState {
                size,
                chunk,
                durable,
                committed,
            }),
            Reply::Heartbeat(signed) => Body::Heartbeat(wire::Heartbeat {
                signed: signed.unwrap_or_default(),
            }),
            Reply::ItemRange { offset, bytes } => {
                Body::ItemRange(wire::ItemRange { offset, bytes })
            }
            Reply::Head(head) => Body::Head(head.into()),
            Reply::ItemLease(lease) => Body::ItemLease(wire::ItemLease {
                keep_until: lease.keep_until.0,
                held: lease.held,
                collected: lease.collected.iter().map(bytes).collect(),
                wanted: lease.wanted,
                collectors: lease.collectors,
            }),
            Reply::ItemUsage {
                used,
                quota,
                largest,
            } => Body::ItemUsage(wire::ItemUsage {
                used,
                quota,
                largest,
            }),
            Reply::Countersigned {
                root,
                time,
                signatures,
            } => Body::Countersigned(wire::Countersigned {
                root: bytes(&root),
                time: time.0,
                signatures: signatures.iter().map(bytes).collect(),
            }),
        }
    }
}

impl TryFrom<Body> for Reply {
    type Error = WireError;

    fn try_from(body: Body) -> Result<Self, WireError> {
        Ok(match body {
            Body::Failure(_) => return Err(WireError::Unknown("reply")),
            Body::Done(_) => Self::Done,
            Body::LedgerPage(page) => Self::LedgerPage {
                statements: page.statements,
                head: ledger_head("head", page.head)?,
            },
            Body::LedgerHead(head) => Self::LedgerHead(ledger_head("head", Some(head))?),
            Body::RequestState(state) => Self::RequestState {
                waiting: state.waiting,
                answer: state.answer,
            },
            Body::RequestList(list) => Self::RequestList(
                list.requests
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            ),
            Body::SealedList(list) => Self::SealedList(
                list.entries
                    .into_iter()
                    .map(|entry| {
                        Ok((
                            required("name", entry.name)?.try_into()?,
                            optional(entry.bytes),
                        ))
                    })
                    .collect::<Result<_, WireError>>()?,
            ),
            Body::Count(count) => Self::Count(count.count),
            Body::KeyPackageList(list) => Self::KeyPackageList(
                list.packages
                    .into_iter()
                    .map(|entry| Ok((fixed("device", &entry.device)?, optional(entry.package))))
                    .collect::<Result<_, WireError>>()?,
            ),
            Body::Appended(appended) => Self::Appended {
                head: signed_head("head", appended.head)?,
                repeated: appended.repeated,
            },
            Body::Records(records) => Self::Records {
                records: records
                    .records
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
                head: signed_head("head", records.head)?,
            },
            Body::GroupState(state) => Self::GroupState {
                epoch: Epoch(state.epoch),
                head: signed_head("head", state.head)?,
                group_info: state.group_info,
                tree: state.tree,
            },
            Body::Heads(heads) => Self::Heads(
                heads
                    .heads
                    .into_iter()
                    .map(|entry| {
                        Ok((
                            fixed("channel", &entry.channel)?,
                            channel_head("head", entry.head)?,
                        ))
                    })
                    .collect::<Result<_, WireError>>()?,
            ),
            Body::WelcomeList(list) => Self::WelcomeList(
                list.welcomes
                    .into_iter()
                    .map(|welcome| {
                        Ok(WaitingWelcome {
                            channel: fixed("channel", &welcome.channel)?,
                            head: channel_head("head", welcome.head)?,
                            bytes: welcome.bytes,
                            tree: welcome.tree,
                        })
                    })
                    .collect::<Result<_, WireError>>()?,
            ),
            Body::Token(token) => Self::Token(token.token),
            Body::ItemState(state) => Self::ItemState {
                size: state.size,
                chunk: state.chunk,
                durable: state.durable,
                committed: state.committed,
            },
            Body::Heartbeat(heartbeat) => Self::Heartbeat(optional(heartbeat.signed)),
            Body::ItemRange(range) => Self::ItemRange {
                offset: range.offset,
                bytes: range.bytes,
            },
            Body::Head(head) => Self::Head(signed_head("head", Some(head))?),
            Body::ItemLease(lease) => Self::ItemLease(ItemLease {
                keep_until: UnixMillis(lease.keep_until),
                held: lease.held,
                collected: lease
                    .collected
                    .iter()
                    .map(|member| fixed("collected", member))
                    .collect::<Result<_, _>>()?,
                wanted: lease.wanted,
                collectors: lease.collectors,
            }),
            Body::ItemUsage(usage) => Self::ItemUsage {
                used: usage.used,
                quota: usage.quota,
                largest: usage.largest,
            },
            Body::Countersigned(word) => Self::Countersigned {
                root: fixed("root", &word.root)?,
                time: UnixMillis(word.time),
                signatures: word
                    .signatures
                    .iter()
                    .map(|signature| fixed("signatures", signature))
                    .collect::<Result<_, _>>()?,
            },
        })
    }
}

impl From<PendingRequest> for wire::PendingRequest {
    fn from(request: PendingRequest) -> Self {
        Self {
            invitation: bytes(&request.invitation),
            inviter: bytes(&request.inviter),
            time: request.time.0,
            sealed: request.sealed,
            share: request.share.unwrap_or_default(),
            countersignatures: request.countersignatures,
        }
    }
}

impl TryFrom<wire::PendingRequest> for PendingRequest {
    type Error = WireError;

    fn try_from(request: wire::PendingRequest) -> Result<Self, WireError> {
        Ok(Self {
            invitation: fixed("invitation", &request.invitation)?,
            inviter: fixed("inviter", &request.inviter)?,
            time: UnixMillis(request.time),
            sealed: request.sealed,
            share: Some(request.share).filter(|share| !share.is_empty()),
            countersignatures: request.countersignatures,
        })
    }
}

impl From<Push> for PushBody {
    fn from(push: Push) -> Self {
        match push {
            Push::Moved { channel, record } => PushBody::Moved(wire::Moved {
                channel: bytes(&channel),
                record: Some(record.into()),
            }),
            Push::Ledger(head) => PushBody::Ledger(head.into()),
            Push::Welcome(channel) => PushBody::Welcome(wire::ChannelOnly {
                channel: bytes(&channel),
            }),
            Push::KeyPackages(count) => PushBody::KeyPackages(wire::Count { count }),
            Push::AdmissionRequest => PushBody::AdmissionRequest(wire::Empty {}),
            Push::Roster(count) => PushBody::Roster(wire::Count { count }),
            Push::RosterWanted(device) => PushBody::RosterWanted(wire::RosterWanted {
                device: bytes(&device),
            }),
            Push::Heartbeat(signed) => PushBody::Heartbeat(wire::Heartbeat { signed }),
            Push::LinkRequest(link) => PushBody::LinkRequest(wire::LinkNews { link: bytes(&link) }),
            Push::LinkAgain(link) => PushBody::LinkAgain(wire::LinkNews { link: bytes(&link) }),
            Push::Bye {
                reason,
                retry_after_ms,
            } => PushBody::Bye(wire::Bye {
                reason,
                retry_after_ms,
            }),
        }
    }
}

impl TryFrom<PushBody> for Push {
    type Error = WireError;

    fn try_from(body: PushBody) -> Result<Self, WireError> {
        Ok(match body {
            PushBody::Moved(moved) => Self::Moved {
                channel: fixed("channel", &moved.channel)?,
                record: required("record", moved.record)?.try_into()?,
            },
            PushBody::Ledger(head) => Self::Ledger(ledger_head("ledger", Some(head))?),
            PushBody::Welcome(only) => Self::Welcome(fixed("channel", &only.channel)?),
            PushBody::KeyPackages(count) => Self::KeyPackages(count.count),
            PushBody::AdmissionRequest(_) => Self::AdmissionRequest,
            PushBody::Roster(count) => Self::Roster(count.count),
            PushBody::RosterWanted(wanted) => Self::RosterWanted(fixed("device", &wanted.device)?),
            PushBody::Heartbeat(heartbeat) => Self::Heartbeat(heartbeat.signed),
            PushBody::LinkRequest(news) => Self::LinkRequest(fixed("link", &news.link)?),
            PushBody::LinkAgain(news) => Self::LinkAgain(fixed("link", &news.link)?),
            PushBody::Bye(bye) => Self::Bye {
                reason: bye.reason,
                retry_after_ms: bye.retry_after_ms,
            },
        })
    }
}
