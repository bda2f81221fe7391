//! `ClientFrame`: domain to wire and back.

use super::{
    WireError,
    field::{bytes, fixed, optional, required},
};
use crate::{
    ids::{ChannelId, Epoch, ItemId, LedgerSeq, RequestId, Seq, UnixMillis},
    request::{Append, Auth, ClientFrame, CommitExtras, ItemTerms, Knock, Purpose, Request, Right},
    wire::{self, client_frame::Body as Frame, request::Body},
};

impl From<ClientFrame> for wire::ClientFrame {
    fn from(frame: ClientFrame) -> Self {
        let body = match frame {
            ClientFrame::Auth(auth) => Frame::Auth(wire::Auth {
                device: bytes(&auth.device),
                purpose: match auth.purpose {
                    Purpose::Chat => wire::Purpose::Chat,
                    Purpose::Bulk => wire::Purpose::Bulk,
                }
                .into(),
                nonce: bytes(&auth.nonce),
                signature: bytes(&auth.signature),
            }),
            ClientFrame::Knock(knock) => Frame::Knock(wire::Knock {
                invitation: bytes(&knock.invitation),
                nonce: bytes(&knock.nonce),
                mac: bytes(&knock.mac),
            }),
            ClientFrame::Request(id, request) => Frame::Request(wire::Request {
                id: id.0,
                body: Some(request.into()),
            }),
            ClientFrame::Part(part) => Frame::Part(part.into()),
        };
        Self { body: Some(body) }
    }
}

impl TryFrom<wire::ClientFrame> for ClientFrame {
    type Error = WireError;

    fn try_from(frame: wire::ClientFrame) -> Result<Self, WireError> {
        Ok(match required("body", frame.body)? {
            Frame::Auth(auth) => Self::Auth(Auth {
                device: fixed("device", &auth.device)?,
                purpose: match auth.purpose() {
                    wire::Purpose::Chat => Purpose::Chat,
                    wire::Purpose::Bulk => Purpose::Bulk,
                    wire::Purpose::Unspecified => return Err(WireError::Unknown("purpose")),
                },
                nonce: fixed("nonce", &auth.nonce)?,
                signature: fixed("signature", &auth.signature)?,
            }),
            Frame::Knock(knock) => Self::Knock(Knock {
                invitation: fixed("invitation", &knock.invitation)?,
                nonce: fixed("nonce", &knock.nonce)?,
                mac: fixed("mac", &knock.mac)?,
            }),
            Frame::Request(request) => Self::Request(
                RequestId(request.id),
                required("request", request.body)?.try_into()?,
            ),
            Frame::Part(part) => Self::Part(part.into()),
        })
    }
}

