//! The record of one item in one channel: every statement seen, in an order in which each comes
//! after those it names.

use std::collections::{BTreeMap, BTreeSet};

use plenary_proto::ids::{ChannelId, DeviceId, Digest, ItemId, LedgerHead, NetworkId, UnixMillis};

use super::{Act, CustodyError, Entry, FileFacts, Statement};
use crate::ledger::Ledger;

/// Ends of other chains that one statement names. In a large channel the rest is named by others.
pub const MAX_SEEN: usize = 32;

/// Statements of one record: a thousand devices that collect, verify and export four times.
const MAX_ENTRIES: usize = 16_384;

/// What every statement of a record must agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The network.
    pub network: NetworkId,
    /// The item.
    pub item: ItemId,
    /// Where it was handed over.
    pub channel: ChannelId,
    /// By which device, as the message says that carried the manifest. Where there is no message,
    /// the one that says it deposited it.
    pub depositor: DeviceId,
    /// Hash of the manifest without its key.
    pub manifest: Digest,
    /// Root over the sealed chunks.
    pub root: Digest,
    /// The file.
    pub file: FileFacts,
}

/// What adding an entry did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It was there: a statement said twice is said once.
    Known,
}

/// The record of one item.
#[derive(Debug, Clone)]
pub struct Record {
    facts: Facts,
    entries: Vec<(Entry, Statement, Digest)>,
    known: BTreeSet<Digest>,
    /// Not named by a later statement.
    heads: BTreeSet<Digest>,
    /// Named, and not here.
    missing: BTreeSet<Digest>,
    devices: BTreeMap<DeviceId, Last>,
}

/// Where a device is with an item.
#[derive(Debug, Clone, Default)]
struct Last {
    number: u32,
    id: Option<Digest>,
    deposited: bool,
    collected: bool,
    verified: bool,
    withdrawn: bool,
    /// Statements of it are missing: what it may do is not judged.
    gap: bool,
}

impl Record {
    /// An empty one.
    pub fn new(facts: Facts) -> Self {
        Self {
            facts,
            entries: Vec::new(),
            known: BTreeSet::new(),
            heads: BTreeSet::new(),
            missing: BTreeSet::new(),
            devices: BTreeMap::new(),
        }
    }

    /// What it is about.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Checks an entry and takes it in. Changes nothing on failure.
    ///
    /// # Errors
    /// [`CustodyError`], by name what is wrong.
    pub fn add(&mut self, entry: Entry, ledger: &Ledger) -> Result<Added, CustodyError> {
        let said = entry.check(ledger)?;
        self.take(entry, said, ledger)
    }

    /// Takes in an entry that was checked before: out of one's own store.
    ///
    /// # Errors
    /// [`CustodyError`], for what is wrong beside the signatures.
    pub fn restore(&mut self, entry: Entry, ledger: &Ledger) -> Result<Added, CustodyError> {
        let said = entry.statement()?;
        self.take(entry, said, ledger)
    }

    /// Every entry, each after those it names.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = (&Entry, &Statement)> {
        self.entries.iter().map(|(entry, said, _)| (entry, said))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Statements that others name and that are not here: the record has a gap.
    pub fn missing(&self) -> impl Iterator<Item = &Digest> {
        self.missing.iter()
    }

    /// The statement by which the item was withdrawn.
    pub fn withdrawn(&self) -> Option<&Statement> {
        let mut said = self.entries().map(|(_, said)| said);
        said.find(|said| said.act == Act::Withdrawn)
    }

    /// Whether a device has come so far, and has not deleted its copies since.
    pub fn has(&self, device: DeviceId, act: Act) -> bool {
        self.devices.get(&device).is_some_and(|last| match act {
            Act::Deposited => last.deposited,
            Act::Collected => last.collected,
            Act::Verified => last.verified,
            Act::Withdrawn => last.withdrawn,
            Act::Exported | Act::Deleted => false,
        })
    }

