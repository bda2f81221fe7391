//! What all sessions of a server share: one network with its ledger, groups, keys and limits.

use std::sync::{Arc, PoisonError, RwLock};

use futures_util::lock::{Mutex as AsyncMutex, MutexGuard};
use plenary_certs::{
    ledger::{LIVE_DEVICES, Ledger, Standing},
    mls::judge::LedgerHandle,
};
use plenary_proto::ids::{
    ChannelHead, ChannelId, DeviceId, Digest, InvitationId, LedgerHead, LedgerSeq, MemberId,
    NetworkId, PublicKey, UnixMillis,
};
use plenary_proto::{reply::SignedHead, rooms::Rooms};
use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::{
    channels::Channels,
    config::Config,
    error::OpError,
    heads::HeadSigner,
    hub::Hub,
    items::{Items, token::Tokens},
    keys,
    leases::Table,
    rate::Rates,
    store::{Store, StoreError},
    stored::{Founding, Stored},
    stored_ledger::StoredLedger,
};

/// An honest device in want of the roster key asks every three seconds until it has it, and each time
/// every device of the Board that is there may be told.
const WANTS_PER_MINUTE: u32 = 4;

/// What a network is made of.
pub struct Parts {
    /// Log, values, queues.
    pub store: Arc<dyn Store>,
    /// Files as exchanged.
    pub items: Arc<dyn Items>,
    /// Open connections.
    pub hub: Arc<dyn Hub>,
    /// The server's identity key (Ed25519).
    pub key: Ed25519KeyPair,
    /// Fresh random bytes at every start: keys the item tokens.
    pub token_key: [u8; 32],
    /// Limits.
    pub config: Config,
}

/// Why a network cannot be served from this store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A lease of an item cannot be read.
    #[error("the leases of items in the store cannot be read: {0}; restore them from a backup")]
    Leases(String),
    /// An entry of the ledger is missing or not what was accepted.
    #[error("the ledger in the store breaks at {}: {why}; restore it from a backup or an export", seq.0)]
    Ledger {
        /// Where.
        seq: LedgerSeq,
        /// What is wrong.
        why: String,
    },
    /// The ledger names another server.
    #[error(
        "the ledger names the server key {stated}, this server has {own}: use the key that belongs to this data, or have the Board name this one and run `plenary-server key replace`"
    )]
    OtherKey {
        /// By the newest SERVER statement.
        stated: PublicKey,
        /// Ours.
        own: PublicKey,
    },
    /// The server's key is unusable.
    #[error("the server's identity key is no Ed25519 key")]
    Key,
}

/// One network, as this server serves it.
pub struct Network {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) items: Arc<dyn Items>,
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) key: Arc<Ed25519KeyPair>,
    pub(crate) public: PublicKey,
    config: RwLock<Config>,
    pub(crate) channels: Channels,
    pub(crate) messages: Rates,
    pub(crate) claims: Rates,
    pub(crate) packages: Rates,
    pub(crate) countersignatures: Rates,
    pub(crate) vouches: Rates<MemberId>,
    /// How often the Board's devices hear of one that has no roster key.
    pub(crate) wants: Rates,
    pub(crate) tokens: Tokens,
    /// Where frames in parts are joined.
    pub(crate) rooms: Rooms,
    /// Room taken. Whoever changes a lease holds it.
    pub(crate) leases: AsyncMutex<Table>,
    heads: HeadSigner,
    pub(crate) ledger: StoredLedger,
    ledger_writer: AsyncMutex<()>,
    #[cfg(plenary_seeded_bugs)]
    pub(crate) late: crate::seeded::Late,
}

impl Network {
    /// Reads and verifies the whole ledger, and starts to forward the store's hints.
    pub async fn load(parts: Parts) -> Result<Arc<Self>, LoadError> {
        let Parts {
            store,
            items,
            hub,
            key,
            token_key,
            config,
        } = parts;
        let public = PublicKey::try_from(key.public_key().as_ref()).map_err(|_| LoadError::Key)?;
        let key = Arc::new(key);
        let network = Self {
            channels: Channels::new(config.groups),
            messages: Rates::per_minute(
                config.limits.messages_per_minute,
                config.limits.message_burst,
            ),
            claims: Rates::per_minute(config.claims_per_minute, config.claims_per_minute),
            packages: Rates::per_minute(config.packages_per_minute, config.packages_per_minute),
            countersignatures: Rates::per_minute(
                config.countersignatures_per_minute,
                config.countersignatures_per_minute,
            ),
            vouches: Rates::per_hour(config.vouches_per_hour, LIVE_DEVICES as u32),
            wants: Rates::per_minute(WANTS_PER_MINUTE, WANTS_PER_MINUTE),
            tokens: Tokens::new(&token_key),
            rooms: Rooms::for_transfers(2),
            leases: AsyncMutex::default(),
            heads: HeadSigner::new(key.clone()),
            ledger: StoredLedger::default(),
            ledger_writer: AsyncMutex::new(()),
            #[cfg(plenary_seeded_bugs)]
            late: AsyncMutex::default(),
            store,
            items,
            hub,
            key,
            public,
            config: RwLock::new(config),
        };
        network.ledger.catch_up(&*network.store).await?;
        let leases = network.load_leases().await;
        leases.map_err(|error| LoadError::Leases(error.to_string()))?;
        if let Some(stated) = network.read_ledger(Ledger::server_key).flatten()
            && stated != public
        {
            return Err(LoadError::OtherKey {
                stated,
                own: public,
            });
        }
        let hub = network.hub.clone();
        network.store.watch(Box::new(move |moved| hub.moved(moved)));
        Ok(Arc::new(network))
    }

