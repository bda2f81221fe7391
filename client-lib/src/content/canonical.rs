//! Is this the one deterministic encoding (RFC 8949 section 4.2.1)? Asked before anything is read.
//!
//! minicbor reads every spelling of a value; MIMI allows one. So the bytes are walked once: heads in
//! their shortest form, no indefinite lengths, map keys ascending without repeats, texts in UTF-8,
//! floats in the shortest form that keeps them, nothing behind the end. After that, extension values
//! nobody knows can be kept as they came.

use super::ContentError;

/// Integer keys a double can hold (the draft's section 5.2).
const MAX_KEY: u64 = (1 << 53) - 1;

/// Fails unless `bytes` is exactly one item in its deterministic encoding, with arrays, maps and
/// tags at most `depth` levels deep.
pub(super) fn check(bytes: &[u8], depth: usize) -> Result<(), ContentError> {
    let mut walk = Walk { bytes, at: 0 };
    walk.item(depth)?;
    match walk.at == bytes.len() {
        true => Ok(()),
        false => Err(ContentError::WrongLength { at: walk.at }),
    }
}

struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
}

struct Head {
    major: u8,
    info: u8,
    value: u64,
}

impl<'b> Walk<'b> {
    fn take(&mut self, len: u64) -> Result<&'b [u8], ContentError> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(len).ok().and_then(|len| rest.get(..len));
        let taken = taken.ok_or(ContentError::WrongLength {
            at: self.bytes.len(),
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn head(&mut self) -> Result<Head, ContentError> {
        let at = self.at;
        let wrong = |what| ContentError::NotDeterministic { at, what };
        let first = self.take(1)?[0];
        let (major, info) = (first >> 5, first & 31);
        let following = match info {
            0..24 => 0,
            24..28 => 1 << (info - 24),
            28..31 => return Err(wrong("a reserved head")),
            _ => return Err(wrong("an indefinite length")),
        };
        let value = match following {
            0 => u64::from(info),
            _ => self
                .take(following)?
                .iter()
                .fold(0, |value, byte| value << 8 | u64::from(*byte)),
        };
        // Each longer head must say what the next shorter one cannot.
        let least = match info {
            24 => 24,
            25 => 1 << 8,
            26 => 1 << 16,
            27 => 1 << 32,
            _ => 0,
        };
        if major != 7 && value < least {
            return Err(wrong("a number in more bytes than it needs"));
        }
        Ok(Head { major, info, value })
    }

    fn item(&mut self, depth: usize) -> Result<(), ContentError> {
        let at = self.at;
        let head = self.head()?;
        if (4..=6).contains(&head.major) && depth == 0 {
            return Err(ContentError::Nesting { at });
        }
        match head.major {
            0 | 1 => Ok(()),
            2 => self.take(head.value).map(drop),
            3 => {
                let text = self.take(head.value)?;
                std::str::from_utf8(text).map_err(|_| ContentError::NotUtf8 { at })?;
                Ok(())
            }
            // A lie about the length ends at the end of the bytes: every round takes one.
            4 => (0..head.value).try_for_each(|_| self.item(depth - 1)),
            5 => self.map(head.value, depth),
            6 => self.tagged(head.value, depth),
            _ => simple(&head, at),
        }
    }

    fn map(&mut self, entries: u64, depth: usize) -> Result<(), ContentError> {
        let mut previous: &[u8] = &[];
        for _ in 0..entries {
            let at = self.at;
            let key = self.head()?;
            let allowed = match key.major {
                0 => key.value <= MAX_KEY,
                1 => key.value < MAX_KEY,
                2 | 3 => true,
                _ => false,
            };
            if !allowed {
                return Err(ContentError::NotDeterministic {
                    at,
                    what: "a map key that is no small integer, text or byte string",
                });
            }
            self.at = at;
            self.item(0)?;
            let key = &self.bytes[at..self.at];
            if key <= previous {
                return Err(ContentError::NotDeterministic {
                    at,
                    what: "map keys out of order or repeated",
                });
            }
            previous = key;
            self.item(depth - 1)?;
        }
        Ok(())
    }

    fn tagged(&mut self, tag: u64, depth: usize) -> Result<(), ContentError> {
        let at = self.at;
        if matches!(tag, 2 | 3) {
            let head = self.head()?;
            let fits = head.value <= 8 || self.bytes.get(self.at) == Some(&0);
            if head.major != 2 || fits {
                return Err(ContentError::NotDeterministic {
                    at,
                    what: "a big number that is none",
                });
            }
            self.at = at;
        }
        self.item(depth - 1)
    }
}

/// Booleans, null, undefined, other simple values, floats.
fn simple(head: &Head, at: usize) -> Result<(), ContentError> {
    let wrong = |what| Err(ContentError::NotDeterministic { at, what });
    let shortest = match head.info {
        24 if head.value < 32 => return wrong("a simple value in two bytes"),
        25 => head.value == 0x7e00 || head.value & 0x7c00 != 0x7c00 || head.value & 0x3ff == 0,
        26 => {
            let value = f32::from_bits(head.value as u32);
            !value.is_nan() && !fits_half(value)
        }
        27 => {
            let value = f64::from_bits(head.value);
            !value.is_nan() && f64::from(value as f32).to_bits() != head.value
        }
        _ => true,
    };
    match shortest {
        true => Ok(()),
        false => wrong("a float that is not in its shortest form"),
    }
}

/// Whether a half-precision float holds the same number.
fn fits_half(value: f32) -> bool {
    let magnitude = value.abs();
    let bits = value.to_bits();
    if magnitude == 0.0 || magnitude.is_infinite() {
        return true;
    }
    let normal = (-14..=15).contains(&((bits >> 23 & 0xff) as i32 - 127)) && bits & 0x1fff == 0;
    // Below 2^-14 a half counts in steps of 2^-24.
    let steps = magnitude * 16_777_216.0;
    normal || (steps < 1024.0 && steps.fract() == 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
            .collect()
    }

    #[test]
    fn takes_the_shortest_spelling() {
        for good in [
            "00",
            "17",
            "1818",
            "19ffff",
            "1a00010000",
            "1b0000000100000000",
            "20",
            "3903e7",
            "40",
            "6161",
            "80",
            "a0",
            "a3010220036161f6",
            "a201020902",
            "f4",
            "f5",
            "f6",
            "f7",
            "f0",
            "f8ff",
            "f93c00",
            "f97c00",
            "f9fc00",
            "f97e00",
            "fa47c35000",
            "fa7f7fffff",
            "fb3ff199999999999a",
            "fb7e37e43c8800759c",
            "f90001",
            "fa33800001",
            "d8206161",
            "c249010000000000000000",
        ] {
            assert_eq!(check(&hex(good), 4), Ok(()), "{good}");
        }
    }

    #[test]
    fn refuses_every_other_spelling() {
        for bad in [
            "1817",
            "1900ff",
            "1a0000ffff",
            "1b00000000ffffffff",
            "5800",
            "7800",
            "9800",
            "b800",
            "5f40ff",
            "7f60ff",
            "9fff",
            "bfff",
            "ff",
            "1c",
            "5c",
            "fc",
            "a202000100", // keys descending
            "a201000100", // key twice
            "a2200001f6", // -1 sorts behind 1
            "a1f600",
            "a18000",
            "a1a000",
            "a1f93c0000", // keys of other kinds
            "a11b002000000000000000",
            "a13b001fffffffffffff00", // beyond a double
            "f818",
            "f814",
            "f97e01",
            "f97c01",
            "fa7fc00000",
            "fa3f800000",
            "fa7f800000",
            "fa33800000",
            "fb3ff0000000000000",
            "fb7ff8000000000000",
            "fb7ff0000000000000",
            "c240",
            "c24100",
            "c2480100000000000000",
            "c249000100000000000000",
            "c201",
        ] {
            assert!(
                matches!(
                    check(&hex(bad), 4),
                    Err(ContentError::NotDeterministic { .. })
                ),
                "{bad}"
            );
        }
        assert_eq!(check(&hex("61ff"), 4), Err(ContentError::NotUtf8 { at: 0 }));
    }

    #[test]
    fn refuses_cuts_lies_and_depth() {
        for cut in [
            "",
            "18",
            "19ff",
            "41",
            "6261",
            "81",
            "a1",
            "a101",
            "c1",
            "9bffffffffffffffff",
        ] {
            assert!(
                matches!(check(&hex(cut), 4), Err(ContentError::WrongLength { .. })),
                "{cut}"
            );
        }
        assert_eq!(
            check(&hex("0000"), 4),
            Err(ContentError::WrongLength { at: 1 })
        );
        assert_eq!(check(&hex("81c1a10100"), 3), Ok(()));
        assert_eq!(
            check(&hex("81c1a10180"), 3),
            Err(ContentError::Nesting { at: 4 })
        );
        assert_eq!(
            check(&[0x81; 100_000], 8),
            Err(ContentError::Nesting { at: 8 })
        );
    }
}
