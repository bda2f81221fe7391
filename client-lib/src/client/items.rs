//! Files: handed over in a channel, fetched from one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use plenary_proto::{
    ids::{ChannelId, ItemId, MemberId, UnixMillis},
    label::Label,
    request::ItemTerms,
};
use zeroize::Zeroizing;

use super::{Client, Message, Outgoing, custody::handed_over, discuss::encode};
use crate::{
    content::{Draft, Kind, MessageId, ThreadId},
    error::{Error, ErrorKind},
    files::{ItemError, Journal, Manifest, Plan, Preview},
    store::uploads::{Stamp, Told, UploadRow},
    transfer::{Download, Meter, Place, Source, Spool, Transfer, Upload},
};

/// Under which name a text goes that is too long for a message.
const LONG_TEXT: &str = "message.txt";

/// Where the journals of uploads are, in a profile's folder.
pub(super) const UPLOADS: &str = "uploads";

/// A file to be handed over, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendFile {
    path: PathBuf,
    media_type: String,
    label: Option<Label>,
    malware: bool,
    thread: Option<ThreadId>,
    title: Option<String>,
    reply_to: Option<MessageId>,
    name: Option<String>,
    supersedes: Option<ItemId>,
    terms: ItemTerms,
    preview: Option<Preview>,
}

