//! Custody as applications see it: receipts, the record, withdrawing, samples.

use std::{path::PathBuf, time::Duration};

use plenary_certs::custody::{Act, Entry, Record, Statement};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, ItemId, MemberId, Seq, UnixMillis},
    reply::Reply,
    request::Request,
};

use super::{Client, Message};
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
    files::{Manifest, export_sample, sealed_path},
    store::create_private_folder,
};

/// Where samples are kept, sealed, in a profile's folder.
const SAMPLES: &str = "samples";

/// How long the server's word on a withdrawal is waited for.
const WORD: Duration = Duration::from_secs(10);

/// How long it is waited for until what was stated is told, before a bundle is written.
pub(super) const TOLD: Duration = Duration::from_secs(10);

/// A statement of custody, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stated {
    /// What was done.
    pub act: Act,
    /// By whom.
    pub member: MemberId,
    /// Their name, where known.
    pub name: Option<String>,
    /// On which device.
    pub device: DeviceId,
    /// By the device's clock.
    pub time: UnixMillis,
    /// By the server's clock, where it countersigned.
    pub server_time: Option<UnixMillis>,
    /// By a time-stamping service's clock, where one stamped it.
    pub stamp_time: Option<UnixMillis>,
    /// Names the statement.
    pub id: Digest,
}

/// The record of an item in a channel, as this device knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CustodyRecord {
    /// The item.
    pub item: ItemId,
    /// Every statement, each after those that it names.
    pub statements: Vec<Stated>,
    /// How many statements are named by others and are not here.
    pub missing: usize,
    /// This device's statements that wait for the server.
    pub waiting: usize,
}

/// How far a recipient is with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// Who.
    pub member: MemberId,
    /// Their name, where known.
    pub name: Option<String>,
    /// They could read the message that offered it.
    pub offered: bool,
    /// All sealed bytes came.
    pub collected: Option<Stated>,
    /// They are the file that was sent.
    pub verified: Option<Stated>,
    /// The last copy made for use elsewhere.
    pub exported: Option<Stated>,
    /// Copies were removed, and none was collected since.
    pub deleted: Option<Stated>,
}

/// What became of an item that was handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipts {
    /// The item.
    pub item: ItemId,
    /// Its name, as sent.
    pub name: String,
    /// The sender's own statement.
    pub deposited: Option<Stated>,
    /// It was taken back.
    pub withdrawn: Option<Stated>,
    /// Everybody whom it was offered to, and whoever else came by it; by name.
    pub recipients: Vec<Receipt>,
}

impl Client {
    /// What recipients have said of an item that a message hands over: offered, collected, verified.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over none.
    pub async fn receipts(&self, message: &Message) -> Result<Receipts, Error> {
        let manifest = handed_over(message)?;
        let channel = message.channel;
        self.driver
            .run(move |engine, _| receipts(engine, channel, &manifest))
            .await
    }

    /// Every statement of custody about an item that a message hands over.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over none.
    pub async fn custody(&self, message: &Message) -> Result<CustodyRecord, Error> {
        let (item, channel) = (handed_over(message)?.item(), message.channel);
        self.driver
            .run(move |engine, _| {
                let record = engine.custody(channel, item)?;
                let rows = engine.store().custody(channel, item)?;
                Ok(CustodyRecord {
                    item,
                    missing: record.missing().count(),
                    waiting: rows.iter().filter(|row| row.waits).count(),
                    statements: record
                        .entries()
                        .map(|(entry, said)| stated(engine, entry, said))
                        .collect(),
                })
            })
            .await
    }

