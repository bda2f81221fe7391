//! What devices tell one another about records that one of them missed. Never shown.
//!
//! ```text
//! ask      version 1, after, before
//! hand on  version 1, ask's mark, from, through, last, sealed to the asker:
//!          [ position, device, mark, time, epoch, content, its device's signature ] ...
//! ```
//!
//! Sealed, since whoever entered the channel later reads the log, too, and what was said before is not
//! for them. Deterministic only by construction: nothing is signed over a re-encoding.

use minicbor::{Decode, Encode};
use plenary_proto::ids::{
    ChannelId, ClientId, DeviceId, Epoch, NetworkId, Seq, Signature, UnixMillis,
};

use super::TOLD;

const VERSION: u8 = 1;

/// Context of the seal.
const SEAL_TAG: &[u8] = b"plenary handed on v1\0";

/// Bytes of messages that one piece carries: what fits a message beside seal, heads and marks.
pub(crate) const PIECE: usize = TOLD - plenary_certs::sealed_to::OVERHEAD - 64;

/// Bytes around one message's content, at most.
const AROUND: usize = 160;

// The largest content fits a piece of its own.
const _: () = assert!(plenary_proto::limits::CONTENT + AROUND <= PIECE);

/// A device asks for the records between two positions, both excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Ask {
    #[n(0)]
    version: u8,
    #[n(1)]
    after: u64,
    #[n(2)]
    before: u64,
}

impl Ask {
    pub(crate) fn new(after: Seq, before: Seq) -> Self {
        Self {
            version: VERSION,
            after: after.0,
            before: before.0,
        }
    }

    pub(crate) fn after(&self) -> Seq {
        Seq(self.after)
    }

    pub(crate) fn before(&self) -> Seq {
        Seq(self.before)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        // Writing to memory cannot fail.
        minicbor::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let ask: Self = minicbor::decode(bytes).ok()?;
        (ask.version == VERSION && ask.after < ask.before).then_some(ask)
    }
}

/// One message, as the one who hands it on has it stored.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Handed {
    #[n(0)]
    seq: u64,
    #[cbor(n(1), with = "minicbor::bytes")]
    device: [u8; 16],
    #[cbor(n(2), with = "minicbor::bytes")]
    client_id: [u8; 16],
    #[n(3)]
    time: u64,
    #[n(4)]
    epoch: u64,
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) content: Vec<u8>,
    #[cbor(n(6), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl Handed {
    pub(crate) fn new(
        (seq, time): (Seq, UnixMillis),
        (device, client_id, epoch): (DeviceId, ClientId, Epoch),
        content: Vec<u8>,
        signature: Signature,
    ) -> Self {
        Self {
            seq: seq.0,
            device: device.0,
            client_id: client_id.0,
            time: time.0,
            epoch: epoch.0,
            content,
            signature: signature.0,
        }
    }

    pub(crate) fn seq(&self) -> Seq {
        Seq(self.seq)
    }

    pub(crate) fn device(&self) -> DeviceId {
        DeviceId(self.device)
    }

    pub(crate) fn client_id(&self) -> ClientId {
        ClientId(self.client_id)
    }

    pub(crate) fn time(&self) -> UnixMillis {
        UnixMillis(self.time)
    }

    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch)
    }

    pub(crate) fn signature(&self) -> Signature {
        Signature(self.signature)
    }

    /// Bytes it takes in a piece, at most.
    pub(crate) fn size(&self) -> usize {
        self.content.len() + AROUND
    }
}

/// A piece of an answer: all messages after `from` up to `through` that the asker is entitled to.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct HandOn {
    #[n(0)]
    version: u8,
    #[cbor(n(1), with = "minicbor::bytes")]
    ask: [u8; 16],
    #[n(2)]
    from: u64,
    #[n(3)]
    through: u64,
    #[n(4)]
    last: bool,
    #[cbor(n(5), with = "minicbor::bytes")]
    sealed: Vec<u8>,
}

impl HandOn {
    pub(crate) fn new(
        ask: ClientId,
        (from, through): (Seq, Seq),
        last: bool,
        sealed: Vec<u8>,
    ) -> Self {
        Self {
            version: VERSION,
            ask: ask.0,
            from: from.0,
            through: through.0,
            last,
            sealed,
        }
    }

    pub(crate) fn ask(&self) -> ClientId {
        ClientId(self.ask)
    }

    pub(crate) fn from(&self) -> Seq {
        Seq(self.from)
    }

    pub(crate) fn through(&self) -> Seq {
        Seq(self.through)
    }

    pub(crate) fn last(&self) -> bool {
        self.last
    }

    pub(crate) fn sealed(&self) -> &[u8] {
        &self.sealed
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        minicbor::to_vec(self).unwrap_or_default()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let told: Self = minicbor::decode(bytes).ok()?;
        (told.version == VERSION && told.from <= told.through).then_some(told)
    }
}

/// What a piece seals.
pub(crate) fn encode_handed(messages: &[Handed]) -> Vec<u8> {
    minicbor::to_vec(messages).unwrap_or_default()
}

/// What a piece sealed.
pub(crate) fn decode_handed(bytes: &[u8]) -> Option<Vec<Handed>> {
    minicbor::decode(bytes).ok()
}

/// What a seal is bound to: it opens for this ask only.
pub(crate) fn seal_context(network: NetworkId, channel: ChannelId, ask: ClientId) -> Vec<u8> {
    [
        SEAL_TAG,
        network.as_bytes(),
        channel.as_bytes(),
        ask.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_round_trips_and_fits_a_message() {
        let ask = Ask::new(Seq(7), Seq(u64::MAX));
        assert_eq!(Ask::decode(&ask.encode()), Some(ask));
        assert_eq!(Ask::decode(&Ask::new(Seq(7), Seq(7)).encode()), None);
        assert_eq!(Ask::decode(b"junk"), None);

        let largest = Handed::new(
            (Seq(u64::MAX), UnixMillis(u64::MAX)),
            (DeviceId([1; 16]), ClientId([2; 16]), Epoch(u64::MAX)),
            vec![3; plenary_proto::limits::CONTENT],
            Signature([4; 64]),
        );
        assert!(largest.size() <= PIECE);
        let bytes = encode_handed(std::slice::from_ref(&largest));
        assert!(bytes.len() <= largest.size(), "{}", bytes.len());
        assert_eq!(decode_handed(&bytes), Some(vec![largest]));
        assert_eq!(decode_handed(&bytes[..9]), None);

        let sealed = vec![5; PIECE + plenary_certs::sealed_to::OVERHEAD];
        let told = HandOn::new(
            ClientId([2; 16]),
            (Seq(u64::MAX), Seq(u64::MAX)),
            true,
            sealed,
        );
        let bytes = told.encode();
        assert!(bytes.len() <= TOLD, "{}", bytes.len());
        assert_eq!(HandOn::decode(&bytes), Some(told));
    }
}
