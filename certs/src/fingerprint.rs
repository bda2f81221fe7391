//! Digests and keys as groups of five digits: read aloud, compared and written down in any
//! language.

use plenary_proto::ids::{Digest, PublicKey};

use crate::ledger::hash;

const KEY_TAG: &[u8] = b"plenary key fingerprint v1\0";

/// A digest as eight groups of five digits: 132 bits of it.
pub fn of_digest(digest: &Digest) -> String {
    let groups = digest.0.chunks_exact(4).map(|four| {
        let number = four.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        format!("{:05}", number % 100_000)
    });
    groups.collect::<Vec<_>>().join(" ")
}

/// A public key as eight groups of five digits.
pub fn of_key(key: &PublicKey) -> String {
    of_digest(&hash(&[KEY_TAG, key.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_as_pinned() {
        assert_eq!(
            of_digest(&Digest([0xff; 32])),
            "67295 67295 67295 67295 67295 67295 67295 67295"
        );
        assert_eq!(
            of_key(&PublicKey([1; 32])),
            "47218 20299 11186 57524 77961 63926 46583 42869"
        );
        assert_ne!(of_key(&PublicKey([1; 32])), of_key(&PublicKey([2; 32])));
    }
}