impl SendFile {
    /// The file at this path, under its own name.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            media_type: "application/octet-stream".to_owned(),
            label: None,
            malware: false,
            thread: None,
            title: None,
            reply_to: None,
            name: None,
            supersedes: None,
            terms: ItemTerms::default(),
            preview: None,
        }
    }

    /// What comes as a stream, under this name: see [`Client::send_reader`].
    pub fn named(name: impl Into<String>) -> Self {
        Self::new("").name(name)
    }

    /// Under another name than its own.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// In place of an earlier item, which stays: the versions of a document form a chain.
    pub fn supersedes(mut self, item: ItemId) -> Self {
        self.supersedes = Some(item);
        self
    }

    /// The server keeps it until then, within what the network allows.
    pub fn keep_until(mut self, until: UnixMillis) -> Self {
        self.terms.keep_until = Some(until);
        self
    }

    /// The server removes it when so many other members have collected it.
    pub fn purge_after(mut self, collectors: u32) -> Self {
        self.terms.collectors = collectors;
        self
    }

    /// The server removes it when all these members have collected it.
    pub fn purge_when_collected(mut self, by: impl IntoIterator<Item = MemberId>) -> Self {
        self.terms.wanted = by.into_iter().collect();
        self
    }

    /// Its media type (RFC 6838), as recipients are told.
    pub fn media_type(mut self, media_type: impl Into<String>) -> Self {
        self.media_type = media_type.into();
        self
    }

    /// A handling label.
    pub fn label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// It carries malware: evidence, not to be opened by accident.
    pub fn malware(mut self) -> Self {
        self.malware = true;
        self
    }

    /// With a preview, which everybody in the channel gets with the message; what carries malware goes
    /// without.
    pub fn preview(mut self, preview: Preview) -> Self {
        self.preview = Some(preview);
        self
    }

    /// In a thread.
    pub fn thread(mut self, thread: ThreadId) -> Self {
        self.thread = Some(thread);
        self
    }

    /// With the thread's title, which the first message of a thread must give.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// As an answer to a message.
    pub fn reply_to(mut self, message: MessageId) -> Self {
        self.reply_to = Some(message);
        self
    }

    fn plan(&self) -> Result<Plan, Error> {
        let name = self.path.file_name().unwrap_or_default();
        let of_file = Plan::of_file(&self.path, &self.media_type)?;
        match &self.name {
            Some(_) => self.plan_of(&name.to_string_lossy(), of_file.layout().size()),
            None => Ok(self.marked(of_file)),
        }
    }

    /// The plan of so many bytes, under its name or else this one.
    pub(super) fn plan_of(&self, name: &str, size: u64) -> Result<Plan, Error> {
        let name = self.name.as_deref().unwrap_or(name);
        Ok(self.marked(Plan::new(name, &self.media_type, size)?))
    }

    fn marked(&self, mut plan: Plan) -> Plan {
        if let Some(item) = self.supersedes {
            plan = plan.supersedes(item);
        }
        if let Some(label) = self.label {
            plan = plan.label(label);
        }
        if let Some(preview) = &self.preview {
            plan = plan.preview(preview.clone());
        }
        if self.malware {
            plan = plan.malware();
        }
        plan
    }

    /// What is kept of it beside the plan.
    pub(super) fn told(&self) -> Told {
        Told {
            thread: self.thread,
            title: self.title.clone(),
            reply_to: self.reply_to,
            terms: self.terms.clone(),
        }
    }

    pub(super) fn told_label(&self) -> Option<Label> {
        self.label
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// The message that hands an item over, encoded.
pub(super) fn message(told: &Told, manifest: &Manifest) -> Result<Vec<u8>, Error> {
    let mut draft = Draft::item(manifest.encode().to_vec());
    if let Some(label) = manifest.label() {
        draft = draft.label(label);
    }
    if let Some(thread) = told.thread {
        draft = draft.thread(thread);
    }
    if let Some(title) = &told.title {
        draft = draft.title(title);
    }
    if let Some(message) = told.reply_to {
        draft = draft.reply_to(message);
    }
    encode(draft)
}

impl Message {
    /// The item that this message hands over, if it does.
    ///
    /// # Errors
    /// [`ErrorKind::Integrity`] where the sender's manifest is damaged or forged.
    pub fn item(&self) -> Result<Option<Manifest>, Error> {
        match self.content.kind() {
            Kind::Item(manifest) => Ok(Some(Manifest::decode(manifest)?)),
            _ => Ok(None),
        }
    }
}

impl Client {
    /// Hands a file over in a channel: puts it up sealed, then sends the message that tells of it.
    /// Works in memory of a few MiB, whatever the size.
    ///
    /// The transfer waits while the server cannot be reached. One that was stopped, by an error or
    /// with the process, is taken up where it was by calling this again with the same file, if
    /// nothing of it changed.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the file cannot be read, [`ErrorKind::TooLarge`],
    /// [`ErrorKind::NotAllowed`] if its label is above the channel's ceiling; later, from
    /// [`Transfer::finish`]: what the server refuses, a file that changes while it is read.
    pub async fn send_file(
        &self,
        channel: ChannelId,
        file: SendFile,
    ) -> Result<Transfer<Outgoing>, Error> {
        self.may_hand_over(channel, file.label).await?;
        let mut file = file;
        file.path = file.path.canonicalize().map_err(|error| {
            Error::new(
                ErrorKind::Io,
                format!("cannot read {}: {error}", file.path.display()),
            )
        })?;
        let row = UploadRow {
            channel,
            source: file.path.clone(),
            stamp: Stamp::of(&file.path)?,
            plan: file.plan()?,
            spool: None,
            told: file.told(),
        };
        self.check_message(&row)?;
        let size = row.plan.layout().size();
        let client = self.clone();
        Ok(Transfer::start(&self.desk, size, move |meter| async move {
            let (row, again) = client.begun(row).await?;
            client.put_up(row, again, meter).await
        }))
    }

    /// The message must fit before hours are spent on the file.
    pub(super) fn check_message(&self, row: &UploadRow) -> Result<(), Error> {
        message(&row.told, &Manifest::decode(&row.plan.to_bytes())?).map(drop)
    }

    /// Before hours are spent on it: whether its message may be sent.
    pub(super) async fn may_hand_over(
        &self,
        channel: ChannelId,
        label: Option<Label>,
    ) -> Result<(), Error> {
        self.driver
            .run(move |engine, _| engine.may_label(channel, label))
            .await
    }

    /// Fetches the item that a message hands over into a folder, under its name, cleaned and
    /// numbered if taken. A file appears under its final name only when it was verified whole; what
    /// was stopped is taken up by calling this again. What carries malware stays sealed in the
    /// profile's folder: see [`Client::export_sample`].
    ///
    /// Stated in the channel as collected and verified, a further copy as exported: see
    /// [`Client::receipts`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the message hands over none; [`ErrorKind::NotAllowed`] if it was
    /// withdrawn; later, from [`Transfer::finish`]:
    /// [`ErrorKind::Integrity`] if what came is not what was sent.
    pub fn fetch(
        &self,
        message: &Message,
        folder: impl Into<PathBuf>,
    ) -> Result<Transfer<PathBuf>, Error> {
        let manifest = handed_over(message)?;
        let total = manifest.size();
        let (channel, message) = (message.channel, message.clone());
        let place = self.place_of(&manifest, folder.into())?;
        let download = Download {
            place: Place::Folder(place.clone()),
            manifest: manifest.clone(),
            channel,
        };
        let client = self.clone();
        Ok(Transfer::start(
            &self.desk,
            total,
            move |meter| async move {
                client.may_collect(channel, &manifest).await?;
                let begun = client.begin_download(&message, &manifest, &place).await?;
                let path = download.run(client.driver.clone(), meter).await;
                client.end_download(begun, path.is_ok()).await?;
                let path = path?;
                client.collected(channel, &manifest).await?;
                client.told_collected(channel, &manifest).await;
                path.ok_or_else(|| Error::new(ErrorKind::Io, "the file has no path"))
            },
        ))
    }

    /// Bytes a second that all transfers of this client may take together; `None`: what the line
    /// carries.
    pub fn limit_rate(&self, bytes_a_second: Option<u64>) {
        self.desk.set_rate(bytes_a_second);
    }

    pub(super) fn uploads(&self) -> Result<PathBuf, Error> {
        let folder = self.folder.join(UPLOADS);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    /// Puts an upload up whose row is kept, and hands it over. `again`: whether anything of it was
    /// sealed before.
    pub(super) async fn put_up(
        &self,
        row: UploadRow,
        again: bool,
        meter: Meter,
    ) -> Result<Outgoing, Error> {
        let folder = self.uploads()?;
        let (channel, item) = (row.channel, row.plan.item());
        let source = match &row.spool {
            Some(seed) => Source::Spool(Spool::open(&folder, seed)?),
            None => Source::File(row.source.clone()),
        };
        let upload = Upload {
            source,
            journal: journal(&folder, &row.plan),
            plan: row.plan.clone(),
            channel,
            terms: row.told.terms.clone(),
            again,
        };
        let put = upload.run(self.driver.clone(), meter).await;
        let put = put.and_then(|manifest| match row.spool.is_some() {
            false if Stamp::of(&row.source)? != row.stamp => {
                // What was put up is half of one state and half of another.
                Err(ItemError::SourceChanged.into())
            }
            _ => Ok(manifest),
        });
        let manifest = match put {
            Ok(manifest) => manifest,
            Err(error) => {
                // Changed, or of no use to go on with: the next call begins anew.
                if matches!(
                    error.kind(),
                    ErrorKind::Input
                        | ErrorKind::Integrity
                        | ErrorKind::Refused
                        | ErrorKind::NotFound
                ) {
                    self.begin_anew(row, &folder).await?;
                }
                return Err(error);
            }
        };
        let content = message(&row.told, &manifest)?;
        let id = self
            .driver
            .run(move |engine, now| {
                engine.send_with(now, channel, &content, |store| store.drop_upload(item))
            })
            .await?;
        remove_files(&row, &folder)?;
        Ok(Outgoing::new(self.clone(), id))
    }

    /// Gives an upload's item up. What came down a pipe stays, to become another item.
    async fn begin_anew(&self, row: UploadRow, folder: &Path) -> Result<(), Error> {
        let item = row.plan.item();
        self.give_back(row.channel, item).await;
        let kept = match row.spool.is_some() && row.source.as_os_str().is_empty() {
            true => Some(UploadRow {
                plan: row.plan.renewed()?,
                ..row.clone()
            }),
            false => None,
        };
        let again = kept.clone();
        self.driver
            .run(move |engine, _| {
                let store = engine.store();
                store.atomic(|| {
                    store.drop_upload(item)?;
                    again.map_or(Ok(()), |row| store.put_upload(&row))
                })
            })
            .await?;
        match kept {
            Some(_) => Ok(Journal::remove(&journal(folder, &row.plan))?),
            None => remove_files(&row, folder),
        }
    }

    /// A text too long for a message goes as an item, by itself: put up first, then told of by the
    /// same draft.
    pub(super) async fn send_long(
        &self,
        channel: ChannelId,
        draft: Draft,
        text: Vec<u8>,
    ) -> Result<Outgoing, Error> {
        let plan = Plan::new(LONG_TEXT, draft.media_type(), text.len() as u64)?;
        let folder = self.uploads()?;
        let journal = journal(&folder, &plan);
        let upload = Upload {
            source: Source::Memory(Arc::new(Zeroizing::new(text))),
            journal: journal.clone(),
            plan,
            channel,
            terms: ItemTerms::default(),
            again: false,
        };
        let meter = Meter::unseen(upload.plan.layout().size(), &self.desk);
        let manifest = upload.run(self.driver.clone(), meter).await;
        Journal::remove(&journal)?;
        let draft = draft.with_item(manifest?.encode().to_vec());
        let content = encode(draft)?;
        self.queue(channel, content).await
    }

    /// The upload of this file or folder that was begun before, if it is the same and what is told of
    /// it, too, and whether anything of it was sealed; else the fresh one, kept from now on.
    pub(super) async fn begun(&self, row: UploadRow) -> Result<(UploadRow, bool), Error> {
        let folder = self.uploads()?;
        self.driver
            .run(move |engine, _| {
                let store = engine.store();
                let mut row = row;
                if let Some(before) = store.upload(row.channel, &row.source)? {
                    let same = before.stamp == row.stamp && before.plan.tells_as(&row.plan);
                    if same && before.is_there(&folder) {
                        row.plan = before.plan;
                        row.spool = before.spool;
                    } else {
                        // Another file by now, stopped before anything was sealed, or no journal.
                        store.drop_upload(before.plan.item())?;
                        remove_files(&before, &folder)?;
                    }
                }
                store.put_upload(&row)?;
                let again = journal(&folder, &row.plan).exists();
                Ok((row, again))
            })
            .await
    }
}

impl UploadRow {
    /// Whether it can be gone on with: a file by its journal, a spool by itself.
    fn is_there(&self, folder: &Path) -> bool {
        match &self.spool {
            Some(seed) => seed.is_there(folder),
            None => journal(folder, &self.plan).exists(),
        }
    }
}

/// Removes what lies beside an upload that is over.
pub(super) fn remove_files(row: &UploadRow, folder: &Path) -> Result<(), Error> {
    Journal::remove(&journal(folder, &row.plan))?;
    if let Some(seed) = &row.spool {
        seed.remove(folder)?;
    }
    Ok(())
}

pub(super) fn journal(folder: &Path, plan: &Plan) -> PathBuf {
    folder.join(format!("{}.journal", plan.item()))
}