impl From<Request> for Body {
    fn from(request: Request) -> Self {
        match request {
            Request::LedgerRead { after, limit } => Body::LedgerRead(wire::LedgerRead {
                after: after.0,
                limit,
            }),
            Request::LedgerSubmit(statements) => {
                Body::LedgerSubmit(wire::LedgerSubmit { statements })
            }
            Request::PutRequest(sealed) => Body::PutRequest(wire::PutRequest { sealed }),
            Request::RequestState => Body::RequestState(wire::Empty {}),
            Request::PutInvitation {
                invitation,
                verifier,
                expires,
            } => Body::PutInvitation(wire::PutInvitation {
                invitation: bytes(&invitation),
                verifier: bytes(&verifier),
                expires: expires.0,
            }),
            Request::ListRequests => Body::ListRequests(wire::Empty {}),
            Request::AnswerRequest { invitation, answer } => {
                Body::AnswerRequest(wire::AnswerRequest {
                    invitation: bytes(&invitation),
                    answer,
                })
            }
            Request::ShareInvitation { invitation, shares } => {
                Body::ShareInvitation(wire::ShareInvitation {
                    invitation: bytes(&invitation),
                    shares: shares
                        .into_iter()
                        .map(|(device, sealed)| wire::Share {
                            device: bytes(&device),
                            sealed,
                        })
                        .collect(),
                })
            }
            Request::VouchRequest { invitation, sealed } => {
                Body::VouchRequest(wire::VouchRequest {
                    invitation: bytes(&invitation),
                    sealed,
                })
            }
            Request::PutLink {
                link,
                verifier,
                expires,
            } => Body::PutLink(wire::PutInvitation {
                invitation: bytes(&link),
                verifier: bytes(&verifier),
                expires: expires.0,
            }),
            Request::ListLinks => Body::ListLinks(wire::Empty {}),
            Request::AnswerLink { link, answer } => Body::AnswerLink(wire::AnswerRequest {
                invitation: bytes(&link),
                answer,
            }),
            Request::PutSealed(entries) => Body::PutSealed(wire::PutSealed {
                entries: entries
                    .into_iter()
                    .map(|(name, bytes)| wire::Sealed {
                        name: Some(name.into()),
                        bytes,
                    })
                    .collect(),
            }),
            Request::GetSealed(names) => Body::GetSealed(wire::GetSealed {
                names: names.into_iter().map(Into::into).collect(),
            }),
            Request::PutKeyPackages {
                packages,
                last_resort,
            } => Body::PutKeyPackages(wire::PutKeyPackages {
                packages,
                last_resort: last_resort.unwrap_or_default(),
            }),
            Request::ClaimKeyPackages { channel, devices } => {
                Body::ClaimKeyPackages(wire::ClaimKeyPackages {
                    channel: bytes(&channel),
                    devices: devices.iter().map(bytes).collect(),
                })
            }
            Request::FoundChannel {
                channel,
                group_info,
                tree,
            } => Body::FoundChannel(wire::FoundChannel {
                channel: bytes(&channel),
                group_info,
                tree,
            }),
            Request::RotateRoster {
                generation,
                entries,
            } => Body::RotateRoster(wire::RotateRoster {
                generation,
                entries: entries
                    .into_iter()
                    .map(|(name, bytes)| wire::Sealed {
                        name: Some(name.into()),
                        bytes,
                    })
                    .collect(),
            }),
            Request::HeadAt { channel, seq } => Body::HeadAt(wire::HeadAt {
                channel: bytes(&channel),
                seq: seq.0,
            }),
            Request::FoundAnew {
                channel,
                client_id,
                epoch,
                record,
                group_info,
                tree,
            } => Body::FoundAnew(wire::FoundAnew {
                channel: bytes(&channel),
                client_id: bytes(&client_id),
                epoch: epoch.0,
                record,
                group_info,
                tree,
            }),
            Request::Append(append) => Body::Append(append.into()),
            Request::Read {
                channel,
                after,
                limit,
            } => Body::Read(wire::Read {
                channel: bytes(&channel),
                after: after.0,
                limit,
            }),
            Request::GroupState(channel) => Body::GroupState(wire::ChannelOnly {
                channel: bytes(&channel),
            }),
            Request::Watch(channels) => Body::Watch(wire::Watch {
                channels: channels.iter().map(bytes).collect(),
            }),
            Request::Welcomes => Body::Welcomes(wire::Empty {}),
            Request::DropWelcome { channel, seq } => Body::DropWelcome(wire::DropWelcome {
                channel: bytes(&channel),
                seq: seq.0,
            }),
            Request::ItemToken {
                item,
                channel,
                right,
            } => {
                let (right, size) = match right {
                    Right::Put { size } => (wire::Right::Put, size),
                    Right::Get => (wire::Right::Get, 0),
                };
                Body::ItemToken(wire::ItemToken {
                    item: bytes(&item),
                    channel: bytes(&channel),
                    right: right.into(),
                    size,
                })
            }
            Request::ItemReserve {
                token,
                size,
                chunk,
                terms,
            } => Body::ItemReserve(wire::ItemReserve {
                token,
                size,
                chunk,
                terms: Some(terms.into()),
            }),
            Request::ItemPut {
                item,
                index,
                bytes: chunk,
            } => Body::ItemPut(wire::ItemPut {
                item: bytes(&item),
                index,
                bytes: chunk,
            }),
            Request::ItemCommit { item, root } => Body::ItemCommit(wire::ItemCommit {
                item: bytes(&item),
                root: bytes(&root),
            }),
            Request::ItemGet {
                token,
                offset,
                length,
            } => Body::ItemGet(wire::ItemGet {
                token,
                offset,
                length,
            }),
            Request::ItemStatus { token } => Body::ItemStatus(wire::ItemOpen { token }),
            Request::Countersign {
                item,
                channel,
                statements,
            } => Body::Countersign(wire::Countersign {
                item: bytes(&item),
                channel: bytes(&channel),
                statements: statements.iter().map(bytes).collect(),
            }),
            Request::ItemWithdraw { item, channel } => Body::ItemWithdraw(only(&item, &channel)),
            Request::ItemKeep {
                item,
                channel,
                keep_until,
                hold,
            } => Body::ItemKeep(wire::ItemKeep {
                item: bytes(&item),
                channel: bytes(&channel),
                keep_until: keep_until.map_or(0, |until| until.0),
                hold: match hold {
                    None => wire::Hold::Unchanged,
                    Some(true) => wire::Hold::On,
                    Some(false) => wire::Hold::Off,
                }
                .into(),
            }),
            Request::PutHeartbeat(signed) => Body::PutHeartbeat(wire::Heartbeat { signed }),
            Request::GetHeartbeat => Body::GetHeartbeat(wire::Empty {}),
            Request::ItemShare { item, channel, to } => Body::ItemShare(wire::ItemShare {
                item: bytes(&item),
                channel: bytes(&channel),
                to: bytes(&to),
            }),
            Request::ItemCollected { item, channel } => Body::ItemCollected(only(&item, &channel)),
            Request::ItemLease { item, channel } => Body::ItemLease(only(&item, &channel)),
            Request::ItemUsage => Body::ItemUsage(wire::Empty {}),
        }
    }
}

