//! Uploads begun: the plan with its key, kept from before the first byte is sealed until the message
//! that hands the item over is in the outbox.

use std::{
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use minicbor::{Decode, Encode};
use plenary_proto::{
    ids::{ChannelId, ItemId, MemberId, UnixMillis},
    request::ItemTerms,
};
use zeroize::{Zeroize, Zeroizing};

use super::Store;
use crate::{
    content::{MessageId, ThreadId},
    error::{Error, ErrorKind},
    files::Plan,
    transfer::Seed,
};

/// In front of the item's id, in the table `meta`.
const PREFIX: &str = "upload:";

/// An upload begun.
#[derive(Clone)]
pub(crate) struct UploadRow {
    pub(crate) channel: ChannelId,
    /// The file or folder; empty for a stream.
    pub(crate) source: PathBuf,
    pub(crate) stamp: Stamp,
    pub(crate) plan: Plan,
    /// Where the bytes of a stream or a folder wait.
    pub(crate) spool: Option<Seed>,
    pub(crate) told: Told,
}

/// What its message says beside the manifest, and how long the server keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) thread: Option<ThreadId>,
    pub(crate) title: Option<String>,
    pub(crate) reply_to: Option<MessageId>,
    pub(crate) terms: ItemTerms,
}

/// Tells one state of a file from another without reading it: when it was written and, on unix,
/// when anything about it changed, which nobody can set back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// Of a folder as it is now: of everything in it. What cannot be looked at counts as it is told.
    pub(crate) fn of_folder(path: &Path) -> std::io::Result<Self> {
        let mut hash = blake3::Hasher::new();
        below(path, &mut hash)?;
        Ok(Self(hash.finalize().to_string()))
    }

    /// Of what comes once.
    pub(crate) fn of_stream() -> Self {
        Self(String::new())
    }

    /// Of the file as it is now.
    pub(crate) fn of(path: &Path) -> std::io::Result<Self> {
        let meta = path.metadata()?;
        let written = meta.modified()?.duration_since(UNIX_EPOCH);
        let written = written.map_or(0, |since| since.as_nanos());
        Ok(Self(format!("{written} {}", changed(&meta))))
    }
}

fn below(folder: &Path, hash: &mut blake3::Hasher) -> std::io::Result<()> {
    let entries = std::fs::read_dir(folder)?;
    let mut entries: Vec<_> = entries.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let meta = entry.metadata()?;
        let written = meta.modified()?.duration_since(UNIX_EPOCH);
        let written = written.map_or(0, |since| since.as_nanos());
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        hash.update(&(name.len() as u64).to_be_bytes());
        hash.update(name);
        let kind = (meta.is_dir(), meta.is_file(), meta.len());
        hash.update(format!("{kind:?} {written} {}\n", changed(&meta)).as_bytes());
        if meta.is_dir() {
            below(&entry.path(), hash)?;
            hash.update(b"end\n");
        }
    }
    Ok(())
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
    #[n(4)]
    spool: Option<Seed>,
    #[n(5)]
    told: ToldWire,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct ToldWire {
    #[cbor(n(0), with = "minicbor::bytes")]
    thread: Option<[u8; 16]>,
    #[n(1)]
    title: Option<String>,
    #[cbor(n(2), with = "minicbor::bytes")]
    reply_to: Option<[u8; 32]>,
    #[n(3)]
    keep_until: Option<u64>,
    #[n(4)]
    collectors: u32,
    #[n(5)]
    wanted: Vec<[u8; 16]>,
}

impl ToldWire {
    fn of(told: &Told) -> Self {
        Self {
            thread: told.thread.map(|thread| thread.0),
            title: told.title.clone(),
            reply_to: told.reply_to.map(|message| message.0),
            keep_until: told.terms.keep_until.map(|until| until.0),
            collectors: told.terms.collectors,
            wanted: told.terms.wanted.iter().map(|member| member.0).collect(),
        }
    }

