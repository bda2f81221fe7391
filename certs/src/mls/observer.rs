//! The server's view of a group: follows the tree, reads nothing.
//!
//! It sees that a commit is well-formed, signed by its leaf, allowed by the judge, and that the
//! uploaded GroupInfo fits. Membership and confirmation tags, path secrets and the external key it
//! cannot check: a caller keeps the group before a commit until the commit is stored.

use minicbor::Decoder;
use mls_rs::{
    MlsMessage, MlsMessageDescription,
    error::MlsError,
    external_client::{
        ExternalClient, ExternalGroup, ExternalReceivedMessage, ExternalSnapshot,
        builder::{ExternalBaseConfig, WithCryptoProvider, WithIdentityProvider, WithMlsRules},
    },
    group::{CommitEffect, ContentType, ExportedTree, Sender},
};
use mls_rs_codec::{MlsDecode, byte_vec};
use plenary_proto::ids::{ChannelId, DeviceId, Epoch, LedgerSeq, UnixMillis};

use super::{
    anew::{Anew, Ended, group_digest, may_found_anew},
    auth_data::AuthData,
    context::{self, ChannelContext, Rule},
    credential::device_of,
    judge::{Basis, Judge, JudgeError, LedgerHandle, check_ledger, entry, may_add, not_live},
    suite::{HYBRID, PlenaryCrypto, crypto_provider},
};
use crate::cbor::{self, Cbor, CborError, Writer, array};

/// How far ahead of the server's clock a sender's may be.
const CLOCK_SLACK_MS: u64 = 5 * 60 * 1000;

type Config = WithMlsRules<
    Judge,
    WithCryptoProvider<PlenaryCrypto, WithIdentityProvider<Judge, ExternalBaseConfig>>,
>;

/// Why the observer refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// Made in another epoch: catch up and make it again.
    #[error("made in another epoch; the channel is in {current:?}")]
    StaleEpoch {
        /// Where the channel is.
        current: Epoch,
    },
    /// A leaf that the ledger has out must go first.
    #[error("the channel waits for the removal of a device that the ledger has out")]
    Fenced,
    /// It names a ledger that this server does not have.
    #[error("made with a ledger that this server does not have")]
    LedgerAhead,
    /// Checked and refused.
    #[error("{0}")]
    Invalid(String),
    /// The sender may not.
    #[error("{0}")]
    NotAllowed(String),
}

impl From<JudgeError> for ObserveError {
    fn from(error: JudgeError) -> Self {
        match error {
            JudgeError::LedgerAhead { .. } => Self::LedgerAhead,
            JudgeError::Fenced(_) => Self::Fenced,
            JudgeError::NotAllowed { .. }
            | JudgeError::NotLive { .. }
            | JudgeError::StillLive(_) => Self::NotAllowed(error.to_string()),
            _ => Self::Invalid(error.to_string()),
        }
    }
}

impl From<MlsError> for ObserveError {
    fn from(error: MlsError) -> Self {
        match JudgeError::inside(&error) {
            Some(word) => word.clone().into(),
            None => Self::Invalid(format!("MLS: {error}")),
        }
    }
}

impl From<CborError> for ObserveError {
    fn from(error: CborError) -> Self {
        Self::Invalid(error.to_string())
    }
}

/// One group. A commit gives a new one and leaves the old as it was.
#[derive(Clone)]
pub struct ObservedGroup {
    group: ExternalGroup<Config>,
    judge: Judge,
    context: ChannelContext,
    /// As of when the last commit was judged; none before the first.
    basis: Option<Basis>,
    /// How often the channel's group was founded anew.
    generation: u32,
}

impl std::fmt::Debug for ObservedGroup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ObservedGroup({:?}, {:?})",
            self.context.channel,
            self.epoch()
        )
    }
}

impl ObservedGroup {
    /// A group at its founding: epoch 0, the founder alone in it, entry rule as the ledger has it.
    pub fn found(
        ledger: &LedgerHandle,
        channel: ChannelId,
        founder: DeviceId,
        group_info: &[u8],
        tree: &[u8],
        now: UnixMillis,
    ) -> Result<Self, ObserveError> {
        let founded = Self::begin(ledger, channel, founder, group_info, tree)?;
        let (owner, rule) =
            ledger.read(|ledger| entry(&founded.context, ledger, ledger.head().seq))?;
        let member = ledger.read(|ledger| ledger.device(founder).map(|device| device.member));
        if member != Some(owner) || rule != founded.context.rule {
            return Err(ObserveError::NotAllowed(
                "only the channel's owner founds its group".into(),
            ));
        }
        if founded.must_remove(now).is_empty() {
            Ok(founded)
        } else {
            Err(ObserveError::Fenced)
        }
    }

