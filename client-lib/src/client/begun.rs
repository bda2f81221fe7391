//! Transfers that were begun and not ended, both ways: listed, and given up.
//!
//! A transfer is paused by [`crate::Transfer::pause`], or by dropping it or ending the process; the
//! same call goes on with it. What is here is for what nobody goes on with.

use std::path::PathBuf;

use plenary_proto::ids::{ChannelId, ItemId, Seq};

use super::{
    Client, Message,
    custody::blocking,
    items::{UPLOADS, remove_files},
};
use crate::{
    error::{Error, ErrorKind},
    files::{Manifest, discard, gathered, part_of, sealed_part_of},
    store::{downloads::DownloadRow, uploads::UploadRow},
    transfer::sweep,
};

/// An upload that was begun and not ended: the call that began it goes on with it where the file or
/// folder is the same, and [`Client::resume_upload`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadBegun {
    /// The item it is to become.
    pub item: ItemId,
    /// Where it is handed over.
    pub channel: ChannelId,
    /// Its name, as recipients will see it.
    pub name: String,
    /// The file or folder; `None` for what came as a stream and waits here, sealed.
    pub path: Option<PathBuf>,
    /// Bytes of the file.
    pub size: u64,
}

/// A download that was begun and not ended: [`Client::fetch`] goes on with it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadBegun {
    /// The item.
    pub item: ItemId,
    /// Where it was handed over.
    pub channel: ChannelId,
    /// By which message.
    pub seq: Seq,
    /// Its name, as its sender gave it.
    pub name: String,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes that are here: of a sample sealed ones.
    pub done: u64,
    /// Where they are.
    pub part: PathBuf,
}

impl Client {
    /// Uploads that were begun and not ended, by this process or one before. A stream or folder is among
    /// them once all of it is here.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn uploads_begun(&self) -> Result<Vec<UploadBegun>, Error> {
        let rows = self
            .driver
            .run(|engine, _| engine.store().uploads())
            .await?;
        let begun = rows.into_iter().map(|row| {
            Ok(UploadBegun {
                item: row.plan.item(),
                channel: row.channel,
                name: Manifest::decode(&row.plan.to_bytes())?.name().to_owned(),
                path: Some(row.source).filter(|path| !path.as_os_str().is_empty()),
                size: row.plan.layout().size(),
            })
        });
        begun.collect()
    }

    /// Gives an upload up that was begun and does not run now: its room on the server is free again.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::Io`] if its journal cannot be removed.
    pub async fn cancel_upload(&self, item: ItemId) -> Result<(), Error> {
        let row = self.upload_begun(item).await?;
        self.give_back(row.channel, item).await;
        remove_files(&row, &self.uploads()?)?;
        self.driver
            .run(move |engine, _| engine.store().drop_upload(item))
            .await
    }

    pub(super) async fn upload_begun(&self, item: ItemId) -> Result<UploadRow, Error> {
        let rows = self
            .driver
            .run(|engine, _| engine.store().uploads())
            .await?;
        let row = rows.into_iter().find(|row| row.plan.item() == item);
        row.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such upload was begun"))
    }

    /// Removes what streams left here whose reading was stopped with their process.
    pub(super) async fn sweep_spools(&self) -> Result<(), Error> {
        let rows = self
            .driver
            .run(|engine, _| engine.store().uploads())
            .await?;
        let known: Vec<_> = rows.into_iter().filter_map(|row| row.spool).collect();
        let folder = self.folder.join(UPLOADS);
        blocking(move || Ok(sweep(&folder, &known)?)).await
    }

    /// Downloads into folders that were begun and not ended, by this process or one before.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn downloads_begun(&self) -> Result<Vec<DownloadBegun>, Error> {
        let rows = self
            .driver
            .run(|engine, _| engine.store().downloads())
            .await?;
        let begun = rows.into_iter().filter_map(|row| {
            let part = PathBuf::from(&row.part);
            // Stopped before a byte came, or removed by hand.
            part.is_file().then(|| DownloadBegun {
                item: row.item(),
                channel: row.channel(),
                seq: row.seq(),
                done: gathered(&part).min(row.size),
                name: row.name,
                size: row.size,
                part,
            })
        });
        Ok(begun.collect())
    }

    /// Gives the downloads of an item up that were begun and do not run now: what is here of them is
    /// removed. Files that are whole stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; [`ErrorKind::InUse`] while one runs; [`ErrorKind::Io`].
    pub async fn cancel_download(&self, item: ItemId) -> Result<(), Error> {
        let rows = self
            .driver
            .run(|engine, _| engine.store().downloads())
            .await?;
        let rows: Vec<_> = rows.into_iter().filter(|row| row.item() == item).collect();
        if rows.is_empty() {
            let what = "no such download was begun";
            return Err(Error::new(ErrorKind::NotFound, what));
        }
        for row in rows {
            let part = PathBuf::from(&row.part);
            blocking(move || Ok(discard(&part)?)).await?;
            self.driver
                .run(move |engine, _| engine.store().drop_download(&row))
                .await?;
        }
        Ok(())
    }

    /// Notes that a download begins. `folder`: where its part lies.
    pub(super) async fn begin_download(
        &self,
        message: &Message,
        manifest: &Manifest,
        folder: &std::path::Path,
    ) -> Result<DownloadRow, Error> {
        let folder = std::path::absolute(folder)?;
        let part = match manifest.carries_malware() {
            true => sealed_part_of(&folder, manifest.item()),
            false => part_of(&folder, manifest.name(), manifest.item()),
        };
        let row = DownloadRow {
            item: manifest.item().0,
            channel: message.channel.0,
            seq: message.seq.0,
            name: manifest.name().to_owned(),
            size: manifest.size(),
            part: part.to_string_lossy().into_owned(),
        };
        let kept = row.clone();
        self.driver
            .run(move |engine, _| engine.store().put_download(&kept))
            .await?;
        Ok(row)
    }

    /// Notes what became of it: one that failed and left nothing is not begun.
    pub(super) async fn end_download(&self, row: DownloadRow, whole: bool) -> Result<(), Error> {
        if !whole && gathered(std::path::Path::new(&row.part)) > 0 {
            return Ok(());
        }
        self.driver
            .run(move |engine, _| engine.store().drop_download(&row))
            .await
    }
}
