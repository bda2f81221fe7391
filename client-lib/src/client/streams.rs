//! Items from and to streams, and folders as items.

use std::{
    fs::File,
    io::{self, Read, Write},
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
};

use futures_io::{AsyncRead, AsyncWrite};
use plenary_proto::ids::{ChannelId, ItemId};
use tokio::runtime::Handle;

use super::{
    Client, Message, Outgoing, SendFile,
    custody::{blocking, handed_over},
    items::journal,
};
use crate::{
    error::{Error, ErrorKind},
    files::{ItemError, Manifest, folder},
    store::uploads::{Stamp, UploadRow},
    transfer::{Download, Place, Spool, Transfer, Writer},
};

/// Where packed folders wait to be unpacked, in a profile's folder.
const UNPACKING: &str = "unpacking";

impl Client {
    /// Hands over what a reader gives, to its end, under the name of [`SendFile::named`]. An item's
    /// shape needs its size: so the bytes wait on disk first, sealed. Once all are there they are kept
    /// until they are handed over: what was stopped then is in [`Client::uploads_begun`], and
    /// [`Client::resume_upload`] goes on with it. What was stopped before has to be read anew.
    ///
    /// # Errors
    /// As [`Client::send_file`]; [`ErrorKind::Io`] if the reader or the disk fails.
    pub async fn send_reader(
        &self,
        channel: ChannelId,
        file: SendFile,
        mut from: impl Read + Send + 'static,
    ) -> Result<Transfer<Outgoing>, Error> {
        self.may_hand_over(channel, file.told_label()).await?;
        let folder = self.uploads()?;
        let spool = blocking(move || {
            let mut spool = Spool::new(&folder)?;
            io::copy(&mut from, &mut spool)?;
            Ok::<_, Error>(spool.finish()?)
        });
        let spool = spool.await?;
        let row = UploadRow {
            channel,
            source: PathBuf::new(),
            stamp: Stamp::of_stream(),
            plan: file.plan_of("stream", spool.len())?,
            spool: Some(spool),
            told: file.told(),
        };
        self.check_message(&row)?;
        let kept = row.clone();
        self.driver
            .run(move |engine, _| engine.store().put_upload(&kept))
            .await?;
        self.carry(row)
    }

    fn carry(&self, row: UploadRow) -> Result<Transfer<Outgoing>, Error> {
        let again = journal(&self.uploads()?, &row.plan).exists();
        let (client, size) = (self.clone(), row.plan.layout().size());
        Ok(Transfer::start(&self.desk, size, move |meter| async move {
            client.put_up(row, again, meter).await
        }))
    }

    /// Goes on with an upload that was begun and not ended, by this process or one before, as it was
    /// meant: file, folder or stream. See [`Client::uploads_begun`].
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; as [`Client::send_file`]; [`ErrorKind::Input`] if a file is no longer
    /// what it was: then send it anew.
    pub async fn resume_upload(&self, item: ItemId) -> Result<Transfer<Outgoing>, Error> {
        let row = self.upload_begun(item).await?;
        let label = Manifest::decode(&row.plan.to_bytes())?.label();
        self.may_hand_over(row.channel, label).await?;
        if row.spool.is_none() && Stamp::of(&row.source)? != row.stamp {
            return Err(ItemError::SourceChanged.into());
        }
        self.carry(row)
    }

