//! What must hold all along.
//!
//! | promise | how it is seen |
//! |---|---|
//! | nothing acknowledged is lost | what `send` took is in the log, or its sender was told why not; what was told to be at a place is there |
//! | nothing is doubled | one mark once in a log, one text once at a device |
//! | nothing is out of order | places are dense; a sender's messages stand in the order of sending; every device shows the log's order |
//! | every entitled member reads everything | whose device was in the group at a message shows it, once the weather is fair |
//! | nobody else does | who shows a message had its device in the group at it; nothing is sealed to, or taken for, a group with somebody whom the ledger has out |

use std::collections::{BTreeMap, BTreeSet, HashMap};

use plenary_client::simulation::{Logged, Shown, World};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Seq};

/// One thing that must not be.
pub type Violation = String;

/// What was given to `send`.
struct Said {
    party: usize,
    channel: ChannelId,
    /// Unknown where the sender died while it was told.
    mark: Option<ClientId>,
    place: Option<Seq>,
    failed: bool,
}

#[derive(Default)]
struct Log {
    records: Vec<Logged>,
    marks: BTreeSet<(DeviceId, ClientId)>,
    /// The last message of each party, by its number.
    last: BTreeMap<usize, usize>,
}

#[derive(Default)]
struct View {
    /// Everything it shows, as it came.
    rows: Vec<Row>,
    texts: BTreeSet<usize>,
    places: BTreeSet<(ChannelId, Seq)>,
    /// The last one read in each log, not handed on.
    read: BTreeMap<ChannelId, Seq>,
    /// How far each log was compared with it.
    compared: BTreeMap<ChannelId, usize>,
}

/// What a party shows: position, place, the message's number, and whether it was handed on.
#[derive(Clone, Copy)]
struct Row {
    position: u64,
    channel: ChannelId,
    seq: Seq,
    number: usize,
    handed: bool,
}

/// Keeps the books.
#[derive(Default)]
pub struct Judge {
    said: Vec<Said>,
    by_mark: HashMap<(DeviceId, ClientId), usize>,
    logs: BTreeMap<ChannelId, Log>,
    views: BTreeMap<usize, View>,
    /// Records of the world's log that were taken in.
    noted: usize,
    pub shown: u64,
}

impl Judge {
    /// The number of what will be said next: its text begins with it.
    pub fn next(&self) -> usize {
        self.said.len()
    }

    /// `send` took a message, or its process died on it.
    pub fn said(&mut self, party: usize, at: DeviceId, channel: ChannelId, mark: Option<ClientId>) {
        if let Some(mark) = mark {
            self.by_mark.insert((at, mark), self.said.len());
        }
        self.said.push(Said {
            party,
            channel,
            mark,
            place: None,
            failed: false,
        });
    }

    /// The server's log grew: the new records.
    pub fn log(&mut self, world: &World) -> Result<Vec<Logged>, Violation> {
        let new = world.log[self.noted..].to_vec();
        self.noted = world.log.len();
        for record in &new {
            let log = self.logs.entry(record.channel).or_default();
            let place = record.seq.0;
            if place != log.records.len() as u64 + 1 {
                return Err(format!("a log goes from {} to {place}", log.records.len()));
            }
            let mark = (record.device, record.client_id);
            if !log.marks.insert(mark) {
                return Err(format!("one mark twice in a log, again at {place}"));
            }
            if record.sealed {
                if let Some(out) = record.out.first() {
                    return Err(format!(
                        "a message was taken for a group with {out}, whom the ledger has out"
                    ));
                }
                if !record.devices.contains(&record.device) {
                    return Err(format!(
                        "a message at {place} by {} from outside",
                        record.device
                    ));
                }
            }
            if let Some(number) = self.by_mark.get(&mark).copied() {
                let said = &mut self.said[number];
                if said.channel != record.channel || !record.sealed {
                    return Err(format!(
                        "message {number} is in another log than it was said in"
                    ));
                }
                if said.failed {
                    return Err(format!("message {number} failed and is at {place}"));
                }
                said.place = Some(record.seq);
                let last = log.last.insert(said.party, number);
                if last.is_some_and(|last| last > number) {
                    return Err(format!("{last:?} stands before {number}, said before it"));
                }
            }
            log.records.push(record.clone());
        }
        Ok(new)
    }

