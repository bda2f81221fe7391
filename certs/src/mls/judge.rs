//! Validity of leaves and commits, judged alike by every member and the server, now and in ten
//! years: from the commit, the ledger prefix and the time that its authenticated data names.
//!
//! MLS calls [`Judge`] as its identity provider (each leaf) and as its rules (each commit). Neither
//! call carries the authenticated data, so whoever processes or makes a commit first says by
//! [`Judge::at`] as of when. Outside a commit the whole ledger counts, revoked leaves included:
//! a group that still holds one must stay joinable, or nobody could remove it.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use mls_rs::{
    MlsRules,
    client_builder::PaddingMode,
    error::IntoAnyError,
    group::{
        GroupContext, Roster, Sender,
        proposal::{Proposal, ProposalType, RemoveProposal},
    },
    mls_rules::{
        CommitDirection, CommitOptions, CommitSource, EncryptionOptions, ProposalBundle,
        ProposalSource,
    },
};
use mls_rs_core::{
    extension::ExtensionList,
    identity::{CredentialType, IdentityProvider, MemberValidationContext, SigningIdentity},
    time::MlsTime,
};
use plenary_proto::ids::{ChannelId, DeviceId, LedgerHead, LedgerSeq, MemberId, UnixMillis};

use super::{
    auth_data::AuthData,
    context::{ChannelContext, Rule},
    credential::{self, device_of},
};
use crate::ledger::{EntryRule, Ledger, Standing};

/// The ledger, shared between those who append to it and the judges that read it.
#[derive(Debug, Clone)]
pub struct LedgerHandle(Arc<RwLock<Ledger>>);

impl LedgerHandle {
    /// Shares a ledger.
    pub fn new(ledger: Ledger) -> Self {
        Self(Arc::new(RwLock::new(ledger)))
    }

    /// Reads it.
    pub fn read<T>(&self, read: impl FnOnce(&Ledger) -> T) -> T {
        read(&self.guard())
    }

