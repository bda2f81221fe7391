//! MLS behind the engine's own seam: no MLS type crosses this module.
//!
//! | operation            | group is stored? | on failure                                   |
//! |----------------------|------------------|----------------------------------------------|
//! | [`Mls::found`]       | when saved       | drop it                                      |
//! | [`Mls::enter`]       | when saved       | drop it; try again with the newest GroupInfo |
//! | [`Mls::join`]        | when saved       | drop it                                      |
//! | [`Group::seal`]      | when saved       | reload                                       |
//! | [`Group::process`]   | when saved       | reload                                       |
//! | [`Group::commit`]    | unchanged        | drop the secrets                             |
//! | [`Group::apply`]     | when saved       | reload                                       |
//!
//! Stored is the state as of a commit, with the tree, and of each message since then what used a key:
//! a state of 1,000 devices takes 2 ms to copy and to write. A group that is loaded uses those keys
//! up again, so none is ever used twice. The secrets that they came from lie in the store until the
//! state is written whole ([`Group::settle`]): after so many messages, or once the channel is quiet.
//! Until then they open no more than the store shows anyway.
//!
//! A group with a commit of its own under way may process another's: the pending one is then void.
//! Everything runs in the engine's transaction; after any failure the engine drops the group and
//! loads it again.

mod group;
mod members;
mod roll;
pub(crate) mod storage;

use std::time::Duration;

use mls_rs::{
    Client, ExtensionList, MlsMessage,
    client_builder::{
        BaseConfig, MakeConfig, WithCryptoProvider, WithGroupStateStorage, WithIdentityProvider,
        WithKeyPackageRepo, WithMlsRules,
    },
    crypto::SignatureSecretKey,
    error::MlsError,
    extension::recommended::LastResortKeyPackageExt,
    group::ExportedTree,
};
use mls_rs_core::{key_package::KeyPackageStorage as _, time::MlsTime};
use plenary_certs::{
    ledger::Standing,
    mls::{
        auth_data::AuthData,
        context::{self, ChannelContext},
        credential::{device_of, signing_identity},
        judge::{Basis, Judge, JudgeError, LedgerHandle},
        suite::{HYBRID, PlenaryCrypto, crypto_provider},
    },
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, UnixMillis},
    limits,
};

pub(crate) use group::{Group, Processed};
pub(crate) use members::Members;
use storage::{Groups, KeyPackages};

use crate::store::Store;

type Config = MakeConfig<
    WithMlsRules<
        Judge,
        WithGroupStateStorage<
            Groups,
            WithKeyPackageRepo<
                KeyPackages,
                WithCryptoProvider<PlenaryCrypto, WithIdentityProvider<Judge, BaseConfig>>,
            >,
        >,
    >,
>;

/// Clocks differ: a leaf must not seem to come from the future, so its life begins that much before it
/// is made.
const LIFETIME_SLACK: Duration = Duration::from_secs(24 * 3600);

/// The same for one who enters. mls-rs has one time for a new leaf's beginning and for looking at the
/// others' lives: where that is before another's beginning, whose clock is ahead, the next is tried.
const ENTRY_SLACK: [Duration; 5] = [
    LIFETIME_SLACK,
    Duration::from_secs(12 * 3600),
    Duration::from_secs(6 * 3600),
    Duration::from_secs(3 * 3600),
    Duration::ZERO,
];

/// Why MLS did not do it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum GroupError {
    /// The judge's word.
    #[error(transparent)]
    Judged(#[from] JudgeError),
    /// The bytes are not what they claim to be, or do not fit this group.
    #[error("{0}")]
    Invalid(String),
    /// Made in another epoch.
    #[error("made in another epoch")]
    OtherEpoch,
    /// Somebody in the group is not to be relied on now.
    #[error("device {0} is from beyond what the last heartbeat vouched for")]
    Beyond(DeviceId),
    /// The key of this message was used: it was opened before.
    #[error("opened before")]
    Used,
    /// The profile's store failed under MLS.
    #[error("{0}")]
    Store(String),
    /// There is no such group here.
    #[error("this device holds no state of the channel")]
    Missing,
}

impl From<MlsError> for GroupError {
    fn from(error: MlsError) -> Self {
        match (JudgeError::inside(&error), &error) {
            (Some(word), _) => Self::Judged(word.clone()),
            (None, MlsError::InvalidEpoch) => Self::OtherEpoch,
            (None, MlsError::KeyMissing(_)) => Self::Used,
            (None, MlsError::GroupNotFound) => Self::Missing,
            (None, MlsError::GroupStorageError(any)) => {
                match any
                    .inner_dyn_error()
                    .downcast_ref::<storage::StorageError>()
                {
                    Some(failed) => failed.clone().into(),
                    None => Self::Invalid(format!("MLS: {error}")),
                }
            }
            (None, _) => Self::Invalid(format!("MLS: {error}")),
        }
    }
}