    /// A device was told that its message is in the log.
    pub fn acknowledged(
        &self,
        at: DeviceId,
        channel: ChannelId,
        mark: ClientId,
        seq: Seq,
    ) -> Result<(), Violation> {
        let log = self.logs.get(&channel);
        let record = log.and_then(|log| log.records.get((seq.0 as usize).wrapping_sub(1)));
        match record {
            Some(record) if record.client_id == mark && record.device == at => Ok(()),
            _ => Err(format!(
                "{at} was told that its message is at {}, and it is not",
                seq.0
            )),
        }
    }

    /// A device was told that its message will not be sent. Which one, if it was one of ours.
    pub fn failed(&mut self, at: DeviceId, mark: ClientId) -> Result<Option<usize>, Violation> {
        let Some(number) = self.by_mark.get(&(at, mark)).copied() else {
            return Ok(None);
        };
        let said = &mut self.said[number];
        if said.place.is_some() {
            return Err(format!(
                "message {number} is in the log and is told to have failed"
            ));
        }
        said.failed = true;
        Ok(Some(number))
    }

    /// A party's program came back: what it lost it may read again.
    pub fn restarted(&mut self, world: &World, party: usize) {
        let last = world.last_shown(party);
        let Some(view) = self.views.get_mut(&party) else {
            return;
        };
        let kept = view.rows.partition_point(|row| row.position <= last);
        let lost = view.rows.split_off(kept);
        for row in &lost {
            view.texts.remove(&row.number);
            view.places.remove(&(row.channel, row.seq));
            view.compared.remove(&row.channel);
        }
        if !lost.is_empty() {
            let read = view.rows.iter().filter(|row| !row.handed);
            view.read = read.map(|row| (row.channel, row.seq)).collect();
        }
    }

    /// A party may have set aside what it was shown falsely: read all of it again.
    pub fn read_anew(&mut self, party: usize) {
        self.views.remove(&party);
    }

    /// What a party shows newly.
    pub fn show(&mut self, world: &World, party: usize) -> Result<Vec<Shown>, Violation> {
        let device = world.device(party);
        let mut all = Vec::new();
        loop {
            let view = self.views.entry(party).or_default();
            let after = view.rows.last().map_or(0, |row| row.position);
            let page = world.shown_after(party, after, 512);
            if page.is_empty() {
                return Ok(all);
            }
            for shown in page {
                self.one(world, party, device, &shown)?;
                all.push(shown);
            }
        }
    }

    fn one(
        &mut self,
        world: &World,
        party: usize,
        device: DeviceId,
        shown: &Shown,
    ) -> Result<(), Violation> {
        let place = shown.seq.0;
        let log = self.logs.get(&shown.channel);
        let record = log
            .and_then(|log| log.records.get((place as usize).wrapping_sub(1)))
            .filter(|record| record.client_id == shown.client_id && record.device == shown.device)
            .ok_or_else(|| format!("{party} shows at {place} what is not there"))?;
        if !record.devices.contains(&device) {
            return Err(format!(
                "{party} shows the message at {place}, and was not in the group"
            ));
        }
        let number = shown
            .text
            .split(' ')
            .next()
            .and_then(|word| word.parse().ok());
        let number: usize = number.ok_or_else(|| format!("{party} shows {:?}", shown.text))?;
        let said = self
            .said
            .get_mut(number)
            .ok_or_else(|| format!("{party} shows {number}, which nobody said"))?;
        if said.channel != shown.channel || world.device(said.party) != shown.device {
            return Err(format!("{party} shows {number} as somebody else's"));
        }
        if *said.mark.get_or_insert(shown.client_id) != shown.client_id {
            return Err(format!("{number} has two marks"));
        }
        said.place = Some(shown.seq);
        let view = self.views.entry(party).or_default();
        if !view.texts.insert(number) || !view.places.insert((shown.channel, shown.seq)) {
            return Err(format!("{party} shows {number} twice"));
        }
        // Its own may find their place later.
        let handed = shown.handed_by.is_some() || shown.device == device;
        if !handed {
            let before = view.read.insert(shown.channel, shown.seq);
            if before.is_some_and(|before| before >= shown.seq) {
                return Err(format!("{party} read {place} after {before:?}"));
            }
        }
        view.rows.push(Row {
            position: shown.position,
            channel: shown.channel,
            seq: shown.seq,
            number,
            handed,
        });
        self.shown += 1;
        Ok(())
    }