    fn read(&self) -> Told {
        Told {
            thread: self.thread.map(ThreadId),
            title: self.title.clone(),
            reply_to: self.reply_to.map(MessageId),
            terms: ItemTerms {
                keep_until: self.keep_until.map(UnixMillis),
                collectors: self.collectors,
                wanted: self.wanted.iter().copied().map(MemberId).collect(),
            },
        }
    }
}

impl Wire {
    fn of(row: &UploadRow) -> Self {
        Self {
            channel: row.channel.0,
            source: text(&row.source),
            plan: row.plan.to_bytes().to_vec(),
            stamp: row.stamp.0.clone(),
            spool: row.spool.clone(),
            told: ToldWire::of(&row.told),
        }
    }

    fn read(bytes: &[u8]) -> Result<UploadRow, Error> {
        let wire: Self = minicbor::decode(bytes).map_err(damaged)?;
        Ok(UploadRow {
            channel: ChannelId(wire.channel),
            source: PathBuf::from(&wire.source),
            stamp: Stamp(wire.stamp.clone()),
            plan: Plan::from_bytes(&wire.plan).map_err(damaged)?,
            spool: wire.spool.clone(),
            told: wire.told.read(),
        })
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.plan.zeroize();
    }
}

impl Store {
    pub(crate) fn put_upload(&self, row: &UploadRow) -> Result<(), Error> {
        let wire = Wire::of(row);
        let bytes = Zeroizing::new(minicbor::to_vec(&wire).map_err(damaged)?);
        self.put_meta(&key(row.plan.item()), &bytes)
    }

    /// An upload of this file to this channel that was begun and not ended.
    pub(crate) fn upload(
        &self,
        channel: ChannelId,
        source: &Path,
    ) -> Result<Option<UploadRow>, Error> {
        let rows = self.uploads()?;
        let same = |row: &UploadRow| row.channel == channel && row.source == source;
        Ok(rows.into_iter().find(same))
    }

    /// All uploads that were begun and not ended.
    pub(crate) fn uploads(&self) -> Result<Vec<UploadRow>, Error> {
        let connection = self.lock();
        let mut query = connection
            .prepare_cached("SELECT value FROM meta WHERE key GLOB 'upload:*' ORDER BY key")?;
        let rows = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
        rows.map(|value| Wire::read(&Zeroizing::new(value?)))
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
        let told = Told {
            thread: Some(ThreadId([3; 16])),
            title: Some("Wallets".to_owned()),
            reply_to: Some(MessageId([4; 32])),
            terms: ItemTerms {
                keep_until: Some(UnixMillis(5)),
                collectors: 6,
                wanted: vec![MemberId([7; 16])],
            },
        };
        store.put_upload(&UploadRow {
            channel,
            source: source.to_owned(),
            stamp: Stamp("then".to_owned()),
            plan: plan.clone(),
            spool: None,
            told: told.clone(),
        })?;
        assert!(store.uploads()?[0].told == told);
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

    #[test]
    fn a_folder_has_another_stamp_when_anything_in_it_is_another() -> Result<(), Error> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        std::fs::create_dir_all(path.join("a/b"))?;
        std::fs::write(path.join("a/b/one"), "one")?;
        let mut stamps = vec![Stamp::of_folder(path)?];
        assert_eq!(Stamp::of_folder(path)?, stamps[0]);
        type Change = fn(&Path) -> std::io::Result<()>;
        let changes: [Change; 5] = [
            |path| std::fs::write(path.join("a/b/one"), "other"),
            |path| std::fs::write(path.join("a/two"), ""),
            |path| std::fs::rename(path.join("a/two"), path.join("a/b/two")),
            |path| std::fs::create_dir(path.join("c")),
            |path| std::fs::remove_file(path.join("a/b/two")),
        ];
        for change in changes {
            change(path)?;
            let stamp = Stamp::of_folder(path)?;
            assert!(!stamps.contains(&stamp), "{}", stamps.len());
            stamps.push(stamp);
        }
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
