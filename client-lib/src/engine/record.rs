//! One record: opened, checked, and what it comes to.

use plenary_certs::mls::{anew::Anew, auth_data::AuthData, judge::JudgeError};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Seq, UnixMillis},
    reply::Record,
};

use super::{
    AlarmKind, Engine, GroupError,
    handing::Heard,
    mls::Processed,
    taking::{Step, Stop},
};
use crate::{
    content::{
        Carries, Content, Envelope, Kind, SignedContext,
        handover::{Ask, HandOn},
    },
    error::Error,
    store::{channels::ChannelRow, messages::MessageRow},
};

const REPLAYED: &str = "it was in the log before";

impl Engine {
    /// What another device tells devices.
    fn take_told(
        &mut self,
        id: ChannelId,
        record: &Record,
        sender: DeviceId,
        envelope: &Envelope,
        step: &mut Step,
    ) -> Result<(), Stop> {
        if let (Carries::Ask, Some(what)) = (envelope.carries, Ask::decode(&envelope.content)) {
            step.heard.push(Heard::Asked {
                ask: record.client_id,
                by: sender,
                what,
            });
        }
        if let (Carries::HandOn, Some(piece)) =
            (envelope.carries, HandOn::decode(&envelope.content))
        {
            step.messages |= self.take_handed(id, sender, &piece, &mut step.alarms)?;
            step.filled = true;
            step.heard.push(Heard::Handed {
                ask: piece.ask(),
                through: piece.through(),
                last: piece.last(),
                own: false,
            });
        }
        Ok(())
    }

    /// Holds what a sender has seen of the log against what was read here.
    fn compare(
        &mut self,
        row: &ChannelRow,
        (sender, at): (DeviceId, Seq),
        seen: ChannelHead,
        step: &mut Step,
    ) -> Result<(), Error> {
        let back = row.head.seq.0.checked_sub(seen.seq.0);
        let hash = match back {
            Some(0) => Some(row.head.hash),
            // Read in this step, and not in the store so far.
            Some(back) if back < step.hashes.len() as u64 => {
                step.hashes.iter().rev().nth(back as usize).copied()
            }
            Some(_) => self.store.hash_at(row.id, seen.seq)?,
            None => None,
        };
        if let Some(what) = self.differs(row.id, (sender, at), seen, hash)
            && !step.told.contains(&sender)
        {
            step.alarms.push((AlarmKind::LogForked, what));
            step.told.push(sender);
        }
        Ok(())
    }

    /// A sender's knowledge: held against this device's own, and against what it was before.
    fn knows(
        &mut self,
        row: &ChannelRow,
        (sender, at, time): (DeviceId, Seq, UnixMillis),
        data: &AuthData,
        step: &mut Step,
    ) -> Result<(), Error> {
        self.compare(row, (sender, at), data.seen, step)?;
        if let Some((ledger, seen)) = self.store.sender(row.id, sender)?
            && (data.ledger.seq < ledger || data.seen.seq < seen)
        {
            step.alarms.push((
                AlarmKind::SenderWentBack,
                format!("{sender:?} went back in what it has seen"),
            ));
        }
        self.store
            .put_sender(row.id, sender, (data.ledger.seq, data.seen.seq), time)
    }

    /// A record of this device: known from the outbox or from what was pending.
    pub(super) fn take_own(
        &mut self,
        row: &mut ChannelRow,
        record: &Record,
        step: &mut Step,
    ) -> Result<(), Stop> {
        self.store.put_heard(row.id, record.device, record.time)?;
        if let Some(pending) = self
            .store
            .pending(row.id)?
            .filter(|pending| pending.client_id == record.client_id)
        {
            let secrets = pending.secrets.unwrap_or_default();
            self.group(row.id)
                .and_then(|group| group.apply(&secrets))
                .map_err(|error| {
                    Stop::Fork(
                        AlarmKind::InvalidCommit,
                        format!("this device's own change: {error}"),
                    )
                })?;
            self.store.drop_pending(row.id)?;
            row.basis = Some(pending.basis);
            step.commits = true;
            return Ok(());
        }
        if self.store.message_of(record.client_id)?.is_some() {
            return Err(Stop::Message(
                AlarmKind::ReplayedMessage,
                REPLAYED.to_owned(),
            ));
        }
        let queued = self.store.outgoing(record.client_id)?;
        let Some((queued, sealed)) =
            queued.and_then(|row| row.sealed.clone().map(|sealed| (row, sealed)))
        else {
            return Err(Stop::Message(
                AlarmKind::WrongSender,
                "a record of this device that it does not know".to_owned(),
            ));
        };
        if sealed.bytes != record.bytes {
            return Err(Stop::Message(
                AlarmKind::AlteredRecord,
                "the server altered a message of this device".to_owned(),
            ));
        }
        self.store.unqueue(queued.client_id)?;
        if queued.carries != Carries::Content {
            if let Some(piece) = HandOn::decode(&queued.content)
                && queued.carries == Carries::HandOn
            {
                step.heard.push(Heard::Handed {
                    ask: piece.ask(),
                    through: piece.through(),
                    last: piece.last(),
                    own: true,
                });
            }
            return Ok(());
        }
        step.sent.push((record.client_id, record.seq));
        let content = Content::decode(&queued.content);
        if let Ok(content) = content {
            // What this device stated is kept since it was signed.
            if let Kind::Custody(bytes) = content.kind() {
                self.custody_is_in_log(bytes, record.seq)?;
                return Ok(());
            }
            self.note_item(row.id, (record.seq, record.device), &content, step)?;
        }
        self.store.add_message(&MessageRow {
            position: 0,
            channel: row.id,
            seq: record.seq,
            client_id: record.client_id,
            device: record.device,
            time: record.time,
            epoch: sealed.epoch,
            content: queued.content,
            signature: sealed.signature,
            seen: None,
            handed_by: None,
        })?;
        step.messages = true;
        Ok(())
    }

