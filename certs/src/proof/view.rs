//! What one device has seen of the channels' logs, compact: chain hashes and signed heads. Two
//! members hand their views to one another and compare.
//!
//! The file is no proof by itself and nobody signs it: whatever convicts in it is signed by the
//! server.

use std::collections::BTreeMap;

use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Digest, NetworkId, Seq, Signature, UnixMillis},
    reply::SignedHead,
};

use crate::{
    cbor::{self, Cbor, CborError, Writer, cbor_struct},
    chain::link,
};

const MAGIC: &str = "plenary heads";
const VERSION: u8 = 1;

/// A signed head without its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    seq: u64,
    hash: Digest,
    time: UnixMillis,
    signature: Signature,
    index: u32,
    path: Vec<Digest>,
}

cbor_struct!(Head {
    seq,
    hash,
    time,
    signature,
    index,
    path
});

impl From<&SignedHead> for Head {
    fn from(signed: &SignedHead) -> Self {
        Self {
            seq: signed.head.seq.0,
            hash: signed.head.hash,
            time: signed.time,
            signature: signed.signature,
            index: signed.index,
            path: signed.path.clone(),
        }
    }
}

impl Head {
    pub(super) fn signed(&self, channel: ChannelId) -> SignedHead {
        SignedHead {
            channel,
            head: ChannelHead {
                seq: Seq(self.seq),
                hash: self.hash,
            },
            time: self.time,
            signature: self.signature,
            index: self.index,
            path: self.path.clone(),
        }
    }
}

/// A stretch of a log without a hole: the head before it, and one entry hash for each record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The head right before the first entry.
    pub before: ChannelHead,
    /// See [`crate::chain::entry`].
    pub entries: Vec<Digest>,
}

/// One channel's log as a device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelView {
    /// Which.
    pub channel: ChannelId,
    /// Stretches read, in order; between them the device was away.
    pub pieces: Vec<Piece>,
    /// What the server signed.
    pub heads: Vec<SignedHead>,
}

/// Two heads that the server signed and that are of two logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The one at the lower, or the same, position.
    pub first: SignedHead,
    /// The other.
    pub second: SignedHead,
    /// What the second's log has at the first's position.
    pub start: Digest,
    /// Entry hashes from there to the second.
    pub links: Vec<Digest>,
}

/// A device's view of channels, as a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The network.
    pub network: NetworkId,
    /// Whose view. Nobody vouches for it: it is for the reader's orientation.
    pub device: DeviceId,
    /// By channel.
    pub channels: Vec<ChannelView>,
}

impl Cbor for Piece {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(3);
        self.before.seq.0.put(w);
        self.before.hash.put(w);
        self.entries.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 3)?;
        let seq = Seq(Cbor::get(d)?);
        let hash = Cbor::get(d)?;
        Ok(Self {
            before: ChannelHead { seq, hash },
            entries: Cbor::get(d)?,
        })
    }
}

impl Cbor for ChannelView {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(3);
        self.channel.put(w);
        self.pieces.put(w);
        let heads: Vec<_> = self.heads.iter().map(Head::from).collect();
        heads.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 3)?;
        let channel = Cbor::get(d)?;
        let pieces = Cbor::get(d)?;
        let heads: Vec<Head> = Cbor::get(d)?;
        Ok(Self {
            channel,
            pieces,
            heads: heads.iter().map(|head| head.signed(channel)).collect(),
        })
    }
}

struct File {
    magic: String,
    version: u8,
    network: NetworkId,
    device: DeviceId,
    channels: Vec<ChannelView>,
}

cbor_struct!(File {
    magic,
    version,
    network,
    device,
    channels
});

impl View {
    /// As a file.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(&File {
            magic: MAGIC.to_owned(),
            version: VERSION,
            network: self.network,
            device: self.device,
            channels: self.channels.clone(),
        })
    }

    /// From a file.
    ///
    /// # Errors
    /// When the bytes are no view of this version.
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let file: File = cbor::decode(bytes)?;
        if file.magic != MAGIC || file.version != VERSION {
            return Err(CborError::Shape(format!(
                "no exported heads of version {VERSION}"
            )));
        }
        Ok(Self {
            network: file.network,
            device: file.device,
            channels: file.channels,
        })
    }
}