    /// The group that follows this one when no leaf of it is live any more, by the record that
    /// says so: judged as of what the record names, and as of now.
    pub fn anew(
        &self,
        sender: DeviceId,
        record: &[u8],
        group_info: &[u8],
        tree: &[u8],
        now: UnixMillis,
    ) -> Result<Self, ObserveError> {
        let ledger = self.judge.ledger();
        let (anew, basis) = ledger.read(|ledger| Anew::open(record, ledger, &self.ended()))?;
        check_clock(anew.data.time, now)?;
        if anew.founder != sender || anew.group != group_digest(group_info, tree) {
            return Err(ObserveError::Invalid(
                "the record is another device's, or of another group".into(),
            ));
        }
        if !self.is_deserted(sender, now) {
            return Err(ObserveError::NotAllowed(
                "a device of the channel is live: the group goes on".into(),
            ));
        }
        let mut next = Self::begin(ledger, self.context.channel, sender, group_info, tree)?;
        if next.context != self.context {
            return Err(ObserveError::Invalid(
                "the group says something else of itself than the one before".into(),
            ));
        }
        if !next.must_remove(now).is_empty() {
            return Err(ObserveError::Fenced);
        }
        next.basis = Some(basis);
        next.generation = self.generation.saturating_add(1);
        Ok(next)
    }

    /// Whether nobody live is in the group, `but` aside: whoever may, may found it anew.
    pub fn is_deserted(&self, but: DeviceId, now: UnixMillis) -> bool {
        let gone = self.must_remove(now);
        self.devices()
            .iter()
            .all(|device| *device == but || gone.contains(device))
            && !gone.is_empty()
    }

    /// Whether a device may found the group anew once nobody live is left in it.
    pub fn may_be_founded_anew_by(&self, device: DeviceId) -> bool {
        self.judge.ledger().read(|ledger| {
            entry(&self.context, ledger, ledger.head().seq)
                .is_ok_and(|(owner, rule)| may_found_anew(ledger, device, rule, owner))
        })
    }

    fn ended(&self) -> Ended {
        Ended {
            context: self.context,
            epoch: self.epoch(),
            basis: self.basis,
            leaves: self.devices(),
        }
    }

    fn begin(
        ledger: &LedgerHandle,
        channel: ChannelId,
        founder: DeviceId,
        group_info: &[u8],
        tree: &[u8],
    ) -> Result<Self, ObserveError> {
        let judge = Judge::new(ledger.clone());
        let info = MlsMessage::from_bytes(group_info)?;
        if info.cipher_suite() != Some(HYBRID) {
            return Err(ObserveError::Invalid(
                "the group has another suite than the network".into(),
            ));
        }
        let tree = ExportedTree::from_bytes(tree)?;
        let group = client(&judge).observe_group(info, Some(tree), None)?;
        let context = ChannelContext::of(&group.group_context().extensions)?;
        let founded = Self {
            group,
            judge,
            context,
            basis: None,
            generation: 0,
        };
        if context.channel != channel
            || founded.group.group_context().group_id != channel.as_bytes()
        {
            return Err(ObserveError::Invalid(
                "the group is of another channel".into(),
            ));
        }
        if founded.epoch() != Epoch(0) || founded.devices() != [founder] {
            return Err(ObserveError::Invalid(
                "a new group holds its founder and no more".into(),
            ));
        }
        Ok(founded)
    }

    /// A group from its snapshot.
    pub fn load(ledger: &LedgerHandle, snapshot: &[u8]) -> Result<Self, ObserveError> {
        let saved: Saved = cbor::decode(snapshot)?;
        let judge = Judge::new(ledger.clone());
        let group = client(&judge).load_group(ExternalSnapshot::from_bytes(&saved.group.0)?)?;
        let context = ChannelContext::of(&group.group_context().extensions)?;
        Ok(Self {
            group,
            judge,
            context,
            basis: saved.basis,
            generation: saved.generation,
        })
    }