    pub(super) fn take_other(
        &mut self,
        row: &mut ChannelRow,
        record: &Record,
        step: &mut Step,
    ) -> Result<(), Stop> {
        let id = row.id;
        let previous = row.basis;
        if Anew::is(&record.bytes) {
            return self.take_anew(row, record, step);
        }
        let group = self
            .group(id)
            .map_err(|error| Stop::Fork(AlarmKind::InvalidCommit, error.to_string()))?;
        let epoch = group.epoch();
        match group.process(&record.bytes, previous) {
            Ok(Processed::Commit {
                basis,
                by,
                data,
                removed,
            }) => {
                self.knows(row, (by, record.seq, record.time), &data, step)?;
                step.parted = removed
                    && (!self.was_live(basis) || self.returns_from_silence(id, record.time)?);
                if by != record.device {
                    step.alarms.push((
                        AlarmKind::WrongSender,
                        format!("record {} is not by whom the server says", record.seq.0),
                    ));
                }
                // Whatever this device wanted to change, it starts from here again.
                self.store.drop_pending(id)?;
                row.basis = Some(basis);
                step.commits = true;
                step.removed = removed;
                Ok(())
            }
            Ok(Processed::Message {
                sender,
                data,
                content,
            }) => {
                let message = |why: String| Stop::Message(AlarmKind::InvalidMessage, why);
                if sender != record.device {
                    return Err(Stop::Message(
                        AlarmKind::WrongSender,
                        "it is not by whom the server says".to_owned(),
                    ));
                }
                self.knows(row, (sender, record.seq, record.time), &data, step)?;
                self.clocks.colleague(sender, data.time, record.time);
                let envelope =
                    Envelope::open(&content).map_err(|error| message(error.to_string()))?;
                let key = self
                    .ledger
                    .read(|ledger| ledger.device(sender).map(|device| device.keys.mls))
                    .ok_or_else(|| message("its sender is not in the ledger".to_owned()))?;
                let context = SignedContext {
                    network: self.identity.network(),
                    channel: id,
                    epoch,
                    client_id: record.client_id,
                };
                envelope
                    .verify(&context, &key)
                    .map_err(|error| message(error.to_string()))?;
                if envelope.carries != Carries::Content {
                    return self.take_told(row.id, record, sender, &envelope, step);
                }
                let content = Content::decode(&envelope.content)
                    .map_err(|error| message(error.to_string()))?;
                if self.take_custody(id, (sender, data.ledger), &content, step)? {
                    return Ok(());
                }
                self.note_item(id, (record.seq, sender), &content, step)?;
                self.store.add_message(&MessageRow {
                    position: 0,
                    channel: id,
                    seq: record.seq,
                    client_id: record.client_id,
                    device: sender,
                    time: record.time,
                    epoch,
                    content: envelope.content,
                    signature: envelope.signature,
                    seen: Some(data.seen.seq),
                    handed_by: None,
                })?;
                step.messages = true;
                Ok(())
            }
            Err(GroupError::Judged(JudgeError::LedgerAhead { named })) => Err(Stop::Ledger(named)),
            Err(GroupError::Used) => Err(Stop::Message(
                AlarmKind::ReplayedMessage,
                REPLAYED.to_owned(),
            )),
            Err(GroupError::Judged(error @ JudgeError::OtherLedger { .. })) => {
                let why = error.to_string();
                Err(match is_commit(&record.bytes) {
                    true => Stop::Fork(AlarmKind::LedgerForked, why),
                    false => Stop::Message(AlarmKind::LedgerForked, why),
                })
            }
            Err(error) => Err(if is_commit(&record.bytes) {
                Stop::Fork(AlarmKind::InvalidCommit, error.to_string())
            } else {
                Stop::Closed(error.to_string())
            }),
        }
    }
}

/// MLS version 1 and wire format "public message" (RFC 9420 section 6).
pub(super) fn is_commit(bytes: &[u8]) -> bool {
    bytes.get(..4) == Some(&[0, 1, 0, 1])
}