    /// Whether nobody can authenticate yet: no DEVICE has ever been stated.
    pub fn is_fresh(&self) -> bool {
        self.read_ledger(|ledger| ledger.devices().next().is_none())
            .unwrap_or(true)
    }

    /// Lets the founder knock, as long as the network [`is_fresh`](Self::is_fresh). Replaces the
    /// founding invitation before it. `verifier`: as for any invitation, derived from its secret.
    pub async fn let_found(
        &self,
        invitation: InvitationId,
        verifier: Digest,
    ) -> Result<(), OpError> {
        let value = Founding {
            invitation,
            verifier,
        }
        .encode()?;
        let key = keys::founding();
        let version = self.store.get(&key).await?.map_or(0, |held| held.version);
        self.store.put_if(key, version, Some(value)).await?;
        Ok(())
    }

    /// The network served; zeros before ROOT 1.
    pub fn id(&self) -> NetworkId {
        self.read_ledger(Ledger::network)
            .unwrap_or(NetworkId([0; 16]))
    }

    /// The server's identity key.
    pub fn public_key(&self) -> PublicKey {
        self.public
    }

    /// The ledger's end.
    pub fn ledger_head(&self) -> LedgerHead {
        self.ledger.head()
    }

    /// Limits in force.
    pub fn config(&self) -> Config {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts other limits on items in force, for what is reserved from now on. The rest stays as it
    /// was at the start.
    pub fn set_item_limits(&self, wanted: &Config) {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        config.item_size = wanted.item_size;
        config.member_bytes = wanted.member_bytes;
        config.total_bytes = wanted.total_bytes;
        config.keep_days = wanted.keep_days;
        config.longest_keep_days = wanted.longest_keep_days;
    }

    /// Of these devices the ones that may not be here any more. For a sweep over the open
    /// connections: admissions end by the clock, without a statement.
    pub fn not_live(&self, devices: &[DeviceId], now: UnixMillis) -> Vec<DeviceId> {
        let mut gone = devices.to_vec();
        gone.retain(|device| self.live(*device, now).is_none());
        gone
    }

    /// The devices in a channel, as the server follows it: for a simulation that judges who could
    /// read what.
    ///
    /// # Errors
    /// [`OpError::NotFound`].
    #[cfg(feature = "simulation")]
    pub async fn devices_in(&self, channel: ChannelId) -> Result<Vec<DeviceId>, OpError> {
        let slot = self.channels.slot(channel);
        let group = slot.group(&*self.store, self.ledger()?).await?;
        Ok(group.observed.devices().into_iter().collect())
    }

    /// Whose device this is, if it is live.
    pub(crate) fn live(&self, device: DeviceId, now: UnixMillis) -> Option<MemberId> {
        self.read_ledger(|ledger| live(ledger, device, now))?
    }

    pub(crate) fn ledger(&self) -> Result<&LedgerHandle, OpError> {
        self.ledger
            .handle()
            .ok_or(OpError::NotFound("the network is not founded yet"))
    }

    pub(crate) fn read_ledger<T>(&self, f: impl FnOnce(&Ledger) -> T) -> Option<T> {
        self.ledger.read(f)
    }

    pub(crate) async fn sign_head(
        &self,
        channel: ChannelId,
        head: ChannelHead,
        now: UnixMillis,
    ) -> Result<SignedHead, OpError> {
        self.heads.sign(self.id(), channel, head, now).await
    }

    /// Whoever writes the ledger holds this: statements are verified against its very end.
    pub(crate) async fn ledger_writer(&self) -> MutexGuard<'_, ()> {
        self.ledger_writer.lock().await
    }
}

/// Whose device this is, if it is live.
pub(crate) fn live(ledger: &Ledger, device: DeviceId, now: UnixMillis) -> Option<MemberId> {
    let standing = ledger.standing(device, ledger.head().seq, now);
    (standing == Standing::Live)
        .then(|| ledger.device(device))
        .flatten()
        .map(|device| device.member)
}
