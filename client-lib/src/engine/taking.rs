//! Records into the store: as many as hold in one transaction, and what is said once they are there.

use plenary_certs::{
    chain::{entry, link},
    custody::Act,
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, DeviceId, Digest, ItemId, LedgerSeq, Seq, UnixMillis},
    reply::Record,
};

use super::{
    AlarmKind, Engine, Event, In, entering::channel_row, handing::Heard, record::is_commit,
};
use crate::{
    error::{Error, ErrorKind},
    store::channels::ChannelRow,
};

/// So many senders whose messages do not open say that this device's own state is at fault.
const SEVERAL: usize = 2;

/// What a step of reading did, to be told once it is durable.
#[derive(Default)]
pub(super) struct Step {
    pub(super) messages: bool,
    pub(super) commits: bool,
    pub(super) removed: bool,
    /// Because the ledger had this device out, so it will come back.
    pub(super) parted: bool,
    pub(super) sent: Vec<(ClientId, Seq)>,
    /// Of the records read, in order: what each is, and the chain hash after it.
    entries: Vec<Digest>,
    pub(super) hashes: Vec<Digest>,
    /// Where they are not what the server signed.
    differ: Vec<Seq>,
    /// Who was shown another log.
    pub(super) told: Vec<DeviceId>,
    pub(super) alarms: Vec<(AlarmKind, String)>,
    /// What devices told one another.
    pub(super) heard: Vec<Heard>,
    /// Something that was missed may have come.
    pub(super) filled: bool,
    pub(super) custody: Vec<(ItemId, DeviceId, Act)>,
}

/// Why a record stops the reading.
pub(super) enum Stop {
    /// The ledger must be read further first.
    Ledger(LedgerSeq),
    /// A commit that the server took does not hold here.
    Fork(AlarmKind, String),
    /// An application message that does not hold: passed over, with an alarm.
    Message(AlarmKind, String),
    /// The same, since MLS does not open it: its sender's fault, or this device's own state's.
    Closed(String),
    /// The store failed.
    Fatal(Error),
}

impl Stop {
    /// What would be wrong with the record, or with whoever pushed it.
    fn doubtful(&self) -> Option<(&AlarmKind, &String)> {
        match self {
            Self::Fork(kind, why) | Self::Message(kind, why) => Some((kind, why)),
            Self::Closed(why) => Some((&AlarmKind::InvalidMessage, why)),
            Self::Ledger(_) | Self::Fatal(_) => None,
        }
    }