    /// Appends to it. A panic of another holder leaves the ledger as it was: appending is all or
    /// nothing.
    pub fn write<T>(&self, write: impl FnOnce(&mut Ledger) -> T) -> T {
        write(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn guard(&self) -> RwLockReadGuard<'_, Ledger> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a leaf or a commit is not valid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JudgeError {
    /// The authenticated data names a ledger that this side has not read so far: read it, try again.
    #[error("made with the ledger up to statement {}; this side has fewer", .named.0)]
    LedgerAhead {
        /// The statement needed.
        named: LedgerSeq,
    },
    /// The authenticated data names another ledger than the Board's.
    #[error("made with another ledger: statement {} has another hash there", .named.0)]
    OtherLedger {
        /// The statement that differs.
        named: LedgerSeq,
    },
    /// The authenticated data cannot be read.
    #[error("unreadable authenticated data: {0}")]
    AuthData(String),
    /// Below what an earlier commit named.
    #[error("names an older ledger or time than the commit before it")]
    Backwards,
    /// A leaf without a live DEVICE statement of a live member.
    #[error("{device:?} is {standing} in the ledger")]
    NotLive {
        /// The leaf's device.
        device: DeviceId,
        /// What the ledger says.
        standing: Standing,
    },
    /// A leaf with another key than its DEVICE statement.
    #[error("{device:?} carries a key that the ledger does not give it")]
    WrongKey {
        /// The leaf's device.
        device: DeviceId,
    },
    /// A leaf that names no device.
    #[error("a leaf without a device credential")]
    NoDevice,
    /// The commit leaves leaves that the ledger revoked, suspended or let lapse.
    #[error("leaves {0:?} in the group, which the ledger has out")]
    Fenced(DeviceId),
    /// The group context is not that of this network's channel.
    #[error("the group does not say which channel it is: {0}")]
    Context(String),
    /// The channel's entry rule does not allow it.
    #[error("{device:?} may not {what} in this channel")]
    NotAllowed {
        /// Who tried.
        device: DeviceId,
        /// What.
        what: &'static str,
    },
    /// A group is founded anew only when nobody live is left in it.
    #[error("{0:?} is live and in the group: it is not founded anew over its head")]
    StillLive(DeviceId),
    /// A proposal of a kind that Plenary does not use, or by reference.
    #[error("a proposal of a kind that has no place here")]
    Proposal,
}

impl IntoAnyError for JudgeError {
    fn into_dyn_error(self) -> Result<Box<dyn std::error::Error + Send + Sync>, Self> {
        Ok(Box::new(self))
    }
}

impl JudgeError {
    /// The judge's word inside an error of MLS, if it was the judge who refused.
    pub fn inside(error: &mls_rs::error::MlsError) -> Option<&Self> {
        use mls_rs::error::MlsError;
        match error {
            MlsError::IdentityProviderError(any) | MlsError::MlsRulesError(any) => {
                any.inner_dyn_error().downcast_ref()
            }
            _ => None,
        }
    }
}

/// As of when a commit is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Basis {
    /// The ledger prefix.
    pub seq: LedgerSeq,
    /// The moment, for admissions that end.
    pub time: UnixMillis,
}

impl Basis {
    /// The basis that authenticated data names, if `ledger` bears it out.
    ///
    /// Errors: [`JudgeError::LedgerAhead`], [`JudgeError::OtherLedger`], [`JudgeError::Backwards`].
    pub fn of(
        data: &AuthData,
        ledger: &Ledger,
        previous: Option<Basis>,
    ) -> Result<Self, JudgeError> {
        check_ledger(&data.ledger, ledger)?;
        let basis = Self {
            seq: data.ledger.seq,
            time: data.time,
        };
        match previous {
            Some(previous) if basis.seq < previous.seq || basis.time < previous.time => {
                Err(JudgeError::Backwards)
            }
            _ => Ok(basis),
        }
    }
}

/// Whether somebody's ledger is a prefix of this one.
pub fn check_ledger(named: &LedgerHead, ledger: &Ledger) -> Result<(), JudgeError> {
    match ledger.head_at(named.seq) {
        None => Err(JudgeError::LedgerAhead { named: named.seq }),
        Some(head) if head.hash != named.hash => Err(JudgeError::OtherLedger { named: named.seq }),
        Some(_) => Ok(()),
    }
}

/// Identity provider and rules of MLS, over the ledger. Clones share the ledger and the basis.
#[derive(Debug, Clone)]
pub struct Judge {
    ledger: LedgerHandle,
    basis: Arc<Mutex<Option<Basis>>>,
}

impl Judge {
    /// A judge over a ledger; one for each group that is processed at a time.
    pub fn new(ledger: LedgerHandle) -> Self {
        Self {
            ledger,
            basis: Arc::default(),
        }
    }

    /// The ledger it reads.
    pub fn ledger(&self) -> &LedgerHandle {
        &self.ledger
    }

    /// Runs `work` (processing or making one commit) with everything judged as of `basis`.
    pub fn at<T>(&self, basis: Basis, work: impl FnOnce() -> T) -> T {
        self.set(Some(basis));
        let result = work();
        self.set(None);
        result
    }

    fn set(&self, basis: Option<Basis>) {
        *self.basis.lock().unwrap_or_else(PoisonError::into_inner) = basis;
    }