    /// The message that first handed an item over in a channel: its place.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn handed_over_at(
        &self,
        channel: ChannelId,
        item: ItemId,
    ) -> Result<Option<Seq>, Error> {
        self.driver
            .run(move |engine, _| Ok(engine.store().item(channel, item)?.map(|row| row.seq)))
            .await
    }

    /// Takes an item back that a device of this member handed over: says so in the channel, then
    /// has the server remove it. Whoever has collected it keeps it. Calling it again completes what
    /// was interrupted.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotAllowed`] if it is another member's,
    /// [`ErrorKind::Offline`].
    pub async fn withdraw(&self, message: &Message) -> Result<(), Error> {
        let (item, channel) = (handed_over(message)?.item(), message.channel);
        self.driver
            .run(move |engine, now| {
                let record = engine.custody(channel, item)?;
                match record.withdrawn() {
                    Some(_) => Ok(()),
                    None => engine.record(now, channel, item, &[Act::Withdrawn]),
                }
            })
            .await?;
        // The server countersigns only what it holds: its word first.
        self.until(WORD, move |engine| {
            Ok(engine.store().custody_waiting(channel, 1)?.is_empty())
        })
        .await?;
        let request = Request::ItemWithdraw { item, channel };
        match self.driver.call(request).await? {
            Reply::Done => Ok(()),
            _ => Err(Error::new(
                ErrorKind::Refused,
                "the server answered something else than was asked",
            )),
        }
    }

    /// Waits until all that this device stated is in the channels' logs, or for so long; whether
    /// it is.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`], [`ErrorKind::Store`].
    pub async fn custody_told(&self, patience: Duration) -> Result<bool, Error> {
        self.until(patience, |engine| {
            let store = engine.store();
            Ok(store.custody_waits()? == 0 && store.queued(None)? == 0)
        })
        .await
    }

    /// Opens a malware sample, which [`Client::fetch`] left sealed, into a folder: under its
    /// SHA-256, not executable. Recorded as exported.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over no sample or it was not fetched.
    pub async fn export_sample(
        &self,
        message: &Message,
        folder: impl Into<PathBuf>,
    ) -> Result<PathBuf, Error> {
        let manifest = handed_over(message)?;
        if !manifest.carries_malware() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "the sender did not mark this file as carrying malware: fetch it",
            ));
        }
        let sealed = sealed_path(&self.samples()?, manifest.item());
        if !sealed.exists() {
            return Err(Error::new(
                ErrorKind::NotFound,
                "the sample is not here: fetch it first, it stays sealed",
            ));
        }
        let (item, channel, folder) = (manifest.item(), message.channel, folder.into());
        let path = blocking(move || Ok(export_sample(&sealed, &manifest, &folder)?)).await?;
        self.driver
            .run(move |engine, now| engine.record(now, channel, item, &[Act::Exported]))
            .await?;
        Ok(path)
    }

    /// Removes this device's sealed copy of an item and, if it is given, a file in the clear whose
    /// SHA-256 is the item's; records it as deleted. Copies made elsewhere nobody can know.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if nothing was collected here, [`ErrorKind::Input`] if the file is
    /// another one: nothing is removed then.
    pub async fn delete_copies(
        &self,
        message: &Message,
        file: Option<PathBuf>,
    ) -> Result<(), Error> {
        let manifest = handed_over(message)?;
        let (item, channel, own) = (manifest.item(), message.channel, self.device);
        let had = self
            .driver
            .run(move |engine, _| Ok(engine.custody(channel, item)?.has(own, Act::Collected)))
            .await?;
        if !had {
            return Err(Error::new(
                ErrorKind::NotFound,
                "this device has collected no copy of the item, or deleted it before",
            ));
        }
        let sealed = sealed_path(&self.samples()?, item);
        let sha256 = *manifest.sha256();
        blocking(move || {
            if let Some(file) = &file {
                if crate::files::sha256_of(file)? != sha256 {
                    let what = format!(
                        "{} is another file: its SHA-256 is not the item's",
                        file.display()
                    );
                    return Err(Error::new(ErrorKind::Input, what));
                }
                std::fs::remove_file(file)?;
            }
            match std::fs::remove_file(sealed) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            }
        })
        .await?;
        self.driver
            .run(move |engine, now| engine.record(now, channel, item, &[Act::Deleted]))
            .await
    }

    /// Where an item goes to when it is fetched.
    pub(super) fn place_of(&self, manifest: &Manifest, folder: PathBuf) -> Result<PathBuf, Error> {
        match manifest.carries_malware() {
            true => self.samples(),
            false => Ok(folder),
        }
    }

    pub(super) fn samples(&self) -> Result<PathBuf, Error> {
        let folder = self.folder.join(SAMPLES);
        create_private_folder(&folder)?;
        Ok(folder)
    }

    /// Refuses what must not be fetched.
    pub(super) async fn may_collect(
        &self,
        channel: ChannelId,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let described = manifest.describe();
        self.driver
            .run(move |engine, _| {
                let record = engine.custody(channel, described.item())?;
                if record.facts().manifest != described.hash() {
                    return Err(Error::new(
                        ErrorKind::Integrity,
                        "the item was handed over before with another manifest, which counts: \
                         ask the sender",
                    ));
                }
                match record.withdrawn() {
                    Some(said) => {
                        let by = engine.member_of(said.device);
                        let by = by.and_then(|member| engine.member_profile(member));
                        let by = by.map_or("its sender", |profile| profile.profile().name());
                        let what = format!("the item was withdrawn by {by}");
                        Err(Error::new(ErrorKind::NotAllowed, what))
                    }
                    None => Ok(()),
                }
            })
            .await
    }

    /// States that an item came whole and is what was sent.
    pub(super) async fn collected(
        &self,
        channel: ChannelId,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let (item, sealed) = (manifest.item(), manifest.carries_malware());
        self.driver
            .run(move |engine, now| {
                let record = engine.custody(channel, item)?;
                let own = engine.identity().device();
                let acts: &[Act] = match record.has(own, Act::Verified) {
                    false if record.has(own, Act::Collected) => &[Act::Verified],
                    false => &[Act::Collected, Act::Verified],
                    // Another copy in the clear.
                    true if !sealed => &[Act::Exported],
                    true => &[],
                };
                match acts.is_empty() {
                    true => Ok(()),
                    false => engine.record(now, channel, item, acts),
                }
            })
            .await
    }

    /// Waits for something of the engine, for so long; whether it came.
    async fn until(
        &self,
        patience: Duration,
        there: impl Fn(&Engine) -> Result<bool, Error> + Clone + Send + 'static,
    ) -> Result<bool, Error> {
        let mut events = self.events();
        let wait = async {
            loop {
                let there = there.clone();
                if self.driver.run(move |engine, _| there(engine)).await? {
                    return Ok(true);
                }
                // Bounded: not everything is an event.
                let _ = tokio::time::timeout(Duration::from_millis(50), events.next()).await;
            }
        };
        tokio::time::timeout(patience, wait)
            .await
            .unwrap_or(Ok(false))
    }
}

