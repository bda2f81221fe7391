//! One statement of custody: what a device says it did with an item.

use std::fmt;

use minicbor::Decoder;
use plenary_proto::ids::{ChannelId, DeviceId, Digest, ItemId, LedgerHead, NetworkId, UnixMillis};

use super::MAX_SEEN;
use crate::{
    cbor::{self, Cbor, CborError, Writer, cbor_enum, cbor_struct},
    ledger::hash,
};

const ID_TAG: &[u8] = b"plenary custody id v1\0";
const VERSION: u8 = 1;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// The file was sealed and put up: here its content was fixed.
    Deposited,
    /// All sealed chunks came, and are the ones of the root.
    Collected,
    /// The file opened from them has the SHA-256 of the manifest.
    Verified,
    /// A copy in the clear was made for use elsewhere, after the one that was verified on arrival.
    Exported,
    /// The depositing member took the offer back: nobody may collect from here on.
    Withdrawn,
    /// The copies that this device's client knew of were removed from it.
    Deleted,
}

/// The file in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileFacts {
    /// Its flat SHA-256: the number in the expert's report.
    pub sha256: Digest,
    /// Its bytes.
    pub size: u64,
}

/// What is signed by the acting device's custody key. Deterministic CBOR, an array of 15: version 1
/// and the fields in the order given here.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    /// The network; in another one it says nothing.
    pub network: NetworkId,
    /// The item.
    pub item: ItemId,
    /// Where it was handed over.
    pub channel: ChannelId,
    /// Who acted. The ledger names the member.
    pub device: DeviceId,
    /// Which statement of this device about this item: 1, 2, ...
    pub number: u32,
    /// The one before; none for the first.
    pub previous: Option<Digest>,
    /// Ends of the other devices' chains that the signer knew; ascending, at most [`MAX_SEEN`].
    pub seen: Vec<Digest>,
    /// What was done.
    pub act: Act,
    /// Hash of the manifest without its key: name, type, label, sizes, digests.
    pub manifest: Digest,
    /// Root over the sealed chunks: what the server countersigns.
    pub root: Digest,
    /// The file, where the act is about it in the clear: deposited, verified, exported.
    pub file: Option<FileFacts>,
    /// The Board's ledger as the device knew it: by this prefix it is judged who signed.
    pub ledger: LedgerHead,
    /// By the device's clock.
    pub time: UnixMillis,
    /// Random: the statement's id tells nothing to who has not the statement.
    pub salt: Digest,
}

impl Act {
    /// Whether it is about the file in the clear.
    pub fn is_about_file(self) -> bool {
        matches!(self, Self::Deposited | Self::Verified | Self::Exported)
    }

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deposited => "deposited",
            Self::Collected => "collected",
            Self::Verified => "verified",
            Self::Exported => "exported",
            Self::Withdrawn => "withdrawn",
            Self::Deleted => "deleted",
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Statement {
    /// The bytes that are signed, after a domain tag.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads bytes that are exactly a statement's encoding, and make sense by themselves.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let statement: Self = cbor::decode(bytes)?;
        statement.sense()?;
        Ok(statement)
    }

    /// Names it: see [`statement_id`].
    pub fn id(&self) -> Digest {
        statement_id(&self.encode())
    }

    fn sense(&self) -> Result<(), CborError> {
        let wrong = |what: &str| Err(CborError::Shape(what.to_owned()));
        if self.number == 0 || (self.number == 1) != self.previous.is_none() {
            return wrong("the first statement has number 1 and none before it, the others have");
        }
        let ascending = self.seen.windows(2).all(|pair| pair[0] < pair[1]);
        let twice = self.previous.is_some_and(|it| self.seen.contains(&it));
        if self.seen.len() > MAX_SEEN || !ascending || twice {
            return wrong("statements seen are few, ascending and others' own");
        }
        if self.file.is_some() != self.act.is_about_file() {
            return wrong("digest and size of the file are there if the act is about it");
        }
        Ok(())
    }
}

/// Names a statement by its bytes: SHA-256 under a domain tag. Other statements and the server's
/// countersignature refer to it; the salt inside keeps it from telling what it stands for.
pub fn statement_id(statement: &[u8]) -> Digest {
    hash(&[ID_TAG, statement])
}

/// Neither digests nor what was done: what is logged.
impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "custody::Statement({:?}, {:?}, {})",
            self.item, self.device, self.number
        )
    }
}

cbor_enum!(Act {
    Deposited = 1,
    Collected = 2,
    Verified = 3,
    Exported = 4,
    Withdrawn = 5,
    Deleted = 6,
});
cbor_struct!(FileFacts { sha256, size });

impl Cbor for LedgerHead {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(2);
        self.seq.put(w);
        self.hash.put(w);
    }
    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 2)?;
        Ok(Self {
            seq: Cbor::get(d)?,
            hash: Cbor::get(d)?,
        })
    }
}

impl Cbor for Statement {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(15);
        VERSION.put(w);
        self.network.put(w);
        self.item.put(w);
        self.channel.put(w);
        self.device.put(w);
        self.number.put(w);
        self.previous.put(w);
        self.seen.put(w);
        self.act.put(w);
        self.manifest.put(w);
        self.root.put(w);
        self.file.put(w);
        self.ledger.put(w);
        self.time.put(w);
        self.salt.put(w);
    }

    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 15)?;
        match u8::get(d)? {
            VERSION => {}
            other => {
                return Err(cbor::unknown(
                    "version of a custody statement",
                    other.into(),
                ));
            }
        }
        Ok(Self {
            network: Cbor::get(d)?,
            item: Cbor::get(d)?,
            channel: Cbor::get(d)?,
            device: Cbor::get(d)?,
            number: Cbor::get(d)?,
            previous: Cbor::get(d)?,
            seen: Cbor::get(d)?,
            act: Cbor::get(d)?,
            manifest: Cbor::get(d)?,
            root: Cbor::get(d)?,
            file: Cbor::get(d)?,
            ledger: Cbor::get(d)?,
            time: Cbor::get(d)?,
            salt: Cbor::get(d)?,
        })
    }
}