    fn basis(&self) -> Option<Basis> {
        *self.basis.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn validate(&self, identity: &SigningIdentity, must_live: bool) -> Result<(), JudgeError> {
        let device = device_of(identity).ok_or(JudgeError::NoDevice)?;
        let ledger = self.ledger.guard();
        let known = ledger.device(device).ok_or(JudgeError::NotLive {
            device,
            standing: Standing::Unknown,
        })?;
        if identity.signature_key.as_bytes() != known.keys.mls.as_bytes() {
            return Err(JudgeError::WrongKey { device });
        }
        match self.basis() {
            Some(basis) if must_live => live(&ledger, device, basis),
            _ => Ok(()),
        }
    }
}

pub(super) fn live(ledger: &Ledger, device: DeviceId, basis: Basis) -> Result<(), JudgeError> {
    match ledger.standing(device, basis.seq, basis.time) {
        Standing::Live => Ok(()),
        standing => Err(JudgeError::NotLive { device, standing }),
    }
}

/// The devices of a roster that the ledger no longer backs, with their leaf indices.
pub fn not_live(roster: &Roster<'_>, ledger: &Ledger, basis: Basis) -> Vec<(u32, DeviceId)> {
    roster
        .members_iter()
        .filter_map(|member| {
            let device = device_of(&member.signing_identity)?;
            live(ledger, device, basis)
                .is_err()
                .then_some((member.index, device))
        })
        .collect()
}

/// Owner and rule of a channel as of a ledger prefix.
///
/// A channel on the ledger is as its CHANNEL statement says; one that is not must be direct.
pub fn entry(
    context: &ChannelContext,
    ledger: &Ledger,
    at: LedgerSeq,
) -> Result<(MemberId, Rule), JudgeError> {
    if ledger.network() != context.network {
        return Err(JudgeError::Context(
            "it belongs to another network".to_owned(),
        ));
    }
    match (ledger.channel_at(context.channel, at), context.rule) {
        (Some(channel), Rule::Open | Rule::Granted) => Ok((
            channel.owner,
            match channel.rule {
                EntryRule::Open => Rule::Open,
                EntryRule::Granted => Rule::Granted,
            },
        )),
        (None, Rule::Direct { owner }) => Ok((owner, context.rule)),
        (Some(_), Rule::Direct { .. }) => Err(JudgeError::Context(
            "a channel of the ledger is not direct".to_owned(),
        )),
        (None, _) => Err(JudgeError::Context(
            "the ledger does not know this channel".to_owned(),
        )),
    }
}

/// Those of a channel's devices whose members' GRANT was taken back, as of a ledger prefix. Any
/// member may remove them; the owner stays.
pub fn withdrawn(
    devices: impl Iterator<Item = DeviceId>,
    ledger: &Ledger,
    at: LedgerSeq,
    channel: ChannelId,
    entry: (MemberId, Rule),
) -> Vec<DeviceId> {
    let goes = |device: &DeviceId| {
        let member = ledger.device(*device).map(|known| known.member);
        member.is_some_and(|member| is_withdrawn(ledger, at, channel, entry, member))
    };
    devices.filter(goes).collect()
}

fn is_withdrawn(
    ledger: &Ledger,
    at: LedgerSeq,
    channel: ChannelId,
    (owner, rule): (MemberId, Rule),
    member: MemberId,
) -> bool {
    rule == Rule::Granted && member != owner && ledger.withdrawn(channel, member, at)
}

/// Whether one member may add a device of another, or of their own, as of a ledger prefix: by the
/// owner, of the owner, of a member with a GRANT; in a direct channel also a sibling, since nobody
/// new reads along. An open channel anybody may enter; whose GRANT was taken back nobody adds.
pub fn may_add(
    ledger: &Ledger,
    at: LedgerSeq,
    channel: ChannelId,
    (owner, rule): (MemberId, Rule),
    adder: MemberId,
    added: MemberId,
) -> bool {
    if is_withdrawn(ledger, at, channel, (owner, rule), added) {
        return false;
    }
    rule == Rule::Open
        || adder == owner
        || added == owner
        || ledger.granted(channel, added, at)
        || (matches!(rule, Rule::Direct { .. }) && added == adder)
}

impl IdentityProvider for Judge {
    type Error = JudgeError;

    fn validate_member(
        &self,
        identity: &SigningIdentity,
        _: Option<MlsTime>,
        context: MemberValidationContext<'_>,
    ) -> Result<(), JudgeError> {
        self.validate(
            identity,
            matches!(context, MemberValidationContext::ForCommit { .. }),
        )
    }

