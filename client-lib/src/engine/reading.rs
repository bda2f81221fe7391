//! The channel's log, record by record: each extends the chain, moves the group, becomes a message.

use plenary_certs::{
    chain::{entry, link},
    custody::Act,
    mls::{anew::Anew, auth_data::AuthData, judge::JudgeError},
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Digest, ItemId, LedgerSeq, Seq, UnixMillis},
    limits,
    reply::{Code, Failure, Record, Reply},
    request::Request,
};

use super::{
    AlarmKind, Engine, Event, GroupError, In, Waiting, entering::channel_row, handing::Heard,
    mls::Processed,
};
use crate::{
    content::{
        Carries, Content, Envelope, Kind, SignedContext,
        handover::{Ask, HandOn},
    },
    error::{Error, ErrorKind},
    store::{channels::ChannelRow, messages::MessageRow},
};

const UNSIGNED: &str = "the records do not add up to the head that the server signed";
const TRIMMED: &str = "the server says that it no longer keeps the records after those read here";
const REPLAYED: &str = "it was in the log before";
/// So many senders whose messages do not open say that this device's own state is at fault.
const SEVERAL: usize = 2;

/// What a step of reading did, to be told once it is durable.
#[derive(Default)]
pub(super) struct Step {
    messages: bool,
    commits: bool,
    pub(super) removed: bool,
    /// Because the ledger had this device out, so it will come back.
    pub(super) parted: bool,
    sent: Vec<(plenary_proto::ids::ClientId, Seq)>,
    /// Of the records read, in order: what each is, and the chain hash after it.
    entries: Vec<Digest>,
    hashes: Vec<Digest>,
    /// Where they are not what the server signed.
    differ: Vec<Seq>,
    /// Who was shown another log.
    told: Vec<DeviceId>,
    pub(super) alarms: Vec<(AlarmKind, String)>,
    /// What devices told one another.
    heard: Vec<Heard>,
    /// Something that was missed may have come.
    filled: bool,
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
    /// Asks for what comes after the last record processed.
    pub(super) fn read_on(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.reading
            || channel.stuck.is_some()
            || channel.needs_ledger.is_some()
            || channel.row.standing != In::In
        {
            return;
        }
        channel.reading = true;
        let after = channel.row.head.seq;
        self.ask(
            Request::Read {
                channel: id,
                after,
                limit: limits::READ_RECORDS,
            },
            Waiting::Read(id),
        );
    }

    /// A record was pushed: it is processed with what else is pushed by then, if it is the next.
    pub(super) fn moved(&mut self, id: ChannelId, record: Record) {
        let Some(channel) = self.channels.get_mut(&id) else {
            return;
        };
        if channel.row.standing != In::In {
            return;
        }
        channel.server = channel.server.max(record.seq);
        let last = channel
            .pushed
            .last()
            .map_or(channel.row.head.seq, |record| record.seq);
        // A record too large to be pushed comes without its bytes.
        if !channel.reading
            && channel.stuck.is_none()
            && !record.bytes.is_empty()
            && record.seq == last.next()
        {
            channel.pushed.push(record);
        }
    }

    pub(super) fn take_pushed(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let pushed = std::mem::take(&mut channel.pushed);
        let behind = channel.row.head.seq < channel.server;
        if !pushed.is_empty() {
            self.take(now, id, pushed, true)?;
        }
        if behind {
            self.advance(now, id)
        } else {
            Ok(())
        }
    }

