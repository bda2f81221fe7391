//! The extensions of a content: the draft's two, Plenary's private ones, and whatever else came.
//!
//! | key | value | meaning |
//! |---|---|---|
//! | 1, 2 | text | sender and room URI (the draft's; Plenary derives both and does not send them) |
//! | -1 | 0 to 4 | handling label, `Label::code` |
//! | -2 | true | attribution withheld: quote without naming the sender (the Chatham House rule) |
//! | -3 | true | an acknowledgement is asked |
//! | -4 | text | title of the thread; the earliest one that a client has counts |
//! | -5 | true | a notice, not discussion |
//!
//! Values of unknown keys are kept byte for byte and written back as they came.

use std::collections::BTreeMap;

use minicbor::{Decoder, Encoder};
use plenary_proto::label::Label;

use super::{ContentError, canonical};

/// Sender URI (IANA).
pub const SENDER_URI: i64 = 1;
/// Room URI (IANA).
pub const ROOM_URI: i64 = 2;
/// Handling label.
pub const LABEL: i64 = -1;
/// Attribution withheld.
pub const ATTRIBUTION_WITHHELD: i64 = -2;
/// Acknowledgement asked.
pub const ACKNOWLEDGEMENT_ASKED: i64 = -3;
/// Title of the thread.
pub const TITLE: i64 = -4;
/// A notice.
pub const NOTICE: i64 = -5;

/// Bytes of a thread's title.
pub const MAX_TITLE: usize = 512;

/// Levels within one extension's value: the map around it is the first of the draft's four.
const VALUE_DEPTH: usize = 3;

/// Key of one extension.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExtensionKey {
    /// Positive: registered. Negative: private. A double must hold it.
    Int(i64),
    /// Private; 1 to 255 bytes.
    Text(String),
}

/// All extensions of one content, in the order in which they travel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extensions {
    /// Encoded key to encoded value. Bytewise order of the encoded keys is the draft's order.
    entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Extensions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key, as CBOR.
    pub fn get(&self, key: &ExtensionKey) -> Option<&[u8]> {
        self.entries.get(&encode_key(key).ok()?).map(Vec::as_slice)
    }

    /// Sets a key to a value: one deterministic CBOR item, at most three levels deep.
    ///
    /// # Errors
    /// When the value is not that, the key is out of bounds, or a known key has a value it cannot
    /// have.
    pub fn insert(&mut self, key: &ExtensionKey, value: &[u8]) -> Result<(), ContentError> {
        canonical::check(value, VALUE_DEPTH)?;
        check_known(key, value)?;
        self.entries.insert(encode_key(key)?, value.to_vec());
        Ok(())
    }

    /// The handling label.
    pub fn label(&self) -> Option<Label> {
        self.known(LABEL)
            .and_then(|mut value| value.u8().ok())
            .and_then(Label::from_code)
    }

    /// The thread's title.
    pub fn title(&self) -> Option<&str> {
        self.text(TITLE)
    }

    /// Whether the sender wants not to be named as the source.
    pub fn attribution_withheld(&self) -> bool {
        self.known(ATTRIBUTION_WITHHELD).is_some()
    }

    /// Whether the sender asks for an acknowledgement.
    pub fn acknowledgement_asked(&self) -> bool {
        self.known(ACKNOWLEDGEMENT_ASKED).is_some()
    }

    /// Whether it is a notice.
    pub fn is_notice(&self) -> bool {
        self.known(NOTICE).is_some()
    }

    /// The sender as the content names it. Plenary's contents name none.
    pub fn sender_uri(&self) -> Option<&str> {
        self.text(SENDER_URI)
    }

    /// The room as the content names it. Plenary's contents name none.
    pub fn room_uri(&self) -> Option<&str> {
        self.text(ROOM_URI)
    }

    pub(super) fn set_label(&mut self, label: Label) {
        self.set(LABEL, |value| drop(value.u8(label.code())));
    }

    pub(super) fn set_flag(&mut self, key: i64) {
        self.set(key, |value| drop(value.bool(true)));
    }

    pub(super) fn set_title(&mut self, title: &str) {
        self.set(TITLE, |value| drop(value.str(title)));
    }

    pub(super) fn encode(&self, out: &mut Encoder<Vec<u8>>) {
        let _ = out.map(self.entries.len() as u64);
        for (key, value) in &self.entries {
            out.writer_mut().extend_from_slice(key);
            out.writer_mut().extend_from_slice(value);
        }
    }

    /// Reads the map. `bytes` is the whole content, already known to be deterministic: so keys
    /// ascend without repeats.
    pub(super) fn decode(input: &mut Decoder<'_>) -> Result<Self, ContentError> {
        let wrong = ContentError::Field {
            field: "extensions",
            expected: "a map with keys that are integers or texts of 1 to 255 bytes",
        };
        let bytes = input.input();
        let Ok(Some(len)) = input.map() else {
            return Err(wrong);
        };
        let mut all = Self::default();
        for _ in 0..len {
            let mut as_text = input.clone();
            let key = match (input.i64(), as_text.str()) {
                (Ok(number), _) => ExtensionKey::Int(number),
                (_, Ok(text)) => {
                    *input = as_text;
                    ExtensionKey::Text(text.to_owned())
                }
                _ => return Err(wrong),
            };
            let start = input.position();
            input.skip().map_err(|_| wrong.clone())?;
            all.insert(&key, &bytes[start..input.position()])?;
        }
        Ok(all)
    }

    fn set(&mut self, key: i64, value: impl FnOnce(&mut Encoder<Vec<u8>>)) {
        let mut name = Encoder::new(Vec::new());
        let _ = name.i64(key);
        let mut out = Encoder::new(Vec::new());
        value(&mut out);
        self.entries.insert(name.into_writer(), out.into_writer());
    }

    fn known(&self, key: i64) -> Option<Decoder<'_>> {
        self.get(&ExtensionKey::Int(key)).map(Decoder::new)
    }

    fn text(&self, key: i64) -> Option<&str> {
        self.known(key).and_then(|mut value| value.str().ok())
    }
}

