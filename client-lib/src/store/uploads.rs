//! Uploads begun: the plan with its key, kept from before the first byte is sealed until the message
//! that hands the item over is in the outbox.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use minicbor::{Decode, Encode};
use plenary_proto::ids::{ChannelId, ItemId};
use zeroize::{Zeroize, Zeroizing};

use super::Store;
use crate::{
    error::{Error, ErrorKind},
    files::Plan,
};

/// In front of the item's id, in the table `meta`.
const PREFIX: &str = "upload:";

/// An upload begun.
#[derive(Clone)]
pub(crate) struct UploadRow {
    pub(crate) channel: ChannelId,
    pub(crate) source: PathBuf,
    pub(crate) stamp: Stamp,
    pub(crate) plan: Plan,
}

/// Tells one state of a file from another without reading it: when it was written and, on unix,
/// when anything about it changed, which nobody can set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// Of the file as it is now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let meta = path.metadata()?;
        let written = meta.modified()?.duration_since(UNIX_EPOCH);
        let written = written.map_or(0, |since| since.as_nanos());
        Ok(Self(format!("{written} {}", changed(&meta))))
    }
}

#[cfg(unix)]
fn changed(meta: &std::fs::Metadata) -> String {
    use std::os::unix::fs::MetadataExt;

    format!("{}.{:09} {}", meta.ctime(), meta.ctime_nsec(), meta.ino())
}

#[cfg(not(unix))]
fn changed(_: &std::fs::Metadata) -> String {
    String::new()
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Wire {
    #[cbor(n(0), with = "minicbor::bytes")]
    channel: [u8; 16],
    #[n(1)]
    source: String,
    #[cbor(n(2), with = "minicbor::bytes")]
    plan: Vec<u8>,
    #[n(3)]
    stamp: String,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.plan.zeroize();
    }
}

impl Store {
    pub(crate) fn put_upload(&self, row: &UploadRow) -> Result<(), Error> {
        let wire = Wire {
            channel: row.channel.0,
            source: text(&row.source),
            plan: row.plan.to_bytes().to_vec(),
            stamp: row.stamp.0.clone(),
        };
        let bytes = Zeroizing::new(minicbor::to_vec(&wire).map_err(damaged)?);
        self.put_meta(&key(row.plan.item()), &bytes)
    }

    /// An upload of this file to this channel that was begun and not ended.
    pub(crate) fn upload(
        &self,
        channel: ChannelId,
        source: &Path,
    ) -> Result<Option<UploadRow>, Error> {
        let source_text = text(source);
        let connection = self.lock();
        let mut query =
            connection.prepare_cached("SELECT value FROM meta WHERE key GLOB 'upload:*'")?;
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        for value in rows {
            let value = Zeroizing::new(value?);
            let wire: Wire = minicbor::decode(&value).map_err(damaged)?;
            if wire.channel != channel.0 || wire.source != source_text {
                continue;
            }
            return Ok(Some(UploadRow {
                channel,
                source: source.to_owned(),
                stamp: Stamp(wire.stamp.clone()),
                plan: Plan::from_bytes(&wire.plan).map_err(damaged)?,
            }));
        }
        Ok(None)
    }

    /// All uploads that were begun and not ended.
    pub(crate) fn uploads(&self) -> Result<Vec<UploadRow>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT value FROM meta WHERE key GLOB 'upload:*' ORDER BY key")?;
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|value| {
            let value = Zeroizing::new(value?);
            let wire: Wire = minicbor::decode(&value).map_err(damaged)?;
            Ok(UploadRow {
                channel: ChannelId(wire.channel),
                source: PathBuf::from(&wire.source),
                stamp: Stamp(wire.stamp.clone()),
                plan: Plan::from_bytes(&wire.plan).map_err(damaged)?,
            })
        })
        .collect()
    }

    pub(crate) fn drop_upload(&self, item: ItemId) -> Result<(), Error> {
        self.lock()
            .execute("DELETE FROM meta WHERE key = ?", [key(item)])?;
        Ok(())
    }
}

fn key(item: ItemId) -> String {
    format!("{PREFIX}{item}")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("an upload begun: {error}"))
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;

    #[test]
    fn an_upload_is_found_by_channel_and_file_until_it_is_dropped() -> Result<(), Error> {
        let folder = tempfile::tempdir()?;
        let passphrase = SecretString::from("a long enough passphrase");
        let store = Store::create(folder.path(), &passphrase)?;
        let (channel, source) = (ChannelId([1; 16]), Path::new("/evidence/disk.img"));
        let plan = Plan::new("disk.img", "application/octet-stream", 70_000).unwrap();
        let item = plan.item();
        store.put_upload(&UploadRow {
            channel,
            source: source.to_owned(),
            stamp: Stamp("then".to_owned()),
            plan: plan.clone(),
        })?;
        let found = |channel, source: &Path| {
            let row = store.upload(channel, source)?;
            Ok::<_, Error>(row.map(|row| (row.plan, row.stamp.0)))
        };
        assert!(found(channel, source)? == Some((plan, "then".to_owned())));
        assert!(found(ChannelId([2; 16]), source)?.is_none());
        assert!(found(channel, Path::new("/evidence/disk2.img"))?.is_none());
        store.drop_upload(item)?;
        assert!(found(channel, source)?.is_none());
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_file_written_anew_has_another_stamp_even_if_dated_back() -> Result<(), Error> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("disk.img");
        std::fs::write(&path, "one")?;
        let before = Stamp::of(&path)?;
        assert_eq!(Stamp::of(&path)?, before);
        let written = path.metadata()?.modified()?;
        // Another file under the same name: on a coarse clock its times may be the same.
        let other = folder.path().join("other.img");
        std::fs::write(&other, "two")?;
        std::fs::File::options()
            .write(true)
            .open(&other)?
            .set_modified(written)?;
        std::fs::rename(&other, &path)?;
        assert_ne!(Stamp::of(&path)?, before);
        Ok(())
    }
}
