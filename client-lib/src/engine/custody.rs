//! Custody: what this device did with items is signed, countersigned by the server and told in the
//! channel; what others tell is checked and kept.
//!
//! ```text
//! record() --signed, on disk--> waits --Countersign--> server
//!                                 |<-- time, signature (or none: the item is gone)
//!                                 |<-- token of a time-stamping service, if one is set (`stamping`)
//!                                 +--> outbox, a message of a kind of its own
//! a colleague's message --checked against ledger, manifest, earlier statements--> kept
//! ```

use plenary_certs::custody::{
    Act, Added, Countersignature, Entry, Facts, FileFacts, Record, check_countersignature,
    decode_entries, encode_entries,
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, ItemId, LedgerHead, Seq, UnixMillis},
    limits,
    reply::{Code, Failure, Reply},
    request::Request,
};

use super::{AlarmKind, Engine, Event, In, Wait, Waiting, taking::Step};
use crate::{
    content::{Content, Draft, Kind, Salt},
    error::{Error, ErrorKind},
    files::{Described, Manifest},
    store::custody::{CustodyRow, ItemRow},
};

/// Before the server is asked again, where it does not say.
const AGAIN_MS: u64 = 5_000;

impl Engine {
    /// The record of an item in a channel, as far as this device knows it.
    ///
    /// Errors: [`ErrorKind::NotFound`] if no message handed it over.
    pub(crate) fn custody(&self, channel: ChannelId, item: ItemId) -> Result<Record, Error> {
        let row = self.store.item(channel, item)?.ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                "no message of this channel that is held here hands this item over",
            )
        })?;
        let mut record = Record::new(self.facts(&row)?);
        for row in self.store.custody(channel, item)? {
            let damaged =
                |error: String| Error::new(ErrorKind::Store, format!("a kept statement: {error}"));
            let entry = Entry::decode(&row.entry).map_err(|error| damaged(error.to_string()))?;
            self.ledger
                .read(|ledger| record.restore(entry, ledger))
                .map_err(|error| damaged(error.to_string()))?;
        }
        Ok(record)
    }

    /// Signs what this device did with an item: durable when this returns, and told in the channel
    /// as soon as that is possible.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::NotAllowed`] if this device may not say so now.
    pub(crate) fn record(
        &mut self,
        now: UnixMillis,
        channel: ChannelId,
        item: ItemId,
        acts: &[Act],
    ) -> Result<(), Error> {
        let rows = self.sign_custody(now, channel, item, acts)?;
        let store = self.store.clone();
        store.atomic(|| rows.iter().try_for_each(|row| store.put_custody(row)))?;
        for act in acts {
            self.event(Event::Custody {
                channel,
                item,
                device: self.device(),
                act: *act,
            });
        }
        self.custody_step(now, channel)
    }

    fn sign_custody(
        &self,
        now: UnixMillis,
        channel: ChannelId,
        item: ItemId,
        acts: &[Act],
    ) -> Result<Vec<CustodyRow>, Error> {
        let mut record = self.custody(channel, item)?;
        let key = self.identity.custody_key()?;
        let mut rows = Vec::new();
        for act in acts {
            let mut salt = Digest([0; 32]);
            self.fill(&mut salt.0)?;
            let said = record.next(self.device(), *act, self.ledger_head(), now, salt);
            let entry = Entry::sign(&said, &key);
            rows.push(CustodyRow {
                id: entry.id(),
                item,
                channel,
                entry: entry.encode(),
                waits: true,
            });
            self.ledger
                .read(|ledger| record.add(entry, ledger))
                .map_err(|error| {
                    let what = format!("this device cannot state it as {act}: {error}");
                    Error::new(ErrorKind::NotAllowed, what)
                })?;
        }
        Ok(rows)
    }

    /// Asks the server's word on what waits in a channel.
    pub(super) fn custody_step(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        self.stamping_step(now, id)?;
        if self.stamping.waits(id) {
            return Ok(());
        }
        let ready = self.channels.get(&id).is_some_and(|channel| {
            self.online && channel.row.standing == In::In && channel.countersign_at.is_over(now)
        });
        let asked = self.waiting.values().any(
            |waiting| matches!(waiting, Waiting::Countersign { channel, .. } if *channel == id),
        );
        if !ready || asked {
            return Ok(());
        }
        let rows = self.store.custody_waiting(id, limits::COUNTERSIGN)?;
        let Some(item) = rows.first().map(|row| row.item) else {
            return Ok(());
        };
        let of_item = rows.iter().take_while(|row| row.item == item);
        let statements: Vec<_> = of_item.map(|row| row.id).collect();
        self.ask(
            Request::Countersign {
                item,
                channel: id,
                statements: statements.clone(),
            },
            Waiting::Countersign {
                channel: id,
                item,
                statements,
            },
        );
        Ok(())
    }

    /// The server gave its word, or has none: either way the statements go out.
    pub(super) fn countersigned(
        &mut self,
        now: UnixMillis,
        (id, item): (ChannelId, ItemId),
        statements: &[Digest],
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let words = match reply {
            Ok(Reply::Countersigned {
                root,
                time,
                signatures,
            }) => self.check_words(id, item, statements, (root, time, &signatures))?,
            Err(failure)
                if matches!(
                    failure.code,
                    Code::RateLimited | Code::Unavailable | Code::Unauthenticated | Code::Fenced
                ) =>
            {
                let wait = failure.retry_after_ms.unwrap_or(AGAIN_MS);
                self.custody_at(id, Wait::of(wait, now));
                return Ok(());
            }
            // Gone: withdrawn or expired. The statement has its device's clock alone.
            Err(failure) => {
                tracing::info!(%failure, "not countersigned");
                Vec::new()
            }
            Ok(_) => {
                let what =
                    "the server answered a request for its countersignature with something else";
                self.alarm(Some(id), AlarmKind::UnexpectedAnswer, what);
                Vec::new()
            }
        };
        let mut rows = self.store.custody(id, item)?;
        rows.retain(|row| row.waits && statements.contains(&row.id));
        let mut entries = Vec::new();
        for row in rows {
            let mut entry = Entry::decode(&row.entry)
                .map_err(|error| Error::new(ErrorKind::Store, error.to_string()))?;
            let word = statements.iter().position(|id| *id == row.id);
            if let Some(word) = word.and_then(|at| words.get(at)) {
                entry = entry.countersigned(*word);
            }
            entries.push(entry);
        }
        match entries.is_empty() {
            true => Ok(()),
            false => self.stamp_or_tell(now, (id, item), entries),
        }
    }

    /// Asks again later.
    pub(super) fn put_off_custody(&mut self, now: UnixMillis, id: ChannelId) {
        self.custody_at(id, Wait::of(AGAIN_MS, now));
    }

    fn custody_at(&mut self, id: ChannelId, wait: Wait) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.countersign_at = wait;
        }
    }

    /// The countersignatures, if they are the server's and for what was asked.
    fn check_words(
        &mut self,
        id: ChannelId,
        item: ItemId,
        statements: &[Digest],
        (root, time, signatures): (Digest, UnixMillis, &[plenary_proto::ids::Signature]),
    ) -> Result<Vec<Countersignature>, Error> {
        let network = self.identity.network();
        let words: Vec<_> = signatures
            .iter()
            .map(|signature| Countersignature {
                time,
                signature: *signature,
            })
            .collect();
        let key = self.server_key();
        let expected = self.custody(id, item)?.facts().root;
        let holds = root == expected
            && words.len() == statements.len()
            && key.is_some_and(|key| {
                statements.iter().zip(&words).all(|(statement, word)| {
                    check_countersignature(&key, network, item, statement, &root, word).is_ok()
                })
            });
        if holds {
            return Ok(words);
        }
        let what = match root == expected {
            true => "the server's countersignature on a statement of custody does not hold",
            false => "the server holds other bytes for an item than the manifest names",
        };
        self.alarm(Some(id), AlarmKind::Countersignature, what);
        Ok(Vec::new())
    }

    pub(super) fn custody_content(&self, entries: &[Entry]) -> Result<Vec<u8>, Error> {
        let mut salt = Salt([0; 16]);
        self.fill(&mut salt.0)?;
        Draft::custody(encode_entries(entries))
            .into_content(salt)
            .and_then(|content| content.encode())
            .map_err(|error| Error::new(ErrorKind::Input, error.to_string()))
    }

    /// Takes note of an item that a message hands over. Another manifest under an id that is known
    /// in the channel is told and changes nothing.
    pub(super) fn note_item(
        &mut self,
        channel: ChannelId,
        (seq, device): (Seq, DeviceId),
        content: &Content,
        step: &mut Step,
    ) -> Result<(), Error> {
        let Kind::Item(manifest) = content.kind() else {
            return Ok(());
        };
        // Told to whoever opens it.
        let Ok(manifest) = Manifest::decode(manifest) else {
            return Ok(());
        };
        let described = manifest.describe().encode();
        if let Some(known) = self.store.item(channel, manifest.item())? {
            if known.described != described {
                let what = format!(
                    "message {} hands an item over that message {} had handed over with another manifest",
                    seq.0, known.seq.0
                );
                step.alarms.push((AlarmKind::ManifestChanged, what));
            }
            return Ok(());
        }
        let devices = self.group(channel)?.devices();
        let mut offered: Vec<_> = devices
            .into_iter()
            .filter_map(|device| self.member_of(device))
            .collect();
        offered.sort_unstable();
        offered.dedup();
        self.store.add_item(&ItemRow {
            item: manifest.item(),
            channel,
            seq,
            device,
            described,
            offered,
        })?;
        if device != self.device() {
            return Ok(());
        }
        // In the log: from here on it is handed over.
        match self.sign_custody(self.clock, channel, manifest.item(), &[Act::Deposited]) {
            Ok(rows) => {
                rows.iter()
                    .try_for_each(|row| self.store.put_custody(row))?;
                step.custody.push((manifest.item(), device, Act::Deposited));
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotAllowed => {
                tracing::warn!(%error, "an item was handed over without a statement of custody");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps what a colleague states of custody; whether the content was that. `ledger`: as the
    /// message's authenticated data names it.
    pub(super) fn take_custody(
        &mut self,
        channel: ChannelId,
        (sender, ledger): (DeviceId, LedgerHead),
        content: &Content,
        step: &mut Step,
    ) -> Result<bool, Error> {
        let Kind::Custody(bytes) = content.kind() else {
            return Ok(false);
        };
        let entries = match decode_entries(bytes) {
            Ok(entries) => entries,
            Err(error) => {
                step.refuse_custody(sender, &error);
                return Ok(true);
            }
        };
        for entry in entries {
            let Ok(said) = entry.statement() else {
                step.refuse_custody(sender, &"malformed");
                continue;
            };
            if said.device != sender {
                step.refuse_custody(sender, &"by another device than the one that sent it");
                continue;
            }
            // What it knows, the message knows, too: nobody waits for a ledger that never comes.
            if said.ledger.seq > ledger.seq {
                step.refuse_custody(sender, &"it names a ledger that its message does not know");
                continue;
            }
            if self.store.item(said.channel, said.item)?.is_none() && said.channel == channel {
                // Handed over before this device came.
                continue;
            }
            let mut record = match self.custody(channel, said.item) {
                Ok(record) => record,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    step.refuse_custody(sender, &"about an item of another channel");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let entry = match entry.stamps(None) {
                Ok(_) => entry,
                Err(error) => {
                    let what = format!("a time stamp by {sender:?} is left out: {error}");
                    step.alarms.push((AlarmKind::Custody, what));
                    entry.unstamped()
                }
            };
            match self.ledger.read(|ledger| record.add(entry.clone(), ledger)) {
                Ok(Added::Known) => {}
                Ok(Added::New) => {
                    self.store.put_custody(&CustodyRow {
                        id: entry.id(),
                        item: said.item,
                        channel,
                        entry: entry.encode(),
                        waits: false,
                    })?;
                    step.custody.push((said.item, sender, said.act));
                }
                Err(error) => step.refuse_custody(sender, &error),
            }
        }
        Ok(true)
    }

    /// Statements of this device came back with the log: should that turn out to be a false one,
    /// they are said again.
    pub(super) fn custody_is_in_log(&self, entries: &[u8], at: Seq) -> Result<(), Error> {
        for entry in decode_entries(entries).unwrap_or_default() {
            self.store.custody_said(&entry.id(), at)?;
        }
        Ok(())
    }

    fn facts(&self, row: &ItemRow) -> Result<Facts, Error> {
        let described = Described::decode(&row.described)
            .map_err(|error| Error::new(ErrorKind::Store, format!("a kept item: {error}")))?;
        Ok(Facts {
            network: self.identity.network(),
            item: row.item,
            channel: row.channel,
            depositor: row.device,
            manifest: described.hash(),
            root: *described.root(),
            file: FileFacts {
                sha256: *described.sha256(),
                size: described.layout().size(),
            },
        })
    }
}

impl Step {
    fn refuse_custody(&mut self, sender: DeviceId, why: &dyn std::fmt::Display) {
        let what = format!("a statement of custody by {sender:?} is left out: {why}");
        self.alarms.push((AlarmKind::Custody, what));
    }
}
