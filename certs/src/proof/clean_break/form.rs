//! As it lies in the file.

use plenary_proto::ids::{ChannelHead, Epoch, LedgerHead, Seq};

use super::{CleanBreak, Exposure, Gone};
use crate::{
    cbor::{self, Cbor, CborError, Writer, array},
    proof::view::Head,
};

impl Cbor for CleanBreak {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(11);
        self.network.put(w);
        self.issuer.put(w);
        self.issued.put(w);
        (self.ledger.seq, self.ledger.hash).put(w);
        self.member.put(w);
        (self.statement.seq, self.statement.hash).put(w);
        self.since.put(w);
        self.gone.put(w);
        self.pending.put(w);
        self.unexamined.put(w);
        self.exposure.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 11)?;
        let head = |(seq, hash)| LedgerHead { seq, hash };
        Ok(Self {
            network: Cbor::get(d)?,
            issuer: Cbor::get(d)?,
            issued: Cbor::get(d)?,
            ledger: head(Cbor::get(d)?),
            member: Cbor::get(d)?,
            statement: head(Cbor::get(d)?),
            since: Cbor::get(d)?,
            gone: Cbor::get(d)?,
            pending: Cbor::get(d)?,
            unexamined: Cbor::get(d)?,
            exposure: Cbor::get(d)?,
        })
    }
}

impl Cbor for Gone {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(10);
        self.channel.put(w);
        self.device.put(w);
        self.entered.map(|seq| seq.0).put(w);
        self.epoch.0.put(w);
        self.removal.seq.0.put(w);
        self.removal.hash.put(w);
        self.time.put(w);
        self.by.put(w);
        self.basis.put(w);
        self.signed.as_ref().map(Head::from).put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 10)?;
        let channel = Cbor::get(d)?;
        Ok(Self {
            channel,
            device: Cbor::get(d)?,
            entered: Option::<u64>::get(d)?.map(Seq),
            epoch: Epoch(Cbor::get(d)?),
            removal: ChannelHead {
                seq: Seq(Cbor::get(d)?),
                hash: Cbor::get(d)?,
            },
            time: Cbor::get(d)?,
            by: Cbor::get(d)?,
            basis: Cbor::get(d)?,
            signed: Option::<Head>::get(d)?.map(|head| head.signed(channel)),
        })
    }
}

impl Cbor for Exposure {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(6);
        self.channel.put(w);
        self.after.0.put(w);
        self.through.0.put(w);
        u8::from(self.whole).put(w);
        self.messages.put(w);
        self.items.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        array(d, 6)?;
        Ok(Self {
            channel: Cbor::get(d)?,
            after: Seq(Cbor::get(d)?),
            through: Seq(Cbor::get(d)?),
            whole: match u8::get(d)? {
                0 => false,
                1 => true,
                other => return Err(cbor::unknown("answer", other.into())),
            },
            messages: Cbor::get(d)?,
            items: Cbor::get(d)?,
        })
    }
}