impl Piece {
    /// Where it ends.
    pub fn end(&self) -> Seq {
        Seq(self.before.seq.0.saturating_add(self.entries.len() as u64))
    }

    /// All hashes with their positions, the one before the first entry included.
    pub fn hashes(&self, channel: ChannelId) -> Vec<ChannelHead> {
        let mut head = self.before;
        let mut all = vec![head];
        for entry in &self.entries {
            let seq = Seq(head.seq.0.saturating_add(1));
            head = ChannelHead {
                seq,
                hash: link(&head.hash, channel, seq, entry),
            };
            all.push(head);
        }
        all
    }

    /// Entries between two positions of it.
    fn between(&self, after: Seq, through: Seq) -> Option<Vec<Digest>> {
        let from = usize::try_from(after.0.checked_sub(self.before.seq.0)?).ok()?;
        let to = usize::try_from(through.0.checked_sub(self.before.seq.0)?).ok()?;
        self.entries.get(from..to).map(<[_]>::to_vec)
    }
}

impl ChannelView {
    /// Where two views of one channel differ first, among what both have read.
    pub fn differs(&self, other: &Self) -> Option<Seq> {
        let mine: BTreeMap<_, _> = self.all().collect();
        other
            .all()
            .filter(|(seq, hash)| mine.get(seq).is_some_and(|own| own != hash))
            .map(|(seq, _)| seq)
            .min()
    }

    fn all(&self) -> impl Iterator<Item = (Seq, Digest)> {
        self.pieces
            .iter()
            .flat_map(|piece| piece.hashes(self.channel))
            .map(|head| (head.seq, head.hash))
    }

    /// Two signed heads that convict the server, one of them from each side, or both from one. The
    /// signatures must have been checked.
    pub fn contradiction(&self, other: &Self) -> Option<Contradiction> {
        self.same_place(other)
            .or_else(|| self.against_log(other))
            .or_else(|| other.against_log(self))
    }

    /// Two signatures for one position.
    fn same_place(&self, other: &Self) -> Option<Contradiction> {
        let mut known: BTreeMap<Seq, &SignedHead> = BTreeMap::new();
        for head in self.heads.iter().chain(&other.heads) {
            match known.get(&head.head.seq) {
                Some(first) if first.head.hash != head.head.hash => {
                    return Some(Contradiction {
                        first: (*first).clone(),
                        second: head.clone(),
                        start: head.head.hash,
                        links: Vec::new(),
                    });
                }
                _ => {
                    known.insert(head.head.seq, head);
                }
            }
        }
        None
    }

    /// A head of this side against the other's log, as a later signature vouches for it.
    fn against_log(&self, other: &Self) -> Option<Contradiction> {
        for piece in &other.pieces {
            let hashes: BTreeMap<Seq, Digest> = piece
                .hashes(other.channel)
                .into_iter()
                .map(|head| (head.seq, head.hash))
                .collect();
            let on_log =
                |signed: &&SignedHead| hashes.get(&signed.head.seq) == Some(&signed.head.hash);
            // The last one vouches for all of the piece before it.
            let Some(second) = other
                .heads
                .iter()
                .filter(on_log)
                .max_by_key(|signed| signed.head.seq)
            else {
                continue;
            };
            for first in &self.heads {
                let (from, to) = (first.head.seq, second.head.seq);
                let there = hashes.get(&from).filter(|_| from <= to);
                if let Some(start) = there.filter(|hash| **hash != first.head.hash)
                    && let Some(links) = piece.between(from, to)
                {
                    return Some(Contradiction {
                        first: first.clone(),
                        second: second.clone(),
                        start: *start,
                        links,
                    });
                }
            }
        }
        None
    }
}