impl TryFrom<Body> for Request {
    type Error = WireError;

    fn try_from(body: Body) -> Result<Self, WireError> {
        Ok(match body {
            Body::LedgerRead(read) => Self::LedgerRead {
                after: LedgerSeq(read.after),
                limit: read.limit,
            },
            Body::LedgerSubmit(submit) => Self::LedgerSubmit(submit.statements),
            Body::PutRequest(put) => Self::PutRequest(put.sealed),
            Body::RequestState(_) => Self::RequestState,
            Body::PutInvitation(put) => Self::PutInvitation {
                invitation: fixed("invitation", &put.invitation)?,
                verifier: fixed("verifier", &put.verifier)?,
                expires: UnixMillis(put.expires),
            },
            Body::ListRequests(_) => Self::ListRequests,
            Body::AnswerRequest(answer) => Self::AnswerRequest {
                invitation: fixed("invitation", &answer.invitation)?,
                answer: answer.answer,
            },
            Body::ShareInvitation(share) => Self::ShareInvitation {
                invitation: fixed("invitation", &share.invitation)?,
                shares: share
                    .shares
                    .into_iter()
                    .map(|share| Ok((fixed("device", &share.device)?, share.sealed)))
                    .collect::<Result<_, WireError>>()?,
            },
            Body::VouchRequest(vouch) => Self::VouchRequest {
                invitation: fixed("invitation", &vouch.invitation)?,
                sealed: vouch.sealed,
            },
            Body::PutLink(put) => Self::PutLink {
                link: fixed("invitation", &put.invitation)?,
                verifier: fixed("verifier", &put.verifier)?,
                expires: UnixMillis(put.expires),
            },
            Body::ListLinks(_) => Self::ListLinks,
            Body::AnswerLink(answer) => Self::AnswerLink {
                link: fixed("invitation", &answer.invitation)?,
                answer: answer.answer,
            },
            Body::PutSealed(put) => Self::PutSealed(
                put.entries
                    .into_iter()
                    .map(|entry| Ok((required("name", entry.name)?.try_into()?, entry.bytes)))
                    .collect::<Result<_, WireError>>()?,
            ),
            Body::GetSealed(get) => Self::GetSealed(
                get.names
                    .into_iter()
                    .map(TryInto::try_into)
                    .collect::<Result<_, _>>()?,
            ),
            Body::PutKeyPackages(put) => Self::PutKeyPackages {
                packages: put.packages,
                last_resort: optional(put.last_resort),
            },
            Body::ClaimKeyPackages(claim) => Self::ClaimKeyPackages {
                channel: fixed("channel", &claim.channel)?,
                devices: claim
                    .devices
                    .iter()
                    .map(|device| fixed("devices", device))
                    .collect::<Result<_, _>>()?,
            },
            Body::FoundChannel(found) => Self::FoundChannel {
                channel: fixed("channel", &found.channel)?,
                group_info: found.group_info,
                tree: found.tree,
            },
            Body::RotateRoster(rotate) => Self::RotateRoster {
                generation: rotate.generation,
                entries: rotate
                    .entries
                    .into_iter()
                    .map(|entry| Ok((required("name", entry.name)?.try_into()?, entry.bytes)))
                    .collect::<Result<_, WireError>>()?,
            },
            Body::HeadAt(at) => Self::HeadAt {
                channel: fixed("channel", &at.channel)?,
                seq: Seq(at.seq),
            },
            Body::FoundAnew(found) => Self::FoundAnew {
                channel: fixed("channel", &found.channel)?,
                client_id: fixed("client_id", &found.client_id)?,
                epoch: Epoch(found.epoch),
                record: found.record,
                group_info: found.group_info,
                tree: found.tree,
            },
            Body::Append(append) => Self::Append(append.try_into()?),
            Body::Read(read) => Self::Read {
                channel: fixed("channel", &read.channel)?,
                after: Seq(read.after),
                limit: read.limit,
            },
            Body::GroupState(only) => Self::GroupState(fixed("channel", &only.channel)?),
            Body::Watch(watch) => Self::Watch(
                watch
                    .channels
                    .iter()
                    .map(|channel| fixed("channels", channel))
                    .collect::<Result<_, _>>()?,
            ),
            Body::Welcomes(_) => Self::Welcomes,
            Body::DropWelcome(drop) => Self::DropWelcome {
                channel: fixed("channel", &drop.channel)?,
                seq: Seq(drop.seq),
            },
            Body::ItemToken(token) => Self::ItemToken {
                item: fixed("item", &token.item)?,
                channel: fixed("channel", &token.channel)?,
                right: match token.right() {
                    wire::Right::Put => Right::Put { size: token.size },
                    wire::Right::Get => Right::Get,
                    wire::Right::Unspecified => return Err(WireError::Unknown("right")),
                },
            },
            Body::ItemReserve(reserve) => Self::ItemReserve {
                token: reserve.token,
                size: reserve.size,
                chunk: reserve.chunk,
                terms: required("terms", reserve.terms)?.try_into()?,
            },
            Body::ItemPut(put) => Self::ItemPut {
                item: fixed("item", &put.item)?,
                index: put.index,
                bytes: put.bytes,
            },
            Body::ItemCommit(commit) => Self::ItemCommit {
                item: fixed("item", &commit.item)?,
                root: fixed("root", &commit.root)?,
            },
            Body::ItemGet(get) => Self::ItemGet {
                token: get.token,
                offset: get.offset,
                length: get.length,
            },
            Body::ItemStatus(open) => Self::ItemStatus { token: open.token },
            Body::Countersign(asked) => Self::Countersign {
                item: fixed("item", &asked.item)?,
                channel: fixed("channel", &asked.channel)?,
                statements: asked
                    .statements
                    .iter()
                    .map(|statement| fixed("statements", statement))
                    .collect::<Result<_, _>>()?,
            },
            Body::ItemWithdraw(only) => Self::ItemWithdraw {
                item: fixed("item", &only.item)?,
                channel: fixed("channel", &only.channel)?,
            },
            Body::PutHeartbeat(heartbeat) => Self::PutHeartbeat(heartbeat.signed),
            Body::GetHeartbeat(_) => Self::GetHeartbeat,
            Body::ItemKeep(keep) => Self::ItemKeep {
                item: fixed("item", &keep.item)?,
                channel: fixed("channel", &keep.channel)?,
                keep_until: (keep.keep_until > 0).then_some(UnixMillis(keep.keep_until)),
                hold: match wire::Hold::try_from(keep.hold) {
                    Ok(wire::Hold::Unchanged) => None,
                    Ok(wire::Hold::On) => Some(true),
                    Ok(wire::Hold::Off) => Some(false),
                    Err(_) => return Err(WireError::Unknown("hold")),
                },
            },
            Body::ItemShare(share) => Self::ItemShare {
                item: fixed("item", &share.item)?,
                channel: fixed("channel", &share.channel)?,
                to: fixed("to", &share.to)?,
            },
            Body::ItemCollected(only) => Self::ItemCollected {
                item: fixed("item", &only.item)?,
                channel: fixed("channel", &only.channel)?,
            },
            Body::ItemLease(only) => Self::ItemLease {
                item: fixed("item", &only.item)?,
                channel: fixed("channel", &only.channel)?,
            },
            Body::ItemUsage(_) => Self::ItemUsage,
        })
    }
}

