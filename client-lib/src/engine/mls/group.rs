//! One group: sealing, processing, committing.

use mls_rs::{
    MlsMessage, MlsMessageDescription,
    error::MlsError,
    group::{CommitEffect, CommitSecrets, ContentType, Member, ReceivedMessage, Sender},
};
use mls_rs_core::time::MlsTime;
use plenary_certs::mls::{
    anew::Ended,
    auth_data::AuthData,
    context::{ChannelContext, Rule},
    credential::device_of,
    judge::{Basis, Judge, JudgeError, check_ledger, entry},
};
use plenary_proto::ids::{ChannelId, DeviceId, Epoch, MemberId, UnixMillis};

use super::{
    Config, GroupError,
    members::{Members, withdrawn_of},
    roll::Roll,
    storage::{Groups, Used},
};
use crate::engine::horizon::Horizon;

/// So many messages, or bytes of them, are noted beside the stored state before it is written whole.
const MOST_NOTED: usize = 64;
const MOST_BYTES: usize = 256 * 1024;

/// A group in memory. What it is on disk is what was saved last.
pub(crate) struct Group {
    group: mls_rs::Group<Config>,
    judge: Judge,
    groups: Groups,
    /// State and tree on disk are of this epoch.
    stored: Option<u64>,
    /// What used keys since then: noted on disk, and not noted yet.
    noted: Noted,
    used: Vec<Used>,
    roll: Option<Roll>,
}

/// How much is noted.
#[derive(Clone, Copy, Default)]
struct Noted {
    messages: usize,
    bytes: usize,
}

impl Noted {
    fn and(self, all: &[Used]) -> Self {
        let len = |used: &Used| match used {
            Used::Own => 0,
            Used::Other(record) => record.len(),
        };
        Self {
            messages: self.messages + all.len(),
            bytes: self.bytes + all.iter().map(len).sum::<usize>(),
        }
    }
}

/// A commit of this device, not yet taken by the server.
pub(crate) struct OwnCommit {
    pub(crate) epoch: Epoch,
    pub(crate) bytes: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
    pub(crate) welcomed: Vec<DeviceId>,
    pub(crate) secrets: Vec<u8>,
}

/// What a record turned out to be.
pub(crate) enum Processed {
    /// An application message.
    Message {
        sender: DeviceId,
        data: AuthData,
        /// Padded envelope.
        content: Vec<u8>,
    },
    /// A commit; the group is in the new epoch.
    Commit {
        /// As of when it was judged.
        basis: Basis,
        by: DeviceId,
        data: AuthData,
        /// This device is no longer in.
        removed: bool,
    },
}

impl Group {
    pub(super) fn new(group: mls_rs::Group<Config>, judge: Judge, groups: Groups) -> Self {
        Self {
            group,
            judge,
            groups,
            stored: None,
            noted: Noted::default(),
            used: Vec::new(),
            roll: None,
        }
    }

    /// It was loaded; what is noted beside its state has used its keys from now on.
    pub(super) fn use_up(&mut self, all: &[Used]) -> Result<(), GroupError> {
        let damaged = |error: MlsError| {
            GroupError::Invalid(format!("its keys do not fit its state: {error}"))
        };
        for used in all {
            match used {
                Used::Own => self.group.next_encryption_key().map(drop),
                Used::Other(record) => MlsMessage::from_bytes(record)
                    .and_then(|message| self.group.process_incoming_message(message))
                    .map(drop),
            }
            .map_err(damaged)?;
        }
        self.stored = Some(self.group.current_epoch());
        self.noted = self.noted.and(all);
        Ok(())
    }