    /// For [`Self::load`].
    pub fn snapshot(&self) -> Result<Vec<u8>, ObserveError> {
        let group = cbor::Bytes(self.group.snapshot().to_bytes()?);
        Ok(cbor::encode(&Saved {
            basis: self.basis,
            generation: self.generation,
            group,
        }))
    }

    /// The ratchet tree, for joiners.
    pub fn tree(&self) -> Result<Vec<u8>, ObserveError> {
        Ok(self.group.export_tree()?)
    }

    /// The epoch.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.group.group_context().epoch)
    }

    /// How often the channel's group was founded anew. With the epoch it tells which of two is
    /// the newer.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Every device with a leaf.
    pub fn devices(&self) -> Vec<DeviceId> {
        self.group
            .roster()
            .members_iter()
            .filter_map(|member| device_of(&member.signing_identity))
            .collect()
    }

    /// Whether a device has a leaf.
    pub fn contains(&self, device: DeviceId) -> bool {
        self.group
            .roster()
            .member_identities_iter()
            .any(|identity| device_of(identity) == Some(device))
    }

    /// What the group says of itself.
    pub fn rule(&self) -> Rule {
        self.context.rule
    }

    /// Leaves that the newest ledger no longer backs: the fence. Empty: none.
    pub fn must_remove(&self, now: UnixMillis) -> Vec<DeviceId> {
        self.judge.ledger().read(|ledger| {
            let basis = Basis {
                seq: ledger.head().seq,
                time: now,
            };
            not_live(&self.group.roster(), ledger, basis)
                .into_iter()
                .map(|(_, device)| device)
                .collect()
        })
    }

    /// Checks what can be seen of an application message; returns its epoch, which is the group's.
    /// Whether its sender has a leaf, the caller checks: it is asked for at every message, and
    /// [`Self::contains`] walks the tree.
    pub fn check_message(&self, bytes: &[u8]) -> Result<Epoch, ObserveError> {
        let outer = Outer::read(bytes)
            .ok_or_else(|| ObserveError::Invalid("not an MLS private message".into()))?;
        if outer.group_id != self.context.channel.as_bytes() {
            return Err(ObserveError::Invalid(
                "the message is for another channel".into(),
            ));
        }
        if outer.content_type != ContentType::Application as u8 {
            return Err(ObserveError::Invalid(
                "handshakes travel as public messages".into(),
            ));
        }
        if Epoch(outer.epoch) != self.epoch() {
            return Err(ObserveError::StaleEpoch {
                current: self.epoch(),
            });
        }
        let data = AuthData::decode(&outer.authenticated_data)?;
        self.judge
            .ledger()
            .read(|ledger| check_ledger(&data.ledger, ledger))?;
        Ok(self.epoch())
    }

    /// The group after a commit by `sender`; this one stays as it was. One commit of a channel at a
    /// time: clones share the judge.
    ///
    /// `group_info` must be of the new epoch and signed by the committer; `welcomes` exactly the
    /// devices added.
    pub fn commit(
        &self,
        sender: DeviceId,
        bytes: &[u8],
        group_info: &[u8],
        welcomes: &[DeviceId],
        now: UnixMillis,
    ) -> Result<Self, ObserveError> {
        let message = MlsMessage::from_bytes(bytes)?;
        let data = self.check_commit(&message, now)?;
        let basis = self
            .judge
            .ledger()
            .read(|ledger| Basis::of(&data, ledger, self.basis))?;
        let mut next = self.clone();
        let committed = next
            .judge
            .at(basis, || next.group.process_incoming_message(message))?;
        let ExternalReceivedMessage::Commit(committed) = committed else {
            return Err(ObserveError::Invalid("not a commit".into()));
        };
        let CommitEffect::NewEpoch(_) = committed.effect else {
            return Err(ObserveError::Invalid("the commit ends the group".into()));
        };
        if next.device_at(committed.committer) != Some(sender) {
            return Err(ObserveError::NotAllowed(
                "the commit is another device's".into(),
            ));
        }
        next.basis = Some(basis);
        if !next.must_remove(now).is_empty() {
            return Err(ObserveError::Fenced);
        }
        next.check_group_info(group_info, committed.committer)?;
        let before = self.devices();
        let mut added: Vec<_> = next
            .devices()
            .into_iter()
            .filter(|device| !before.contains(device) && (*device != sender))
            .collect();
        let mut welcomed = welcomes.to_vec();
        added.sort_unstable();
        welcomed.sort_unstable();
        if added != welcomed {
            return Err(ObserveError::Invalid(
                "welcomes must go to the devices added".into(),
            ));
        }
        if !self.may_still_add(sender, &added) {
            return Err(ObserveError::Fenced);
        }
        Ok(next)
    }

    /// The commit was judged as of the ledger that it names. That may be an older one, in which
    /// its author still owned the channel: then it is to be made again with the newest.
    fn may_still_add(&self, sender: DeviceId, added: &[DeviceId]) -> bool {
        self.judge.ledger().read(|ledger| {
            let at = ledger.head().seq;
            let member = |device| ledger.device(device).map(|device| device.member);
            let (Ok(entry), Some(adder)) = (entry(&self.context, ledger, at), member(sender))
            else {
                return false;
            };
            let channel = self.context.channel;
            added.iter().all(|device| {
                member(*device)
                    .is_some_and(|added| may_add(ledger, at, channel, entry, adder, added))
            })
        })
    }

    fn check_commit(
        &self,
        message: &MlsMessage,
        now: UnixMillis,
    ) -> Result<AuthData, ObserveError> {
        let MlsMessageDescription::PublicProtocolMessage {
            group_id,
            epoch_id,
            content_type: ContentType::Commit,
            sender: Sender::Member(_) | Sender::NewMemberCommit,
            authenticated_data,
        } = message.description()
        else {
            return Err(ObserveError::Invalid(
                "not a commit by a member in a public message".into(),
            ));
        };
        if group_id != self.context.channel.as_bytes() {
            return Err(ObserveError::Invalid(
                "the commit is for another channel".into(),
            ));
        }
        if Epoch(epoch_id) != self.epoch() {
            return Err(ObserveError::StaleEpoch {
                current: self.epoch(),
            });
        }
        if !message.proposals_by_reference().is_empty() {
            return Err(JudgeError::Proposal.into());
        }
        let data = AuthData::decode(authenticated_data)?;
        check_clock(data.time, now)?;
        Ok(data)
    }

    fn check_group_info(&mut self, bytes: &[u8], committer: u32) -> Result<(), ObserveError> {
        let message = MlsMessage::from_bytes(bytes)?;
        match self.group.process_incoming_message(message)? {
            ExternalReceivedMessage::GroupInfo(info) if info.sender() == committer => Ok(()),
            _ => Err(ObserveError::Invalid(
                "GroupInfo is not the committer's".into(),
            )),
        }
    }

    fn device_at(&self, index: u32) -> Option<DeviceId> {
        let member = self.group.roster().member_with_index(index).ok()?;
        device_of(&member.signing_identity)
    }
}