    fn validate_external_sender(
        &self,
        _: &SigningIdentity,
        _: Option<MlsTime>,
        _: Option<&ExtensionList>,
    ) -> Result<(), JudgeError> {
        Err(JudgeError::Proposal)
    }

    // Called about n² times on a join: no lock, no parsing.
    fn identity(
        &self,
        identity: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<Vec<u8>, JudgeError> {
        Ok(identity
            .credential
            .as_custom()
            .map(|own| own.data.clone())
            .unwrap_or_default())
    }

    fn valid_successor(
        &self,
        predecessor: &SigningIdentity,
        successor: &SigningIdentity,
        _: &ExtensionList,
    ) -> Result<bool, JudgeError> {
        Ok(device_of(predecessor).is_some() && device_of(predecessor) == device_of(successor))
    }

    fn supported_types(&self) -> Vec<CredentialType> {
        vec![credential::DEVICE]
    }
}

impl MlsRules for Judge {
    type Error = JudgeError;

    fn filter_proposals(
        &self,
        direction: CommitDirection,
        source: CommitSource,
        roster: &Roster<'_>,
        context: &GroupContext,
        mut proposals: ProposalBundle,
    ) -> Result<ProposalBundle, JudgeError> {
        let basis = self
            .basis()
            .ok_or_else(|| JudgeError::AuthData("a commit without any".to_owned()))?;
        let context = channel_context(context)?;
        let ledger = self.ledger.guard();
        let committer = Committer::new(&source, &ledger, basis)?;
        if let (CommitDirection::Send, Some(index)) = (direction, committer.index) {
            for (leaf, _) in not_live(roster, &ledger, basis) {
                if !proposals
                    .remove_proposals()
                    .iter()
                    .any(|info| info.proposal.to_remove() == leaf)
                {
                    proposals.add(
                        Proposal::Remove(
                            RemoveProposal::removing(leaf).map_err(|_| JudgeError::Proposal)?,
                        ),
                        Sender::Member(index),
                        ProposalSource::ByValue,
                    );
                }
            }
        }
        check_kinds(&proposals)?;
        let (owner, rule) = entry(&context, &ledger, basis.seq)?;
        let entry = (owner, rule);
        committer.check_removals(&proposals, roster, &ledger, basis, context.channel, entry)?;
        committer.check_entries(&proposals, &ledger, basis, &context, owner, rule)?;
        Ok(proposals)
    }

    fn commit_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
        proposals: &ProposalBundle,
    ) -> Result<CommitOptions, JudgeError> {
        // The tree stays on the server, once. A commit that only adds needs no path: newcomers
        // bring theirs, and the first message costs less.
        let only_adds =
            proposals.length() > 0 && proposals.length() == proposals.add_proposals().len();
        Ok(CommitOptions::new()
            .with_path_required(!only_adds)
            .with_ratchet_tree_extension(false)
            .with_single_welcome_message(true)
            .with_allow_external_commit(true))
    }