    fn roll(&mut self) -> &mut Roll {
        let epoch = self.group.current_epoch();
        let known = self.roll.take_if(|roll| roll.is_of(epoch));
        let roll = known.unwrap_or_else(|| {
            let roster = self.group.roster();
            let leaf = |member: Member| Some((member.index, device_of(&member.signing_identity)?));
            Roll::new(epoch, roster.members_iter().filter_map(leaf))
        });
        self.roll.insert(roll)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.group.current_epoch())
    }

    pub(crate) fn context(&self) -> Result<ChannelContext, GroupError> {
        ChannelContext::of(&self.group.context().extensions)
            .map_err(|error| JudgeError::Context(error.to_string()).into())
    }

    /// The group must be what the channel is by the ledger, in the network's suite.
    pub(super) fn check_context(&self, channel: ChannelId) -> Result<(), GroupError> {
        let context = self.context()?;
        if context.channel != channel || self.group.group_id() != channel.as_bytes() {
            return Err(JudgeError::Context("it is another channel's group".to_owned()).into());
        }
        if self.group.cipher_suite() != super::HYBRID {
            return Err(
                JudgeError::Context("it has another suite than the network".to_owned()).into(),
            );
        }
        self.judge
            .ledger()
            .read(|ledger| entry(&context, ledger, ledger.head().seq))?;
        Ok(())
    }

    /// As a record that ends it must name it. `basis`: of its last commit.
    pub(crate) fn ended(&mut self, basis: Option<Basis>) -> Result<Ended, GroupError> {
        Ok(Ended {
            context: self.context()?,
            epoch: self.epoch(),
            basis,
            leaves: self.devices(),
        })
    }

    /// The channel's owner and rule by the newest ledger.
    pub(crate) fn entry(&self) -> Result<(MemberId, Rule), GroupError> {
        let context = self.context()?;
        Ok(self
            .judge
            .ledger()
            .read(|ledger| entry(&context, ledger, ledger.head().seq))?)
    }

    /// The ratchet tree.
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn tree(&self) -> Result<Vec<u8>, GroupError> {
        Ok(self.group.export_tree().to_bytes()?)
    }

    /// Every device in it.
    pub(crate) fn devices(&mut self) -> Vec<DeviceId> {
        self.roll().devices().collect()
    }

    /// Devices in it that the newest ledger has out.
    pub(crate) fn not_live(&mut self, now: UnixMillis) -> Vec<DeviceId> {
        let ledger = self.judge.ledger().clone();
        ledger.read(|ledger| self.roll().not_live(ledger, now).to_vec())
    }

    /// Devices in it whose members' GRANT the newest ledger has taken back.
    pub(crate) fn withdrawn(&mut self) -> Result<Vec<DeviceId>, GroupError> {
        let context = self.context()?;
        let ledger = self.judge.ledger().clone();
        ledger.read(|ledger| withdrawn_of(self.roll(), &context, ledger))
    }

    /// Who is in it, without the rest. Nothing may be left to be saved.
    pub(crate) fn into_members(mut self) -> Result<Members, GroupError> {
        let (context, ledger) = (self.context()?, self.judge.ledger().clone());
        self.roll();
        let roll = self.roll.take().ok_or(GroupError::Missing)?;
        Ok(Members::new(context, ledger, roll))
    }

    /// First bytes of the epoch authenticator, for the authenticated data.
    pub(crate) fn epoch_authenticator(&self) -> Result<[u8; 8], GroupError> {
        let secret = self.group.epoch_authenticator()?;
        let mut prefix = [0; 8];
        match secret.as_bytes().get(..8) {
            Some(bytes) => prefix.copy_from_slice(bytes),
            None => {
                return Err(GroupError::Invalid(
                    "a short epoch authenticator".to_owned(),
                ));
            }
        }
        Ok(prefix)
    }

    pub(crate) fn group_info(&self) -> Result<Vec<u8>, GroupError> {
        Ok(self
            .group
            .group_info_message_allowing_ext_commit(false)?
            .to_bytes()?)
    }

    /// A device in it from beyond the horizon, if there is one.
    pub(crate) fn beyond(&mut self, horizon: &Horizon, now: UnixMillis) -> Option<DeviceId> {
        if horizon.is_open() {
            return None;
        }
        let ledger = self.judge.ledger().clone();
        let roll = self.roll();
        ledger.read(|ledger| {
            roll.devices()
                .find(|device| !horizon.accepts(ledger, *device, now))
        })
    }

    /// Seals a padded envelope. Refuses while any leaf is not backed by a live DEVICE statement of
    /// a live member: there is no way around.
    pub(crate) fn seal(&mut self, data: &AuthData, content: &[u8]) -> Result<Vec<u8>, GroupError> {
        #[cfg(plenary_seeded_bugs)]
        use plenary_core::seeded::{Bug, planted};
        #[cfg(plenary_seeded_bugs)]
        let checked = !planted(Bug::SealToRevoked);
        #[cfg(not(plenary_seeded_bugs))]
        let checked = true;
        if checked && let Some(device) = self.not_live(data.time).first() {
            return Err(JudgeError::Fenced(*device).into());
        }
        let message = self
            .group
            .encrypt_application_message(content, data.encode())?;
        self.used.push(Used::Own);
        Ok(message.to_bytes()?)
    }

    /// Processes a record of the log made by another device.
    ///
    /// `previous` is the basis of the commit before it. On any error the group must be dropped
    /// and loaded again.
    pub(crate) fn process(
        &mut self,
        bytes: &[u8],
        previous: Option<Basis>,
    ) -> Result<Processed, GroupError> {
        let message = MlsMessage::from_bytes(bytes)?;
        let basis = self.basis_of(&message, previous)?;
        let committer = basis.map(|(_, sender, _)| sender);
        let before = self.committer_before(committer);
        let received = match basis {
            Some((basis, ..)) => {
                let judge = self.judge.clone();
                judge.at(basis, || self.group.process_incoming_message(message))?
            }
            None => self.group.process_incoming_message(message)?,
        };
        match (received, basis) {
            (ReceivedMessage::ApplicationMessage(message), None) => {
                self.used.push(Used::Other(bytes.to_vec()));
                let data = AuthData::decode(&message.authenticated_data)
                    .map_err(|error| JudgeError::AuthData(error.to_string()))?;
                self.judge
                    .ledger()
                    .read(|ledger| check_ledger(&data.ledger, ledger))?;
                let sender = self
                    .device_at(message.sender_index)
                    .ok_or(JudgeError::NoDevice)?;
                Ok(Processed::Message {
                    sender,
                    data,
                    content: message.data().to_vec(),
                })
            }
            (ReceivedMessage::Commit(commit), Some((basis, _, data))) => {
                let removed = matches!(commit.effect, CommitEffect::Removed { .. });
                let by = before
                    .or_else(|| self.device_at(commit.committer))
                    .ok_or(JudgeError::NoDevice)?;
                Ok(Processed::Commit {
                    basis,
                    by,
                    data,
                    removed,
                })
            }
            _ => Err(JudgeError::Proposal.into()),
        }
    }

    fn basis_of(
        &self,
        message: &MlsMessage,
        previous: Option<Basis>,
    ) -> Result<Option<(Basis, Sender, AuthData)>, GroupError> {
        match message.description() {
            MlsMessageDescription::PrivateProtocolMessage {
                content_type: ContentType::Application,
                ..
            } => Ok(None),
            MlsMessageDescription::PublicProtocolMessage {
                content_type: ContentType::Commit,
                sender: sender @ (Sender::Member(_) | Sender::NewMemberCommit),
                authenticated_data,
                ..
            } if message.proposals_by_reference().is_empty() => {
                let data = AuthData::decode(authenticated_data)
                    .map_err(|error| JudgeError::AuthData(error.to_string()))?;
                let basis = self
                    .judge
                    .ledger()
                    .read(|ledger| Basis::of(&data, ledger, previous))?;
                Ok(Some((basis, sender, data)))
            }
            _ => Err(JudgeError::Proposal.into()),
        }
    }

    fn committer_before(&mut self, sender: Option<Sender>) -> Option<DeviceId> {
        match sender {
            Some(Sender::Member(index)) => self.device_at(index),
            _ => None,
        }
    }

    pub(super) fn device_at(&mut self, index: u32) -> Option<DeviceId> {
        self.roll().at(index)
    }

    /// Makes a commit that adds, removes, and takes out whoever the ledger has out. The group
    /// stays where it is until [`Self::apply`].
    pub(crate) fn commit(
        &mut self,
        add: &[Vec<u8>],
        remove: &[DeviceId],
        data: &AuthData,
    ) -> Result<OwnCommit, GroupError> {
        let basis = Basis {
            seq: data.ledger.seq,
            time: data.time,
        };
        let epoch = self.epoch();
        let indices: Vec<u32> = self
            .group
            .roster()
            .members_iter()
            .filter(|member| {
                device_of(&member.signing_identity).is_some_and(|device| remove.contains(&device))
            })
            .map(|member| member.index)
            .collect();
        let judge = self.judge.clone();
        let mut welcomed = Vec::new();
        let mut builder = self
            .group
            .commit_builder()
            .authenticated_data(data.encode())
            .commit_time(MlsTime::from(data.time.0 / 1000));
        for package in add {
            let package = MlsMessage::from_bytes(package)?;
            let device = package
                .as_key_package()
                .and_then(|package| device_of(package.signing_identity()))
                .ok_or(JudgeError::NoDevice)?;
            welcomed.push(device);
            builder = builder.add_member(package)?;
        }
        for index in indices {
            builder = builder.remove_member(index)?;
        }
        let (output, secrets) = judge.at(basis, || builder.build_detached())?;
        let group_info = output
            .external_commit_group_info
            .as_ref()
            .ok_or_else(|| GroupError::Invalid("a commit without GroupInfo".to_owned()))?
            .to_bytes()?;
        let welcome = output
            .welcome_messages
            .first()
            .map(MlsMessage::to_bytes)
            .transpose()?;
        Ok(OwnCommit {
            epoch,
            bytes: output.commit_message.to_bytes()?,
            group_info,
            welcome,
            welcomed,
            secrets: secrets.to_bytes()?,
        })
    }

    /// The server took this device's commit: the group moves on.
    pub(crate) fn apply(&mut self, secrets: &[u8]) -> Result<(), GroupError> {
        self.group
            .apply_detached_commit(CommitSecrets::from_bytes(secrets)?)?;
        Ok(())
    }

    /// Writes what changed: after a commit the state and the tree, after messages what used keys.
    pub(crate) fn save(&mut self) -> Result<(), GroupError> {
        let noted = self.noted.and(&self.used);
        let in_epoch = self.stored == Some(self.group.current_epoch());
        if !in_epoch || noted.messages > MOST_NOTED || noted.bytes > MOST_BYTES {
            return self.save_whole();
        }
        self.groups.put_used(self.group.group_id(), &self.used)?;
        self.noted = noted;
        self.used.clear();
        Ok(())
    }

    /// Whether the stored state still holds the secrets of used keys.
    pub(crate) fn is_unsettled(&self) -> bool {
        self.noted.messages > 0
    }

    /// Writes the state whole if need be: what used keys came from is gone then.
    pub(crate) fn settle(&mut self) -> Result<(), GroupError> {
        match self.noted.and(&self.used).messages {
            0 => Ok(()),
            _ => self.save_whole(),
        }
    }

    fn save_whole(&mut self) -> Result<(), GroupError> {
        let epoch = Some(self.group.current_epoch());
        self.group.write_to_storage_without_ratchet_tree()?;
        if self.stored != epoch {
            let tree = self.group.export_tree().to_bytes()?;
            self.groups.put_tree(self.group.group_id(), &tree)?;
        }
        self.stored = epoch;
        self.noted = Noted::default();
        self.used.clear();
        Ok(())
    }
}