    /// The next statement of a device, to be signed by it.
    pub fn next(
        &self,
        device: DeviceId,
        act: Act,
        ledger: LedgerHead,
        time: UnixMillis,
        salt: Digest,
    ) -> Statement {
        let last = self.devices.get(&device);
        let previous = last.and_then(|last| last.id);
        // The newest say most: they name the older ones.
        let mut seen: Vec<_> = self
            .entries
            .iter()
            .rev()
            .map(|(_, _, id)| *id)
            .filter(|id| self.heads.contains(id) && Some(*id) != previous)
            .take(MAX_SEEN)
            .collect();
        seen.sort_unstable();
        Statement {
            network: self.facts.network,
            item: self.facts.item,
            channel: self.facts.channel,
            device,
            number: last.map_or(0, |last| last.number).saturating_add(1),
            previous,
            seen,
            act,
            manifest: self.facts.manifest,
            root: self.facts.root,
            file: act.is_about_file().then_some(self.facts.file),
            ledger,
            time,
            salt,
        }
    }

    fn take(
        &mut self,
        entry: Entry,
        said: Statement,
        ledger: &Ledger,
    ) -> Result<Added, CustodyError> {
        let id = entry.id();
        self.check_facts(&said)?;
        if self.known.contains(&id) {
            return Ok(Added::Known);
        }
        if self.entries.len() >= MAX_ENTRIES {
            return Err(CustodyError::TooMany);
        }
        let last = self.devices.get(&said.device).cloned().unwrap_or_default();
        let last = self.follow(last, &said, id, ledger)?;
        for named in said.previous.iter().chain(&said.seen) {
            self.heads.remove(named);
            if !self.known.contains(named) {
                self.missing.insert(*named);
            }
        }
        self.missing.remove(&id);
        // One that came late is no end if it was named before.
        let named = self
            .entries
            .iter()
            .any(|(_, said, _)| said.previous == Some(id) || said.seen.binary_search(&id).is_ok());
        if !named {
            self.heads.insert(id);
        }
        self.known.insert(id);
        self.devices.insert(said.device, last);
        self.entries.push((entry, said, id));
        Ok(Added::New)
    }

    fn check_facts(&self, said: &Statement) -> Result<(), CustodyError> {
        let facts = &self.facts;
        if said.network != facts.network {
            return Err(CustodyError::OtherNetwork(said.network));
        }
        if said.item != facts.item {
            return Err(CustodyError::OtherItem);
        }
        if said.channel != facts.channel {
            return Err(CustodyError::OtherChannel);
        }
        if said.manifest != facts.manifest {
            return Err(CustodyError::OtherManifest);
        }
        if said.root != facts.root {
            return Err(CustodyError::OtherRoot);
        }
        if said.file.is_some_and(|file| file != facts.file) {
            return Err(CustodyError::OtherFile);
        }
        Ok(())
    }

    /// Where the device is after this statement, if it may make it.
    fn follow(
        &self,
        mut last: Last,
        said: &Statement,
        id: Digest,
        ledger: &Ledger,
    ) -> Result<Last, CustodyError> {
        let number = said.number;
        if number <= last.number {
            return Err(CustodyError::Forked { number });
        }
        if number == last.number + 1 {
            if said.previous != last.id {
                return Err(CustodyError::Unlinked { number });
            }
        } else {
            last.gap = true;
        }
        let member = |device| ledger.device(device).map(|device| device.member);
        let own = member(said.device) == member(self.facts.depositor);
        let (known, act) = (!last.gap, said.act);
        match act {
            Act::Deposited if said.device != self.facts.depositor => {
                return Err(CustodyError::NotTheirs(act));
            }
            Act::Withdrawn if !own => return Err(CustodyError::NotTheirs(act)),
            Act::Deposited if last.deposited => return Err(CustodyError::Twice(act)),
            Act::Collected if last.collected => return Err(CustodyError::Twice(act)),
            Act::Verified if last.verified => return Err(CustodyError::Twice(act)),
            Act::Withdrawn if last.withdrawn => return Err(CustodyError::Twice(act)),
            Act::Verified if known && !last.collected => return Err(CustodyError::Order(act)),
            Act::Exported if known && !last.verified && !last.deposited => {
                return Err(CustodyError::Order(act));
            }
            _ => {}
        }
        match act {
            Act::Deposited => last.deposited = true,
            Act::Collected => last.collected = true,
            Act::Verified => last.verified = true,
            Act::Withdrawn => last.withdrawn = true,
            Act::Exported => {}
            Act::Deleted => (last.collected, last.verified) = (false, false),
        }
        last.number = number;
        last.id = Some(id);
        Ok(last)
    }
}
