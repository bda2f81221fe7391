//! Backups: everything that the server keeps, sealed to an offline key, made while it serves.
//!
//! ```text
//! FOLDER/plenary-backup.json          which key all of it is sealed to; locked by who writes
//! FOLDER/items/ID                     sealed bytes of an item; shared by all snapshots
//! FOLDER/snapshots/NAME/folder        sealed: keys of CA and server, hash lists of unsaved items
//! FOLDER/snapshots/NAME/store         sealed: the store's export, each channel of one moment
//! FOLDER/snapshots/NAME/contents      sealed: what is in the snapshot, items with their roots
//! FOLDER/snapshots/NAME/manifest.json every file with its length and BLAKE3
//! ```
//!
//! A snapshot has its name once it is whole. An item never changes, so a second snapshot into the
//! same folder copies only what is new, and a backup that broke off goes on with the items it lacks;
//! the store's part, which is small, is made anew.
//!
//! Without the secret key [`check`] finds damage on the medium; with it, it opens everything.
//! HPKE's base mode says nothing of who sealed: whoever can write to the medium can put another
//! backup there. What they cannot do is what a malicious server cannot do either, for the ledger and
//! the channels are signed by others.

mod check;
mod key;
mod layout;
mod local;
mod make;
mod restore;
mod sealed;

pub use check::{Checked, check};
pub use key::{BackupKey, make as make_key, read_secret};
pub use layout::{Contents, FileEntry, ItemEntry, Manifest, newest, snapshots};
pub use local::Local;
pub use make::{Made, Plan, make};
pub use restore::{Restored, restore};

use std::io::Write;

use plenary_proto::ids::ItemId;
use zeroize::Zeroizing;

/// Where a backup comes from: the data folder, or a running server by its admin socket.
pub trait Source {
    /// Small files of the data folder, by their names in it; with `lists`, also the hash lists of
    /// items, for a backup that leaves the items' bytes out.
    fn folder(&mut self, lists: bool) -> anyhow::Result<Vec<NamedFile>>;

    /// Writes the store's export.
    fn store(&mut self, out: &mut dyn Write) -> anyhow::Result<()>;

    /// All items that may be fetched.
    fn items(&mut self) -> anyhow::Result<Vec<ItemEntry>>;

    /// Writes an item's sealed bytes. False, should it be gone by now.
    fn item(&mut self, item: ItemId, size: u64, out: &mut dyn Write) -> anyhow::Result<bool>;

    /// The snapshot is whole.
    fn done(&mut self) -> anyhow::Result<()>;
}

/// A file's name in the data folder, and its bytes.
pub type NamedFile = (String, Zeroizing<Vec<u8>>);