impl From<Append> for wire::Append {
    fn from(append: Append) -> Self {
        Self {
            channel: bytes(&append.channel),
            client_id: bytes(&append.client_id),
            epoch: append.epoch.0,
            bytes: append.bytes,
            commit: append.commit.map(|commit| wire::CommitExtras {
                group_info: commit.group_info,
                welcomes: commit
                    .welcomes
                    .into_iter()
                    .map(|(device, welcome)| wire::Welcome {
                        device: bytes(&device),
                        bytes: welcome,
                    })
                    .collect(),
            }),
        }
    }
}

impl TryFrom<wire::Append> for Append {
    type Error = WireError;

    fn try_from(append: wire::Append) -> Result<Self, WireError> {
        Ok(Self {
            channel: fixed("channel", &append.channel)?,
            client_id: fixed("client_id", &append.client_id)?,
            epoch: Epoch(append.epoch),
            bytes: append.bytes,
            commit: append
                .commit
                .map(|commit| {
                    Ok(CommitExtras {
                        group_info: commit.group_info,
                        welcomes: commit
                            .welcomes
                            .into_iter()
                            .map(|welcome| Ok((fixed("device", &welcome.device)?, welcome.bytes)))
                            .collect::<Result<_, WireError>>()?,
                    })
                })
                .transpose()?,
        })
    }
}

fn only(item: &ItemId, channel: &ChannelId) -> wire::ItemOnly {
    wire::ItemOnly {
        item: bytes(item),
        channel: bytes(channel),
    }
}

impl From<ItemTerms> for wire::ItemTerms {
    fn from(terms: ItemTerms) -> Self {
        Self {
            keep_until: terms.keep_until.map_or(0, |until| until.0),
            collectors: terms.collectors,
            wanted: terms.wanted.iter().map(bytes).collect(),
        }
    }
}

impl TryFrom<wire::ItemTerms> for ItemTerms {
    type Error = WireError;

    fn try_from(terms: wire::ItemTerms) -> Result<Self, WireError> {
        Ok(Self {
            keep_until: (terms.keep_until > 0).then_some(UnixMillis(terms.keep_until)),
            collectors: terms.collectors,
            wanted: terms
                .wanted
                .iter()
                .map(|member| fixed("wanted", member))
                .collect::<Result<_, _>>()?,
        })
    }
}