fn encode_key(key: &ExtensionKey) -> Result<Vec<u8>, ContentError> {
    const EXACT: i64 = 1 << 53;
    let mut out = Encoder::new(Vec::new());
    match key {
        ExtensionKey::Int(number) if number.abs_diff(0) < EXACT.unsigned_abs() => {
            let _ = out.i64(*number);
        }
        ExtensionKey::Text(text) if (1..=255).contains(&text.len()) => {
            let _ = out.str(text);
        }
        _ => {
            return Err(ContentError::Field {
                field: "extension key",
                expected: "an integer below 2^53 or a text of 1 to 255 bytes",
            });
        }
    }
    Ok(out.into_writer())
}

/// A known key must have a value it can have: a label nobody can read must not pass as none.
fn check_known(key: &ExtensionKey, value: &[u8]) -> Result<(), ContentError> {
    let mut input = Decoder::new(value);
    let (field, good, expected) = match key {
        ExtensionKey::Int(LABEL) => (
            "label",
            input.u8().ok().and_then(Label::from_code).is_some(),
            "a number from 0 to 4",
        ),
        ExtensionKey::Int(ATTRIBUTION_WITHHELD | ACKNOWLEDGEMENT_ASKED | NOTICE) => (
            "flag",
            input.bool().unwrap_or(false),
            "true, or to be absent",
        ),
        ExtensionKey::Int(TITLE) => (
            "title",
            input.str().is_ok_and(|title| title.len() <= MAX_TITLE),
            "a text of at most 512 bytes",
        ),
        ExtensionKey::Int(SENDER_URI | ROOM_URI) => ("URI", input.str().is_ok(), "a text"),
        _ => return Ok(()),
    };
    match good {
        true => Ok(()),
        false => Err(ContentError::Field { field, expected }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_keys_take_only_their_values() {
        let mut all = Extensions::default();
        for (key, value) in [
            (LABEL, &[5][..]),
            (LABEL, &[0xf6]),
            (NOTICE, &[0xf4]),
            (ACKNOWLEDGEMENT_ASKED, &[1]),
            (TITLE, &[0x41, 0x61]),
            (ROOM_URI, &[0]),
        ] {
            assert!(
                matches!(
                    all.insert(&ExtensionKey::Int(key), value),
                    Err(ContentError::Field { .. })
                ),
                "{key}"
            );
        }
        assert!(all.is_empty());
        all.insert(&ExtensionKey::Int(LABEL), &[4]).unwrap();
        assert_eq!(all.label(), Some(Label::Red));
    }

    #[test]
    fn bounds_of_keys_and_values() {
        let mut all = Extensions::default();
        for key in [
            ExtensionKey::Int(1 << 53),
            ExtensionKey::Int(-(1 << 53)),
            ExtensionKey::Int(i64::MIN),
            ExtensionKey::Text(String::new()),
            ExtensionKey::Text("a".repeat(256)),
        ] {
            assert!(all.insert(&key, &[0]).is_err(), "{key:?}");
        }
        for key in [
            ExtensionKey::Int((1 << 53) - 1),
            ExtensionKey::Int(1 - (1 << 53)),
            ExtensionKey::Text("a".repeat(255)),
        ] {
            all.insert(&key, &[0]).unwrap();
        }
        let key = ExtensionKey::Int(-70_000);
        all.insert(&key, &[0x81, 0x81, 0x80]).unwrap();
        assert!(all.insert(&key, &[0x81, 0x81, 0x81, 0x80]).is_err());
        assert!(all.insert(&key, &[0, 0]).is_err());
        assert!(all.insert(&key, &[]).is_err());
        assert_eq!(all.get(&key), Some(&[0x81, 0x81, 0x80][..]));
        assert_eq!(all.len(), 4);
    }
}