fn check_clock(time: UnixMillis, now: UnixMillis) -> Result<(), ObserveError> {
    if time > now.plus(CLOCK_SLACK_MS) {
        return Err(ObserveError::Invalid(
            "the sender's clock is more than five minutes ahead: set it".into(),
        ));
    }
    Ok(())
}

pub(super) fn client(judge: &Judge) -> ExternalClient<Config> {
    ExternalClient::builder()
        .identity_provider(judge.clone())
        .crypto_provider(crypto_provider())
        .mls_rules(judge.clone())
        .extension_type(context::CHANNEL)
        .build()
}

struct Saved {
    basis: Option<Basis>,
    generation: u32,
    group: cbor::Bytes,
}

cbor::cbor_struct!(Saved {
    basis,
    generation,
    group
});

impl Cbor for Basis {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        self.seq.put(w);
        self.time.put(w);
    }

    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        array(d, 2)?;
        Ok(Self {
            seq: LedgerSeq::get(d)?,
            time: UnixMillis::get(d)?,
        })
    }
}

/// The clear part of an MLS private message (RFC 9420 sections 6 and 6.3), which mls-rs keeps to
/// itself.
struct Outer {
    group_id: Vec<u8>,
    epoch: u64,
    content_type: u8,
    authenticated_data: Vec<u8>,
}

impl Outer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let reader = &mut &*bytes;
        let version = u16::mls_decode(reader).ok()?;
        let wire_format = u16::mls_decode(reader).ok()?;
        if (version, wire_format) != (1, 2) {
            return None;
        }
        Some(Self {
            group_id: byte_vec::mls_decode(reader).ok()?,
            epoch: u64::mls_decode(reader).ok()?,
            content_type: u8::mls_decode(reader).ok()?,
            authenticated_data: byte_vec::mls_decode(reader).ok()?,
        })
    }
}