    /// The weather has been fair for long enough: nothing may be missing.
    pub fn all_there(&mut self, world: &mut World) -> Result<(), Violation> {
        let parties: Vec<_> = (0..world.parties.len()).collect();
        let mut inside: BTreeMap<ChannelId, BTreeSet<DeviceId>> = BTreeMap::new();
        for channel in self.logs.keys() {
            let now = world.group_of(*channel);
            inside.insert(*channel, now.into_iter().collect());
        }
        for party in parties {
            if !world.is_live(party) {
                continue;
            }
            let device = world.device(party);
            for (channel, log) in &self.logs {
                let is_in = world.is_in(party, *channel);
                if inside[channel].contains(&device) != is_in {
                    return Err(format!(
                        "{party} is {} {channel}, the server says otherwise: {:?}",
                        if is_in { "in" } else { "not in" },
                        world.standings(party)
                    ));
                }
                if !is_in {
                    continue;
                }
                let view = self.views.entry(party).or_default();
                let from = view.compared.get(channel).copied().unwrap_or(0);
                for record in &log.records[from..] {
                    let mark = (record.device, record.client_id);
                    // What devices tell each other is for nobody's eyes.
                    let meant = record.sealed
                        && self.by_mark.contains_key(&mark)
                        && record.devices.contains(&device);
                    if meant && !view.places.contains(&(*channel, record.seq)) {
                        let others: Vec<_> = (0..world.parties.len())
                            .filter(|other| record.devices.contains(&world.device(*other)))
                            .map(|other| {
                                (other, world.could_hand(other, *channel, record.seq, device))
                            })
                            .collect();
                        return Err(format!(
                            "{party} does not show the message at {} of {channel}: {:?}, misses {:?}; \
                             the others have it, and know that it may: {others:?}",
                            record.seq.0,
                            world.standings(party),
                            world.gaps(party),
                        ));
                    }
                }
                view.compared.insert(*channel, log.records.len());
            }
            let gaps = world.gaps(party);
            if !gaps.is_empty() {
                return Err(format!("{party} still misses {gaps:?}"));
            }
        }
        for (number, said) in self.said.iter().enumerate() {
            let done = said.place.is_some() || said.failed || said.mark.is_none();
            if !done && world.is_live(said.party) && world.is_in(said.party, said.channel) {
                return Err(format!(
                    "message {number} of {} in {} was taken and is nowhere; {} wait, {:?}",
                    said.party,
                    said.channel,
                    world.queued(said.party),
                    world.standings(said.party)
                ));
            }
        }
        Ok(())
    }

    /// Messages said, in the log, told to have failed.
    pub fn counts(&self) -> [usize; 3] {
        let count = |is: fn(&Said) -> bool| self.said.iter().filter(|said| is(said)).count();
        [
            self.said.len(),
            count(|said| said.place.is_some()),
            count(|said| said.failed),
        ]
    }
}
