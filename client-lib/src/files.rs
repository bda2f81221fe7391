//! Items: files as they are exchanged. Sealing, the manifest, reading and writing; no network.
//!
//! ```text
//! file --Outgoing--> sealed chunks --(bulk connection)--> server
//!            \-----> Manifest --(inside an MLS message)--> recipients
//! sealed chunks, Manifest --Incoming--> .part --verified whole--> file under a free, clean name
//! ```
//!
//! **Sealing.** A random 32-byte key per item. HKDF-SHA256, salted with the item's id, gives the
//! payload key and a key commitment. The plaintext is padded with zeros to a Padme size (purbs,
//! arXiv 1806.03160) and follows the commitment; the whole is cut into chunks, each sealed by AEAD
//! with the nonce (11-byte index, final flag) as in STREAM (eprint 2015/189):
//!
//! ```text
//! chunk 0      commitment (32, in clear), AEAD of the first chunk size - 32 bytes, tag (16)
//! chunk 1..    AEAD of the next chunk size bytes, tag (16); the last one may be shorter
//! ```
//!
//! The commitment lies in the sealed bytes, so that the root over them binds the key: nobody can
//! make one upload that opens to two files under two keys, which AES-GCM alone would allow.
//!
//! **Checks on arrival.** Each chunk is opened (and, where the list of hashes is at hand, compared
//! with it) before a byte of it is written; they come in order. Before the file gets its name, the
//! root over all sealed chunks and the SHA-256 of the plaintext must be the manifest's.
//!
//! **Resume, sending.** A nonce must never seal two plaintexts. The digest's state behind a chunk is in
//! the [`Journal`] on disk before the chunk is handed out; after a stop, a chunk is sealed again only
//! if its plaintext leads to that state. Otherwise the file has changed: new key, new item.
//! **Resume, receiving.** What was synced is taken up by the digest's saved state; what is behind it in
//! the `.part` file is verified against its own journal, up to the first chunk that is not as it was.
//!
//! **Malware samples** are received as they were sent: [`SealedIncoming`] verifies them chunk by
//! chunk in memory and writes the sealed bytes; [`export_sample`] opens them, by its own call only.
//!
//! ```
//! use plenary_client::files::{Incoming, Manifest, Outgoing, Plan};
//! use std::{fs, fs::File};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let (path, journal) = (folder.path().join("report.txt"), folder.path().join("journal"));
//! # fs::write(&path, "what we found")?;
//! let plan = Plan::of_file(&path, "text/plain")?;
//! let mut outgoing = Outgoing::create(File::open(&path)?, &journal, &plan)?;
//! let mut server = Vec::new();
//! while let Some(chunk) = outgoing.next_chunk()? {
//!     server.push(chunk.bytes);
//! }
//! let manifest = outgoing.finish()?.encode();
//!
//! let manifest = Manifest::decode(&manifest)?;
//! # let inbox = tempfile::tempdir()?;
//! let mut incoming = Incoming::create(inbox.path(), &manifest)?;
//! while incoming.next() < manifest.layout().chunks() {
//!     let index = incoming.next();
//!     incoming.write(index, &mut server[index as usize])?;
//! }
//! let path = incoming.finish()?;
//! assert_eq!(fs::read(path)?, b"what we found");
//! # Ok(())
//! # }
//! ```

mod checkpoint;
mod described;
mod error;
pub(crate) mod folder;
mod incoming;
mod journal;
mod key;
mod layout;
mod manifest;
pub mod name;
mod open;
mod outgoing;
mod preview;
mod record;
mod remains;
mod running;
mod sample;
mod seal;
mod stream;
#[cfg(test)]
mod tests;

pub use described::Described;
pub use error::ItemError;
pub use incoming::Incoming;
pub(crate) use incoming::{private, sync_folder};
pub use journal::Journal;
pub use key::{Cipher, ItemKey};
pub use layout::{Layout, MAX_ITEM};
pub use manifest::{Manifest, Plan};
pub use open::{Opened, Opener};
pub use outgoing::Outgoing;
pub use preview::{MAX_PREVIEW, Preview, PreviewKind};
pub(crate) use remains::{discard, gathered, part_of, sealed_part_of};
pub use running::sha256_of;
pub(crate) use sample::{Arriving, copy_verified, sealed_path};
pub use sample::{SealedIncoming, export_sample, sample_name};
pub use seal::{SealedChunk, Sealer};
pub(crate) use stream::Streamed;