/// The item that a message hands over.
pub(super) fn handed_over(message: &Message) -> Result<Manifest, Error> {
    message
        .item()?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, "this message hands over no file"))
}

/// File work on a thread where it may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::new(ErrorKind::Closed, "stopped"))?
}

fn stated(engine: &Engine, entry: &Entry, said: &Statement) -> Stated {
    let member = engine
        .member_of(said.device)
        // A record is checked against the ledger: nobody unknown is in it.
        .unwrap_or(MemberId([0; 16]));
    Stated {
        act: said.act,
        member,
        name: name(engine, member),
        device: said.device,
        time: said.time,
        server_time: entry.countersignature().map(|word| word.time),
        // A token that does not hold is not kept.
        stamp_time: entry
            .stamps(None)
            .ok()
            .and_then(|stamps| stamps.first().map(|stamp| stamp.time)),
        id: entry.id(),
    }
}

fn name(engine: &Engine, member: MemberId) -> Option<String> {
    let profile = engine.member_profile(member)?;
    Some(profile.profile().name().to_owned())
}

fn receipts(engine: &Engine, channel: ChannelId, manifest: &Manifest) -> Result<Receipts, Error> {
    let item = manifest.item();
    let record: Record = engine.custody(channel, item)?;
    let row = engine.store().item(channel, item)?;
    let offered = row.map(|row| row.offered).unwrap_or_default();
    let sender = engine.member_of(record.facts().depositor);
    let mut all = Receipts {
        item,
        name: manifest.name().to_owned(),
        deposited: None,
        withdrawn: None,
        recipients: Vec::new(),
    };
    let receipt = |member, offered| Receipt {
        member,
        name: name(engine, member),
        offered,
        collected: None,
        verified: None,
        exported: None,
        deleted: None,
    };
    for member in offered {
        if Some(member) != sender {
            all.recipients.push(receipt(member, true));
        }
    }
    for (entry, said) in record.entries() {
        let stated = stated(engine, entry, said);
        match said.act {
            Act::Deposited => all.deposited = Some(stated),
            Act::Withdrawn => {
                all.withdrawn.get_or_insert(stated);
            }
            act => {
                let member = stated.member;
                let at = all.recipients.iter().position(|one| one.member == member);
                let at = at.unwrap_or_else(|| {
                    all.recipients.push(receipt(member, false));
                    all.recipients.len() - 1
                });
                let Some(one) = all.recipients.get_mut(at) else {
                    continue;
                };
                match act {
                    Act::Collected => {
                        one.deleted = None;
                        one.collected = Some(stated);
                    }
                    Act::Verified => one.verified = Some(stated),
                    Act::Exported => one.exported = Some(stated),
                    _ => one.deleted = Some(stated),
                }
            }
        }
    }
    all.recipients
        .sort_by(|a, b| (&a.name, a.member).cmp(&(&b.name, b.member)));
    Ok(all)
}
