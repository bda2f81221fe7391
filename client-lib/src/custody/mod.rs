//! Bundles: a file and its record of custody, to be checked by somebody who never saw the network.
//!
//! ```text
//! bagit.txt  bag-info.txt  manifest-sha256.txt  tagmanifest-sha256.txt      BagIt 1.0 (RFC 8493)
//! data/original/NAME         the file; its SHA-256.sample if it carries malware
//! data/message.cbor          the message that handed it over, its device's signature, the key inside
//! data/manifest.cbor         what the manifest says, the key left out
//! data/statements/N-ACT.cbor each statement: device's signature, server's countersignature, time stamps
//! data/authorities.pem       whom the exporter trusts to tell the time, if statements are to be stamped
//! data/ledger.cbor           the Board's ledger, whole: whose key is whose
//! data/profiles.cbor         names with their salts, so that they fit the ledger's hashes
//! data/record.html           all of it for people; no script
//! ```
//!
//! What [`verify`] proves, given the right hash of ROOT 1: who signed (keys down to the Board's), what
//! the file is (its SHA-256 and, with the key from the message, the root over its sealed bytes that
//! the server countersigned), and in which order what was said. The page is drawn again from that
//! and compared, so it cannot say anything else. A time stamp (RFC 3161) is worth what its authority
//! is worth: with the certificates of authorities that the reader trusts, every stamp must lead to one
//! of them; the bundle's own prove nothing by being there. Without the original, message and key are left out:
//! the file cannot be read then, and its digest rests on the statements. Packed as one file, a bundle is a
//! tar archive of that folder, and verified as that.

mod bag;
mod evidence;
mod fault;
mod packed;
mod page;
#[cfg(test)]
mod tests;
mod utc;
mod verify;

pub(crate) use bag::DATA;
pub(crate) use evidence::{Carried, Evidence, Parts};
pub use fault::Fault;
pub(crate) use packed::pack;
pub(crate) use verify::{ORIGINAL, finish, original_name};
pub use verify::{Said, Verdict, is_bundle, verify};