impl From<storage::StorageError> for GroupError {
    fn from(error: storage::StorageError) -> Self {
        match error {
            storage::StorageError::Database(why) => Self::Store(why),
            storage::StorageError::Codec(why) => Self::Invalid(why),
        }
    }
}

/// This device in MLS.
pub(crate) struct Mls {
    client: Client<Config>,
    judge: Judge,
    groups: Groups,
    packages: KeyPackages,
}

/// An external commit, ready to be sent.
pub(crate) struct Entry {
    pub(crate) commit: Vec<u8>,
    pub(crate) group_info: Vec<u8>,
}

impl Mls {
    pub(crate) fn new(
        store: &Store,
        ledger: &LedgerHandle,
        device: DeviceId,
        key: &SigningKey,
    ) -> Self {
        let judge = Judge::new(ledger.clone());
        let groups = Groups(store.clone());
        let packages = KeyPackages(store.clone());
        let public = key.public();
        // AWS-LC's form of an Ed25519 secret key: seed, then public key.
        let secret = SignatureSecretKey::new([&key.seed()[..], &public.0[..]].concat());
        let client = Client::builder()
            .identity_provider(judge.clone())
            .crypto_provider(crypto_provider())
            .key_package_repo(packages.clone())
            .group_state_storage(groups.clone())
            .mls_rules(judge.clone())
            .extension_type(context::CHANNEL)
            .key_package_lifetime(limits::KEY_PACKAGE_LIFE + LIFETIME_SLACK)
            .signing_identity(signing_identity(device, &public), secret, HYBRID)
            .build();
        Self {
            client,
            judge,
            groups,
            packages,
        }
    }

    /// A new key package; its secrets are stored.
    pub(crate) fn key_package(
        &self,
        now: UnixMillis,
        last_resort: bool,
    ) -> Result<Vec<u8>, GroupError> {
        let mut extensions = ExtensionList::new();
        if last_resort {
            extensions
                .set_from(LastResortKeyPackageExt)
                .map_err(|error| GroupError::Invalid(error.to_string()))?;
        }
        let package = self.client.generate_key_package_message(
            extensions,
            ExtensionList::new(),
            Some(seconds(now, LIFETIME_SLACK)),
        )?;
        Ok(package.to_bytes()?)
    }

    /// A new group with this device alone; returns GroupInfo and tree for the server.
    pub(crate) fn found(
        &self,
        context: &ChannelContext,
        basis: Basis,
    ) -> Result<(Group, Vec<u8>, Vec<u8>), GroupError> {
        let mut extensions = ExtensionList::new();
        extensions.set(context.extension());
        let group = self.judge.at(basis, || {
            self.client.create_group_with_id(
                context.channel.0.to_vec(),
                extensions,
                ExtensionList::new(),
                Some(seconds(basis.time, LIFETIME_SLACK)),
            )
        })?;
        let info = group
            .group_info_message_allowing_ext_commit(false)?
            .to_bytes()?;
        let tree = group.export_tree().to_bytes()?;
        Ok((self.wrap(group), info, tree))
    }

    /// Enters by external commit: the group as it will be once the server takes the commit.
    ///
    /// Refuses to encrypt to a leaf that the newest ledger does not back. A former leaf of this
    /// device goes with it.
    pub(crate) fn enter(
        &self,
        channel: ChannelId,
        group_info: &[u8],
        tree: &[u8],
        data: &AuthData,
    ) -> Result<(Group, Entry), GroupError> {
        let basis = Basis {
            seq: data.ledger.seq,
            time: data.time,
        };
        let info = MlsMessage::from_bytes(group_info)?;
        let old = self.check_tree(tree, basis)?;
        let tree = ExportedTree::from_bytes(tree)?.into_owned();
        let build = |slack: Duration| {
            let mut builder = self
                .client
                .external_commit_builder()?
                .with_tree_data(tree.clone())
                .with_authenticated_data(data.encode())
                .commit_time(seconds(basis.time, slack));
            if let Some(index) = old {
                builder = builder.with_removal(index);
            }
            self.judge.at(basis, || builder.build(info.clone()))
        };
        let [first, others @ ..] = ENTRY_SLACK;
        let built = others
            .into_iter()
            .fold(build(first), |built, slack| match built {
                Err(MlsError::InvalidLifetime { .. }) => build(slack),
                built => built,
            });
        let (group, commit) = built?;
        let group = self.wrap(group);
        group.check_context(channel)?;
        let entry = Entry {
            commit: commit.to_bytes()?,
            group_info: group.group_info()?,
        };
        Ok((group, entry))
    }