    pub(super) fn records(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        channel.reading = false;
        // Entering again meanwhile.
        if channel.row.standing != In::In {
            return Ok(());
        }
        match reply {
            Ok(Reply::Records { records, head }) => {
                let Some(head) = self.check_head(id, &head)? else {
                    self.put_off(id, now.plus(2_000));
                    return Ok(());
                };
                if let Some(channel) = self.channels.get_mut(&id) {
                    channel.server = channel.server.max(head.seq);
                }
                let last = records.last().map(|record| record.seq);
                if last.is_none() && self.nothing_came(now, id, head) {
                    return Ok(());
                }
                if self.contradicts(id, head)? {
                    return self.other_log(now, id).map(drop);
                }
                if self.does_not_add_up(id, &records, head)? {
                    let next = channel_row(self, id)?.head.seq.next();
                    return self.read_in_vain(now, id, (next, AlarmKind::LogForked), UNSIGNED);
                }
                self.take(now, id, records, false)?;
                if last.is_none() {
                    self.check_acknowledged(id, head)?;
                }
                self.advance(now, id)
            }
            Err(failure) if failure.code == Code::Trimmed => {
                let next = channel_row(self, id)?.head.seq.next();
                self.read_in_vain(now, id, (next, AlarmKind::RecordsTrimmed), TRIMMED)
            }
            Err(failure) if failure.code == Code::NotAllowed => {
                // Removed meanwhile: the removal itself may no longer be handed out.
                self.leave(now, id, failure.message)
            }
            Err(failure) => {
                tracing::warn!(%failure, "reading");
                let wait = failure.retry_after_ms.unwrap_or(2_000);
                self.put_off(id, now.plus(wait));
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    /// Nothing more is handed out. What was signed or acknowledged beyond that is gone.
    fn check_acknowledged(&mut self, id: ChannelId, head: ChannelHead) -> Result<(), Error> {
        let Some(channel) = self.channels.get_mut(&id) else {
            return Ok(());
        };
        let (read, heard) = (channel.row.head.seq, channel.server);
        if head.seq > read || heard <= read {
            return Ok(());
        }
        channel.server = read;
        let store = self.store.clone();
        let again = store.relaxed(|| store.deny_acknowledged_after(id, read))?;
        let again = match again {
            0 => "",
            _ => "; what this device sent there is sent again",
        };
        self.alarm(
            Some(id),
            AlarmKind::LogRolledBack,
            format!(
                "the server told of record {} and its log ends at {}{again}",
                heard.0, read.0
            ),
        );
        Ok(())
    }

    /// The signed head has more, and nothing was handed out. It is not asked for again at once, or a
    /// server that lies about its log keeps this device busy.
    fn nothing_came(&mut self, now: UnixMillis, id: ChannelId, head: ChannelHead) -> bool {
        let Some(channel) = self.channels.get_mut(&id) else {
            return false;
        };
        let own = channel.row.head.seq;
        if own >= head.seq {
            return false;
        }
        channel.not_before = now.plus(2_000);
        let what = format!(
            "the server signed for record {} and hands out none after {}",
            head.seq.0, own.0
        );
        self.alarm(Some(id), AlarmKind::MissingRecord, what);
        true
    }

    /// The server signed the head beside what it handed out: records that lead elsewhere are not
    /// taken, whoever altered them.
    fn does_not_add_up(
        &self,
        id: ChannelId,
        records: &[Record],
        head: ChannelHead,
    ) -> Result<bool, Error> {
        let own = channel_row(self, id)?.head;
        let end = follow(id, own, records);
        Ok(
            end.is_some_and(|end| {
                end.seq > own.seq && end.seq == head.seq && end.hash != head.hash
            }),
        )
    }

    /// The signed head is not that of the log as read here.
    pub(super) fn contradicts(&self, id: ChannelId, head: ChannelHead) -> Result<bool, Error> {
        let own = channel_row(self, id)?.head;
        let known = match head.seq == own.seq {
            true => Some(own.hash),
            false => self.store.hash_at(id, head.seq)?,
        };
        Ok(head.seq <= own.seq && known.is_some_and(|hash| hash != head.hash))
    }

    /// Processes records in order, as many as hold, in as few transactions as possible.
    fn take(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        mut records: Vec<Record>,
        pushed: bool,
    ) -> Result<(), Error> {
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
                    engine.group(id)?.save()?;
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
        (sender, at): (DeviceId, Seq),
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
            .put_sender(row.id, sender, data.ledger.seq, data.seen.seq)
    }

    /// A record of this device: known from the outbox or from what was pending.
    fn take_own(
        &mut self,
        row: &mut ChannelRow,
        record: &Record,
        step: &mut Step,
    ) -> Result<(), Stop> {
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
            if matches!(content.kind(), Kind::Custody(_)) {
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

    fn take_other(
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
                self.knows(row, (by, record.seq), &data, step)?;
                step.parted = removed && !self.was_live(basis);
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
                self.knows(row, (sender, record.seq), &data, step)?;
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

    /// Out of a channel, without having read why.
    fn leave(&mut self, now: UnixMillis, id: ChannelId, why: String) -> Result<(), Error> {
        let parted = self.was_out_since(id, now);
        self.step(id, |engine| {
            engine.mls.forget(id)?;
            let mut row = channel_row(engine, id)?;
            row.standing = if parted { In::Parted } else { In::Out };
            row.basis = row.basis.or(Some(engine.basis_now(now)));
            row.note = Some(why);
            engine.save_row(row)
        })?;
        self.drop_group(id);
        self.event(Event::Left(id));
        Ok(())
    }
}

/// Where these records lead from a position; `None` if one is missing.
pub(super) fn follow(id: ChannelId, from: ChannelHead, records: &[Record]) -> Option<ChannelHead> {
    let mut end = from;
    for record in records.iter().filter(|record| record.seq > from.seq) {
        if record.seq != end.seq.next() {
            return None;
        }
        let entry = entry(record.device, record.client_id, record.time, &record.bytes);
        end = ChannelHead {
            seq: record.seq,
            hash: link(&end.hash, id, record.seq, &entry),
        };
    }
    Some(end)
}

/// MLS version 1 and wire format "public message" (RFC 9420 section 6).
fn is_commit(bytes: &[u8]) -> bool {
    bytes.get(..4) == Some(&[0, 1, 0, 1])
}