    fn encryption_options(
        &self,
        _: &Roster<'_>,
        _: &GroupContext,
    ) -> Result<EncryptionOptions, JudgeError> {
        // Handshakes in clear for the observer; content is padded before it comes here.
        Ok(EncryptionOptions::new(false, PaddingMode::None))
    }
}

fn channel_context(context: &GroupContext) -> Result<ChannelContext, JudgeError> {
    let channel = ChannelContext::of(&context.extensions)
        .map_err(|error| JudgeError::Context(error.to_string()))?;
    if context.group_id != channel.channel.as_bytes() {
        return Err(JudgeError::Context(
            "group id and channel differ".to_owned(),
        ));
    }
    Ok(channel)
}

fn check_kinds(proposals: &ProposalBundle) -> Result<(), JudgeError> {
    let known = [
        ProposalType::ADD,
        ProposalType::REMOVE,
        ProposalType::EXTERNAL_INIT,
    ];
    let all_known = proposals.proposal_types().all(|kind| known.contains(&kind));
    let by_value = proposals.iter_proposals().all(|info| info.is_by_value());
    if all_known && by_value {
        Ok(())
    } else {
        Err(JudgeError::Proposal)
    }
}

/// Who commits: a leaf, or a device that enters.
struct Committer {
    device: DeviceId,
    member: MemberId,
    index: Option<u32>,
}

impl Committer {
    fn new(source: &CommitSource, ledger: &Ledger, basis: Basis) -> Result<Self, JudgeError> {
        let (identity, index) = match source {
            CommitSource::ExistingMember(member) => (&member.signing_identity, Some(member.index)),
            CommitSource::NewMember(identity) => (identity, None),
        };
        let device = device_of(identity).ok_or(JudgeError::NoDevice)?;
        live(ledger, device, basis)?;
        let member = ledger
            .device(device)
            .ok_or(JudgeError::NotLive {
                device,
                standing: Standing::Unknown,
            })?
            .member;
        Ok(Self {
            device,
            member,
            index,
        })
    }

    /// Whoever is no longer live goes with this commit; whoever is live goes by own will, by the
    /// owner's, or since the Board took their GRANT back.
    fn check_removals(
        &self,
        proposals: &ProposalBundle,
        roster: &Roster<'_>,
        ledger: &Ledger,
        basis: Basis,
        channel: ChannelId,
        (owner, rule): (MemberId, Rule),
    ) -> Result<(), JudgeError> {
        let removed: Vec<u32> = proposals
            .remove_proposals()
            .iter()
            .map(|info| info.proposal.to_remove())
            .collect();
        let gone = not_live(roster, ledger, basis);
        if let Some((_, device)) = gone.iter().find(|(index, _)| !removed.contains(index)) {
            return Err(JudgeError::Fenced(*device));
        }
        for index in removed {
            if gone.iter().any(|(dead, _)| *dead == index) {
                continue;
            }
            let leaf = roster
                .member_with_index(index)
                .map_err(|_| JudgeError::Proposal)?;
            let device = device_of(&leaf.signing_identity).ok_or(JudgeError::NoDevice)?;
            let member = ledger.device(device).map(|known| known.member);
            // From outside, a device takes out its own old leaf only.
            let own = match self.index {
                Some(_) => member == Some(self.member),
                None => device == self.device,
            };
            let goes = self.member == owner
                || member.is_some_and(|member| {
                    is_withdrawn(ledger, basis.seq, channel, (owner, rule), member)
                });
            if !own && (self.index.is_none() || !goes) {
                return Err(JudgeError::NotAllowed {
                    device: self.device,
                    what: "remove another",
                });
            }
        }
        Ok(())
    }

    fn check_entries(
        &self,
        proposals: &ProposalBundle,
        ledger: &Ledger,
        basis: Basis,
        context: &ChannelContext,
        owner: MemberId,
        rule: Rule,
    ) -> Result<(), JudgeError> {
        if self.index.is_none() {
            let returns = proposals.remove_proposals().len() == 1;
            return if rule == Rule::Open || returns {
                Ok(())
            } else {
                Err(JudgeError::NotAllowed {
                    device: self.device,
                    what: "enter by itself",
                })
            };
        }
        for add in proposals.add_proposals() {
            let device = device_of(add.proposal.signing_identity()).ok_or(JudgeError::NoDevice)?;
            let member = ledger.device(device).map(|known| known.member);
            let may = member.is_some_and(|member| {
                let entry = (owner, rule);
                may_add(
                    ledger,
                    basis.seq,
                    context.channel,
                    entry,
                    self.member,
                    member,
                )
            });
            if !may {
                return Err(JudgeError::NotAllowed {
                    device: self.device,
                    what: "add another",
                });
            }
        }
        Ok(())
    }
}