    /// [`Client::send_reader`] for readers of async programs.
    ///
    /// # Errors
    /// As there.
    pub async fn send_stream(
        &self,
        channel: ChannelId,
        file: SendFile,
        from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<Transfer<Outgoing>, Error> {
        let from = Blocking(from, Handle::current());
        self.send_reader(channel, file, from).await
    }

    /// Hands a folder over as one item: a tar archive with relative names. Links are not followed
    /// and not sent. It is unpacked by [`Client::fetch_folder`], or by hand. What was stopped is taken
    /// up where it was by calling this again, if nothing in the folder changed.
    ///
    /// # Errors
    /// As [`Client::send_reader`]; [`ErrorKind::Input`] if something in it is neither file nor
    /// folder, or changes meanwhile.
    pub async fn send_folder(
        &self,
        channel: ChannelId,
        file: SendFile,
    ) -> Result<Transfer<Outgoing>, Error> {
        self.may_hand_over(channel, file.told_label()).await?;
        let path = file.path().canonicalize().map_err(|error| {
            let what = format!("cannot read {}: {error}", file.path().display());
            Error::new(ErrorKind::Io, what)
        })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{name}.tar");
        let file = file.media_type(folder::MEDIA_TYPE);
        let stamp = Stamp::of_folder(&path)?;
        if let Some(row) = self.packed(channel, &path, &stamp, &file, &name).await? {
            return self.carry(row);
        }
        let spools = self.uploads()?;
        let (source, before) = (path.clone(), stamp.clone());
        let spool = blocking(move || {
            let mut spool = Spool::new(&spools)?;
            folder::pack(&source, &mut spool)?;
            // Packed while it changed, it is of no state that ever was.
            match Stamp::of_folder(&source)? == before {
                true => Ok::<_, Error>(spool.finish()?),
                false => Err(ItemError::SourceChanged.into()),
            }
        });
        let spool = spool.await?;
        let row = UploadRow {
            channel,
            source: path,
            stamp,
            plan: file.plan_of(&name, spool.len())?,
            spool: Some(spool),
            told: file.told(),
        };
        self.check_message(&row)?;
        let (row, _) = self.begun(row).await?;
        self.carry(row)
    }

    /// A folder's upload that was begun before and is the same in all that is told of it.
    async fn packed(
        &self,
        channel: ChannelId,
        path: &Path,
        stamp: &Stamp,
        file: &SendFile,
        name: &str,
    ) -> Result<Option<UploadRow>, Error> {
        let source = path.to_owned();
        let before = self
            .driver
            .run(move |engine, _| engine.store().upload(channel, &source))
            .await?;
        let Some(before) = before.filter(|before| before.stamp == *stamp) else {
            return Ok(None);
        };
        let fresh = UploadRow {
            plan: file.plan_of(name, before.plan.layout().size())?,
            told: file.told(),
            ..before
        };
        let item = fresh.plan.item();
        let (row, _) = self.begun(fresh).await?;
        // Otherwise nothing of the one before is left, and this one has to be packed.
        if row.plan.item() != item {
            return Ok(Some(row));
        }
        self.driver
            .run(move |engine, _| engine.store().drop_upload(item))
            .await?;
        Ok(None)
    }

    /// Fetches the item of a message into a writer. Each byte is authenticated before it goes out;
    /// whether the whole is the sender's, by its SHA-256, is told by [`Transfer::finish`]: what the
    /// writer got counts only then. Goes on by itself after a lost line.
    ///
    /// # Errors
    /// As [`Client::fetch`]; [`ErrorKind::NotAllowed`] for what carries malware: see
    /// [`Client::export_sample`].
    pub fn fetch_to(
        &self,
        message: &Message,
        to: impl Write + Send + 'static,
    ) -> Result<Transfer<()>, Error> {
        self.fetch_range(message, 0..u64::MAX, to)
    }

    /// [`Client::fetch_to`] for writers of async programs.
    ///
    /// # Errors
    /// As there.
    pub fn fetch_stream(
        &self,
        message: &Message,
        to: impl AsyncWrite + Send + Unpin + 'static,
    ) -> Result<Transfer<()>, Error> {
        self.fetch_to(message, Blocking(to, Handle::current()))
    }

    /// Fetches some bytes of an item into a writer, and no more than the chunks that hold them. They
    /// are authentic; that the rest of the item is as it was is not looked at.
    ///
    /// # Errors
    /// As [`Client::fetch_to`].
    pub fn fetch_range(
        &self,
        message: &Message,
        range: Range<u64>,
        to: impl Write + Send + 'static,
    ) -> Result<Transfer<()>, Error> {
        let manifest = handed_over(message)?;
        if manifest.carries_malware() {
            return Err(Error::new(
                ErrorKind::NotAllowed,
                "the file carries malware and stays sealed: fetch it, then export it as a sample",
            ));
        }
        let channel = message.channel;
        let (from, to_) = (range.start, range.end.min(manifest.size()));
        let whole = from == 0 && to_ == manifest.size();
        let download = Download {
            place: Place::Stream(Writer::new(to), range),
            manifest: manifest.clone(),
            channel,
        };
        let (client, total) = (self.clone(), to_.saturating_sub(from));
        Ok(Transfer::start(
            &self.desk,
            total,
            move |meter| async move {
                client.may_collect(channel, &manifest).await?;
                download.run(client.driver.clone(), meter).await?;
                if whole {
                    client.collected(channel, &manifest).await?;
                    client.told_collected(channel, &manifest).await;
                }
                Ok(())
            },
        ))
    }

    /// Fetches a folder that was handed over by [`Client::send_folder`] and unpacks it into a folder,
    /// under its name, cleaned and numbered if taken. It gets the name only when the archive was
    /// verified whole and all of it is there: relative names, nothing outside, no links, no devices.
    /// What was stopped is taken up by calling this again.
    ///
    /// # Errors
    /// As [`Client::fetch`]; [`ErrorKind::Input`] if it is no packed folder;
    /// [`ErrorKind::Integrity`] if the archive is made to do harm.
    pub fn fetch_folder(
        &self,
        message: &Message,
        into: impl Into<PathBuf>,
    ) -> Result<Transfer<PathBuf>, Error> {
        let manifest = handed_over(message)?;
        if manifest.media_type() != folder::MEDIA_TYPE || manifest.carries_malware() {
            let what = "the message hands over no packed folder: fetch it as a file";
            return Err(Error::new(ErrorKind::Input, what));
        }
        let (into, name) = (into.into(), manifest.name().to_owned());
        let archives = self.folder.join(UNPACKING);
        std::fs::create_dir_all(&archives)?;
        let (channel, total, client) = (message.channel, manifest.size(), self.clone());
        let message = message.clone();
        let download = Download {
            place: Place::Folder(archives.clone()),
            manifest: manifest.clone(),
            channel,
        };
        Ok(Transfer::start(
            &self.desk,
            total,
            move |meter| async move {
                client.may_collect(channel, &manifest).await?;
                let begun = client
                    .begin_download(&message, &manifest, &archives)
                    .await?;
                let archive = download.run(client.driver.clone(), meter).await;
                client.end_download(begun, archive.is_ok()).await?;
                let archive = archive?.ok_or(ItemError::NoFreeName)?;
                let unpacked = blocking(move || {
                    let open = File::open(&archive)?;
                    let unpacked = folder::unpack(io::BufReader::new(open), &into, &name);
                    std::fs::remove_file(&archive)?;
                    Ok::<_, Error>(unpacked?)
                });
                let path = unpacked.await?;
                client.collected(channel, &manifest).await?;
                client.told_collected(channel, &manifest).await;
                Ok(path)
            },
        ))
    }
}

/// A stream of an async program on a thread that may wait.
struct Blocking<T>(T, Handle);

impl<T: AsyncRead + Unpin> Read for Blocking<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Self(stream, runtime) = self;
        runtime.block_on(std::future::poll_fn(|cx| {
            Pin::new(&mut *stream).poll_read(cx, into)
        }))
    }
}

impl<T: AsyncWrite + Unpin> Write for Blocking<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self(stream, runtime) = self;
        runtime.block_on(std::future::poll_fn(|cx| {
            Pin::new(&mut *stream).poll_write(cx, bytes)
        }))
    }

    fn flush(&mut self) -> io::Result<()> {
        let Self(stream, runtime) = self;
        runtime.block_on(std::future::poll_fn(|cx| {
            Pin::new(&mut *stream).poll_flush(cx)
        }))
    }
}
