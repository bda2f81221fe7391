//! What a message says, from a draft to the bytes that MLS seals, and back.
//!
//! ```text
//! Draft --into_content--> Content --encode--> bytes --Envelope::sign--> Envelope --seal_form--> MLS
//! MLS --Envelope::open--> Envelope --verify--> bytes --Content::decode--> Content --kind--> Kind
//! ```
//!
//! [`Content`] is the container of draft-ietf-mimi-content-08: CBOR, deterministic, read strictly
//! and within bounds ([`MAX_PARTS`], [`MAX_DEPTH`], `limits::CONTENT`). What Plenary adds travels as
//! private extensions ([`extension`]). [`Envelope`] adds the device's signature, so that history can
//! be handed on later and still be verified; [`padding`] hides the length.

mod canonical;
mod decode;
mod draft;
mod encode;
mod envelope;
mod error;
pub mod extension;
pub(crate) mod handover;
mod kind;
mod message;
mod message_id;
pub mod padding;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use draft::{Draft, Salt, fresh_salt};
pub(crate) use envelope::TOLD;
pub use envelope::{Carries, Envelope, EnvelopeError, SIGNATURE_TAG, SignedContext};
pub use error::ContentError;
pub use extension::{ExtensionKey, Extensions, MAX_TITLE};
pub use kind::Kind;
pub use message::{
    Body, Content, Disposition, Expiration, External, MAX_DEPTH, MAX_PARTS, MAX_TOPIC, Part,
    Semantics, ThreadId,
};
pub use message_id::{MessageId, room_uri, sender_uri};

/// Media type of plain text.
pub const PLAIN: &str = "text/plain;charset=utf-8";

/// Media type of GitHub Flavored Markdown without HTML, as the draft's section 6.1 profiles it.
pub const MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";

/// Media type of statements of custody (see [`plenary_certs::custody`]).
pub const CUSTODY: &str = "application/vnd.plenary.custody+cbor";

/// Media type of an item's manifest (see [`crate::files::Manifest`]).
pub const ITEM: &str = "application/vnd.plenary.item+cbor";