    /// Why a message is left out.
    fn left_out(self) -> (AlarmKind, String) {
        match self {
            Self::Message(kind, why) => (kind, why),
            Self::Closed(why) => (AlarmKind::InvalidMessage, why),
            Self::Ledger(_) | Self::Fork(..) | Self::Fatal(_) => {
                (AlarmKind::InvalidMessage, "it cannot be read".to_owned())
            }
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Engine {
    /// Processes records in order, as many as hold, in as few transactions as possible.
    pub(super) fn take(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        mut records: Vec<Record>,
        pushed: bool,
    ) -> Result<(), Error> {
        if !records.is_empty() && !self.wake(now, id)? {
            return Ok(());
        }
        while !records.is_empty() {
            let (done, stop) = self.take_batch(id, &records, false)?;
            let Some(stop) = stop else { break };
            records.drain(..done);
            let at = records[0].seq;
            if pushed && let Some((kind, why)) = stop.doubtful() {
                // Nobody signed for what is pushed. What the log has is read before it counts.
                let what = format!("record {} as pushed does not hold: {why}", at.0);
                self.doubt(id, (at, *kind), &what);
                self.read_on(id);
                break;
            }
            match stop {
                Stop::Fatal(error) => return Err(error),
                Stop::Ledger(named) => {
                    if let Some(channel) = self.channels.get_mut(&id) {
                        channel.needs_ledger = Some(named);
                    }
                    self.read_ledger();
                    break;
                }
                Stop::Fork(kind, why) => {
                    let why = format!("the channel cannot be followed: {why}");
                    self.read_in_vain(now, id, (at, kind), &why)?;
                    break;
                }
                Stop::Closed(why) if self.does_not_open(id, records[0].device) => {
                    let what = format!(
                        "what others send does not open here any more ({why}); this device enters \
                         the channel again"
                    );
                    self.doubt(id, (at, AlarmKind::GroupLost), &what);
                    self.rejoin(now, id, &why)?;
                    break;
                }
                stop @ (Stop::Message(..) | Stop::Closed(_)) => {
                    let (kind, why) = stop.left_out();
                    let what = format!("message {} is left out: {why}", at.0);
                    self.doubt(id, (at, kind), &what);
                    self.take_batch(id, &records[..1], true)?;
                    records.drain(..1);
                }
            }
        }
        let Some(channel) = self.channels.get(&id) else {
            return Ok(());
        };
        if channel.look_for_missing {
            self.plan_fence(now, id)
        } else {
            Ok(())
        }
    }

    /// One transaction for all records that hold; how many did, and why it stopped.
    ///
    /// `skip`: the records count for the chain only.
    fn take_batch(
        &mut self,
        id: ChannelId,
        records: &[Record],
        skip: bool,
    ) -> Result<(usize, Option<Stop>), Error> {
        let mut end = records.len();
        let mut stop = None;
        loop {
            let mut failed_at = None;
            let result = self.reading_step(id, |engine| {
                let mut row = channel_row(engine, id)?;
                let before = row.head;
                let mut step = Step::default();
                for (index, record) in records[..end].iter().enumerate() {
                    if record.seq <= row.head.seq {
                        continue;
                    }
                    if let Err(why) = engine.take_one(&mut row, record, skip, &mut step) {
                        failed_at = Some((index, why));
                        return Err(Error::new(ErrorKind::Integrity, "stopped"));
                    }
                    if step.removed {
                        break;
                    }
                }
                if step.removed {
                    engine.mls.forget(id)?;
                    row.standing = if step.parted { In::Parted } else { In::Out };
                } else if !skip {
                    engine.save_group(id)?;
                }
                engine.keep_chain(id, before, &mut step)?;
                engine.save_row(row.clone())?;
                Ok((step, row))
            });
            match (result, failed_at) {
                (Ok((step, row)), _) => {
                    self.tell(id, step, &row)?;
                    return Ok((end, stop));
                }
                (Err(_), Some((index, why))) => {
                    // In memory the row may be ahead of the store.
                    self.reload_row(id)?;
                    end = index;
                    stop = Some(why);
                    if end == 0 {
                        return Ok((0, stop));
                    }
                }
                (Err(error), None) => return Err(error),
            }
        }
    }

    fn reload_row(&mut self, id: ChannelId) -> Result<(), Error> {
        let row = self.store.channels()?.into_iter().find(|row| row.id == id);
        if let (Some(row), Some(channel)) = (row, self.channels.get_mut(&id)) {
            channel.row = row;
        }
        Ok(())
    }

    /// Whether messages of several senders in a row did not open, so that it must be this device.
    fn does_not_open(&mut self, id: ChannelId, sender: DeviceId) -> bool {
        let devices = self.group(id).map_or(0, |group| group.devices().len());
        let others = devices.saturating_sub(1);
        let Some(channel) = self.channels.get_mut(&id) else {
            return false;
        };
        channel.failing.insert(sender);
        others > 0 && channel.failing.len() >= others.min(SEVERAL)
    }

    /// What was read goes into the chain, and is held against what the server signed before.
    fn keep_chain(
        &mut self,
        id: ChannelId,
        before: ChannelHead,
        step: &mut Step,
    ) -> Result<(), Error> {
        self.store.add_entries(id, before, &step.entries)?;
        step.differ = self.reached(id, before.seq, &step.hashes)?;
        for seq in &step.differ {
            let denied = self.store.deny_acknowledged(id, *seq)?;
            let what = match denied {
                true => "the server acknowledged a message of this device there: it is sent again",
                false => "the server signed another one",
            };
            step.alarms.push((
                AlarmKind::LogForked,
                format!(
                    "record {} is not what it was: {what}; `plenary audit` has more",
                    seq.0
                ),
            ));
        }
        Ok(())
    }

    fn tell(&mut self, id: ChannelId, step: Step, row: &ChannelRow) -> Result<(), Error> {
        if !step.entries.is_empty() {
            self.has_reached(id, &step.differ);
        }
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.heads.has_told(&step.told);
            channel.doubt = channel.doubt.take_if(|doubt| doubt.at > row.head.seq);
        }
        for (kind, what) in step.alarms {
            self.alarm(Some(id), kind, what);
        }
        for (item, device, act) in step.custody {
            self.event(Event::Custody {
                channel: id,
                item,
                device,
                act,
            });
        }
        for (message, seq) in step.sent {
            self.event(Event::Sent {
                message,
                channel: id,
                seq,
            });
        }
        if step.messages {
            if let Some(channel) = self.channels.get_mut(&id) {
                channel.failing.clear();
            }
            self.event(Event::Messages {
                channel: id,
                through: row.head.seq,
            });
        }
        if let Some(channel) = self.channels.get_mut(&id).filter(|_| step.commits) {
            channel.look_for_missing = true;
        }
        if step.removed {
            self.drop_group(id);
            self.event(Event::Left(id));
            self.welcome_is_due(id);
            return Ok(());
        }
        if step.filled {
            self.load_gaps(id)?;
        }
        for heard in step.heard {
            self.heard(id, heard)?;
        }
        Ok(())
    }

    fn take_one(
        &mut self,
        row: &mut ChannelRow,
        record: &Record,
        skip: bool,
        step: &mut Step,
    ) -> Result<(), Stop> {
        if record.seq != row.head.seq.next() {
            return Err(Stop::Fork(
                AlarmKind::MissingRecord,
                format!(
                    "record {} came after {}: one is missing",
                    record.seq.0, row.head.seq.0
                ),
            ));
        }
        let entry = entry(record.device, record.client_id, record.time, &record.bytes);
        let hash = link(&row.head.hash, row.id, record.seq, &entry);
        let head = ChannelHead {
            seq: record.seq,
            hash,
        };
        if !skip {
            let before = is_commit(&record.bytes).then(|| self.leaves(row.id));
            if record.device == self.device() {
                self.take_own(row, record, step)?;
            } else {
                self.take_other(row, record, step)?;
            }
            if let Some(before) = before.flatten().filter(|_| !step.removed) {
                self.note_stays(row, record, head, &before)?;
            }
        }
        row.head = head;
        step.entries.push(entry);
        step.hashes.push(hash);
        Ok(())
    }
}
