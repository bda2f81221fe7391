//! Who this profile is: network, server, device and its secret keys; roster keys and profiles.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use plenary_certs::{
    ledger::DeviceKeys,
    profile::Generation,
    signing::{KeyError, SigningKey},
};
use plenary_proto::{
    ids::{DeviceId, Digest, InvitationId, LedgerSeq, MemberId, NetworkId},
    request::Purpose,
};
use rusqlite::{OptionalExtension, params};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::{Store, column};
use crate::{
    error::{Error, ErrorKind},
    net::{Credentials, OpenerKey},
};

/// A key out of the store, erased when dropped.
pub(crate) type StoredKey = Zeroizing<[u8; 32]>;

/// A small value, erased when dropped.
pub(crate) type Meta = Zeroizing<Vec<u8>>;

const KEY: &str = "identity";

/// What a profile is from its making on.
#[derive(Clone, Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
pub(crate) struct Identity {
    /// `host:port`.
    #[n(0)]
    pub(crate) address: String,
    /// SHA-256 of the server's CA certificate.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) ca_pin: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) network: [u8; 16],
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) root1: [u8; 32],
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) member: [u8; 16],
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) device: [u8; 16],
    #[cbor(n(6), with = "minicbor::bytes")]
    pub(crate) authentication: [u8; 32],
    #[cbor(n(7), with = "minicbor::bytes")]
    pub(crate) mls: [u8; 32],
    #[cbor(n(8), with = "minicbor::bytes")]
    pub(crate) custody: [u8; 32],
    #[cbor(n(9), with = "minicbor::bytes")]
    pub(crate) sealing: Vec<u8>,
    #[cbor(n(10), with = "minicbor::bytes")]
    pub(crate) sealing_public: Vec<u8>,
    /// The invitation it came by and its secret, until admitted.
    #[n(11)]
    pub(crate) invitation: Option<Knocking>,
}

/// What a guest knocks with.
#[derive(Clone, Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
pub(crate) struct Knocking {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) id: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) secret: [u8; 32],
}

impl Knocking {
    pub(crate) fn id(&self) -> InvitationId {
        InvitationId(self.id)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Identity({:?}, {:?})", self.member(), self.device())
    }
}

impl Identity {
    pub(crate) fn network(&self) -> NetworkId {
        NetworkId(self.network)
    }

    pub(crate) fn root1(&self) -> Digest {
        Digest(self.root1)
    }

    pub(crate) fn ca_pin(&self) -> Digest {
        Digest(self.ca_pin)
    }

    pub(crate) fn member(&self) -> MemberId {
        MemberId(self.member)
    }

    pub(crate) fn device(&self) -> DeviceId {
        DeviceId(self.device)
    }

    pub(crate) fn authentication_key(&self) -> Result<SigningKey, Error> {
        key(&self.authentication)
    }

    /// To open a connection as this device.
    pub(crate) fn credentials(&self, purpose: Purpose) -> Result<Credentials, Error> {
        Ok(Credentials {
            address: self.address.clone(),
            ca_pin: self.ca_pin(),
            opener: OpenerKey::Device {
                device: self.device(),
                purpose,
                key: Arc::new(self.authentication_key()?),
            },
        })
    }

    pub(crate) fn mls_key(&self) -> Result<SigningKey, Error> {
        key(&self.mls)
    }

    pub(crate) fn custody_key(&self) -> Result<SigningKey, Error> {
        key(&self.custody)
    }

    /// The public halves, as a DEVICE statement carries them.
    pub(crate) fn device_keys(&self) -> Result<DeviceKeys, Error> {
        Ok(DeviceKeys {
            authentication: key(&self.authentication)?.public(),
            mls: key(&self.mls)?.public(),
            custody: key(&self.custody)?.public(),
            sealing: self.sealing_public.clone(),
        })
    }
}

fn key(seed: &[u8; 32]) -> Result<SigningKey, Error> {
    SigningKey::from_seed(seed).map_err(|error: KeyError| {
        Error::new(ErrorKind::Store, format!("a key of this profile: {error}"))
    })
}

impl Store {
    pub(crate) fn put_identity(&self, identity: &Identity) -> Result<(), Error> {
        let bytes = Zeroizing::new(
            minicbor::to_vec(identity)
                .map_err(|error| Error::new(ErrorKind::Store, error.to_string()))?,
        );
        self.put_meta(KEY, &bytes)
    }

    pub(crate) fn identity(&self) -> Result<Identity, Error> {
        let bytes = self.meta(KEY)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotAProfile,
                "the profile was not finished: join again in a new folder",
            )
        })?;
        minicbor::decode(&bytes).map_err(|error| {
            Error::new(ErrorKind::Store, format!("the profile's identity: {error}"))
        })
    }

    pub(crate) fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.lock().execute(
            "INSERT OR REPLACE INTO meta VALUES(?, ?)",
            params![key, value],
        )?;
        Ok(())
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Error> {
        let value = self
            .lock()
            .query_row("SELECT value FROM meta WHERE key = ?", [key], |row| {
                row.get(0)
            })
            .optional()?;
        Ok(value.map(Zeroizing::new))
    }

    pub(crate) fn drop_meta(&self, key: &str) -> Result<(), Error> {
        self.lock()
            .execute("DELETE FROM meta WHERE key = ?", [key])?;
        Ok(())
    }

    /// The small values whose keys begin so.
    pub(crate) fn metas(&self, prefix: &str) -> Result<Vec<(String, Meta)>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(
            "SELECT key, value FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key",
        )?;
        let rows = query.query_map([prefix], |row| {
            Ok((row.get(0)?, Zeroizing::new(row.get(1)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put_roster_key(
        &self,
        generation: Generation,
        key: &[u8; 32],
    ) -> Result<(), Error> {
        self.lock().execute(
            "INSERT OR REPLACE INTO roster_key VALUES(?, ?, ?)",
            params![generation.number, generation.since.0 as i64, key],
        )?;
        Ok(())
    }

    /// Roster keys, newest first.
    pub(crate) fn roster_keys(&self) -> Result<Vec<(Generation, StoredKey)>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT generation, since, key FROM roster_key ORDER BY 1 DESC")?;
        let rows = query.query_map([], |row| {
            let generation = Generation {
                number: row.get(0)?,
                since: LedgerSeq(row.get::<_, i64>(1)? as u64),
            };
            Ok((generation, Zeroizing::new(row.get::<_, [u8; 32]>(2)?)))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(crate) fn put_profile(&self, hash: &Digest, value: &[u8]) -> Result<(), Error> {
        self.lock().execute(
            "INSERT OR REPLACE INTO profile VALUES(?, ?)",
            params![hash.0, value],
        )?;
        Ok(())
    }

    /// Every profile opened so far, in its own encoding.
    pub(crate) fn profiles(&self) -> Result<Vec<(Digest, Vec<u8>)>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached("SELECT hash, value FROM profile")?;
        let rows = query.query_map([], |row| Ok((column(row, 0)?, row.get(1)?)))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