    /// Every leaf of a tree must be live; returns this device's own leaf if it has one.
    fn check_tree(&self, tree: &[u8], basis: Basis) -> Result<Option<u32>, GroupError> {
        let tree = ExportedTree::from_bytes(tree)?;
        let (own, _) = self.client.signing_identity()?;
        let own = device_of(own);
        let mut old = None;
        for member in tree.roster().members_iter() {
            let device = device_of(&member.signing_identity).ok_or(JudgeError::NoDevice)?;
            if Some(device) == own {
                old = Some(member.index);
                continue;
            }
            let standing = self
                .judge
                .ledger()
                .read(|ledger| ledger.standing(device, basis.seq, basis.time));
            match standing {
                Standing::Live => {}
                Standing::Unknown => return Err(JudgeError::NotLive { device, standing }.into()),
                _ => return Err(JudgeError::Fenced(device).into()),
            }
        }
        Ok(old)
    }

    /// Every device in a tree.
    pub(crate) fn leaves(&self, tree: &[u8]) -> Result<Vec<DeviceId>, GroupError> {
        let tree = ExportedTree::from_bytes(tree)?;
        tree.roster()
            .members_iter()
            .map(|member| {
                device_of(&member.signing_identity).ok_or_else(|| JudgeError::NoDevice.into())
            })
            .collect()
    }

    /// Joins by welcome; also says who added this device.
    pub(crate) fn join(
        &self,
        channel: ChannelId,
        welcome: &[u8],
        tree: &[u8],
    ) -> Result<(Group, DeviceId), GroupError> {
        let welcome = MlsMessage::from_bytes(welcome)?;
        let tree = ExportedTree::from_bytes(tree)?;
        let (group, info) = self.client.join_group(Some(tree), &welcome, None)?;
        let mut group = self.wrap(group);
        group.check_context(channel)?;
        let adder = group.device_at(info.sender).ok_or(JudgeError::NoDevice)?;
        Ok((group, adder))
    }

    /// The group as it was saved last.
    pub(crate) fn load(&self, channel: ChannelId) -> Result<Group, GroupError> {
        let tree = self
            .groups
            .tree(channel.as_bytes())?
            .ok_or(GroupError::Missing)?;
        let tree = ExportedTree::from_bytes(&tree)?;
        let group = self
            .client
            .load_group_with_ratchet_tree(channel.as_bytes(), tree)?;
        let used = self.groups.used(channel.as_bytes())?;
        let mut group = self.wrap(group);
        group.use_up(&used)?;
        Ok(group)
    }

    /// Forgets a group.
    pub(crate) fn forget(&self, channel: ChannelId) -> Result<(), GroupError> {
        Ok(self.groups.remove(channel.as_bytes())?)
    }

    /// The device that a key package is for, if the judge accepts its leaf.
    pub(crate) fn check_key_package(&self, package: &[u8]) -> Result<DeviceId, GroupError> {
        let message = MlsMessage::from_bytes(package)?;
        let package = message
            .as_key_package()
            .ok_or_else(|| GroupError::Invalid("not a key package".to_owned()))?;
        let device = device_of(package.signing_identity()).ok_or(JudgeError::NoDevice)?;
        if message.cipher_suite() != Some(HYBRID) {
            return Err(GroupError::Invalid(
                "a key package of another suite than the network's".to_owned(),
            ));
        }
        let known = self
            .judge
            .ledger()
            .read(|ledger| ledger.device(device).map(|device| device.keys.mls));
        if known.map(|key| key.0.to_vec())
            != Some(package.signing_identity().signature_key.as_bytes().to_vec())
        {
            return Err(JudgeError::WrongKey { device }.into());
        }
        Ok(device)
    }

    /// Erases key packages whose life is over.
    pub(crate) fn erase_expired(&self, now: UnixMillis) -> Result<(), GroupError> {
        let ids: Vec<Vec<u8>> = {
            let connection = self.packages.0.lock();
            let mut query = connection
                .prepare("SELECT id FROM mls_key_package")
                .map_err(storage::StorageError::from)?;
            let rows = query
                .query_map([], |row| row.get(0))
                .map_err(storage::StorageError::from)?;
            rows.collect::<Result<_, _>>()
                .map_err(storage::StorageError::from)?
        };
        let mut packages = self.packages.clone();
        for id in ids {
            if packages
                .get(&id)?
                .is_some_and(|data| data.expiration < now.0 / 1000)
            {
                packages.delete(&id)?;
            }
        }
        Ok(())
    }

    fn wrap(&self, group: mls_rs::Group<Config>) -> Group {
        Group::new(group, self.judge.clone(), self.groups.clone())
    }
}

fn seconds(now: UnixMillis, before: Duration) -> MlsTime {
    MlsTime::from((now.0 / 1000).saturating_sub(before.as_secs()))
}
