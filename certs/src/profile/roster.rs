//! The roster key: one key for all profiles, sealed to every live device.
//!
//! After a revocation a member of the Board makes the next generation, seals it to every live
//! device and the profiles under it. Each copy says with which ledger it was made: who knows of a
//! later revocation knows that the key is due, whatever the server hands out.
//!
//! HPKE (RFC 9180) of the hybrid suite, base mode; the sender signs beside it, or the server
//! could hand out a roster key of its own and read the names sealed under it later.

use std::fmt;

use plenary_proto::ids::{DeviceId, LedgerSeq, NetworkId, Signature, UnixMillis};
use ring::rand::SecureRandom;
use zeroize::Zeroizing;

use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    ledger::{Device, Ledger, Standing},
    sealed_to::{SealingKey, framed, open_parts, seal_parts},
    signing::{self, SigningKey},
};

const INFO_TAG: &[u8] = b"plenary roster key v1\0";
const SIGN_TAG: &[u8] = b"plenary roster key sender v1\0";

/// Seals the profiles. Replaced when somebody is revoked.
#[derive(Clone, PartialEq, Eq)]
pub struct RosterKey(Zeroizing<[u8; 32]>);

/// Which roster key, and with how much of the ledger it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Generation {
    /// Counts from 1.
    pub number: u32,
    /// Whoever was out up to there has not got it.
    pub since: LedgerSeq,
}

impl Generation {
    /// Made at the founding, before there was a ledger.
    pub const FIRST: Self = Self {
        number: 1,
        since: LedgerSeq(0),
    };
}

/// Why a roster key was not sealed or is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RosterError {
    #[error("no randomness from the operating system")]
    Random,
    #[error("not a sealing key of the network's suite")]
    Key,
    #[error("malformed roster key: {0}")]
    Malformed(#[from] CborError),
    #[error("the roster key comes from device {by}, which is {standing}")]
    Sender { by: DeviceId, standing: Standing },
    #[error("the roster key comes from device {0}, whose member is not of the Board")]
    NotBoard(DeviceId),
    #[error("the roster key names statement {} of the ledger; this side has fewer", .0.0)]
    Ahead(LedgerSeq),
    #[error("the signature of device {0} on the roster key does not verify")]
    BadSignature(DeviceId),
    #[error("the roster key is sealed to another device, or altered")]
    Open,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Envelope {
    generation: u32,
    since: LedgerSeq,
    by: DeviceId,
    kem_output: Bytes,
    ciphertext: Bytes,
    signature: Signature,
}

cbor_struct!(Envelope {
    generation,
    since,
    by,
    kem_output,
    ciphertext,
    signature
});

impl RosterKey {
    /// A fresh key.
    ///
    /// # Errors
    /// [`RosterError::Random`].
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, RosterError> {
        let mut key = Zeroizing::new([0; 32]);
        random.fill(&mut *key).map_err(|_| RosterError::Random)?;
        Ok(Self(key))
    }

    /// The key of bytes kept in the client's sealed store.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes, for the client's sealed store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Seals the roster key of a generation to a device. `by` signs with its authentication key.
///
/// # Errors
/// [`RosterError::Key`]: `to` is no sealing key.
pub fn seal_roster_key(
    key: &RosterKey,
    generation: Generation,
    network: NetworkId,
    (device, to): (DeviceId, &[u8]),
    (by, signer): (DeviceId, &SigningKey),
) -> Result<Vec<u8>, RosterError> {
    let info = info(network, device, generation);
    let (kem_output, ciphertext) =
        seal_parts(to, &info, key.as_bytes()).map_err(|_| RosterError::Key)?;
    let mut envelope = Envelope {
        generation: generation.number,
        since: generation.since,
        by,
        kem_output,
        ciphertext,
        signature: Signature([0; 64]),
    };
    envelope.signature = signer.sign(&to_be_signed(&info, &envelope));
    Ok(cbor::encode(&envelope))
}

/// Opens a roster key sealed to `device`, from a sender that is live by the newest ledger and,
/// the first generation aside, of the Board or the same member's. The caller keeps the highest.
///
/// # Errors
/// Any [`RosterError`] but [`RosterError::Random`].
pub fn open_roster_key(
    sealed: &[u8],
    ledger: &Ledger,
    now: UnixMillis,
    (device, key): (DeviceId, &SealingKey),
) -> Result<(Generation, RosterKey), RosterError> {
    let envelope: Envelope = cbor::decode(sealed)?;
    let by = envelope.by;
    let sender = sender(&envelope, ledger, now, device)?;
    if envelope.since > ledger.head().seq {
        return Err(RosterError::Ahead(envelope.since));
    }
    let generation = Generation {
        number: envelope.generation,
        since: envelope.since,
    };
    let info = info(ledger.network(), device, generation);
    signing::verify(
        &sender.keys.authentication,
        &to_be_signed(&info, &envelope),
        &envelope.signature,
    )
    .map_err(|_| RosterError::BadSignature(by))?;
    let parts = (envelope.kem_output, envelope.ciphertext);
    let opened = open_parts(key, &info, parts).map_err(|_| RosterError::Open)?;
    let bytes: [u8; 32] = opened[..].try_into().map_err(|_| RosterError::Open)?;
    Ok((generation, RosterKey::from_bytes(bytes)))
}

/// Whether the newest ledger lets whoever is named as the sender of a copy for `device` hand it out.
/// Nothing is verified or opened: for whoever keeps copies, to know which ones are of use.
///
/// # Errors
/// [`RosterError::Malformed`], [`RosterError::Sender`], [`RosterError::NotBoard`].
pub fn check_roster_sender(
    sealed: &[u8],
    ledger: &Ledger,
    now: UnixMillis,
    device: DeviceId,
) -> Result<(), RosterError> {
    let envelope: Envelope = cbor::decode(sealed)?;
    sender(&envelope, ledger, now, device).map(drop)
}

fn sender<'ledger>(
    envelope: &Envelope,
    ledger: &'ledger Ledger,
    now: UnixMillis,
    device: DeviceId,
) -> Result<&'ledger Device, RosterError> {
    let by = envelope.by;
    let standing = ledger.standing(by, ledger.head().seq, now);
    let sender = ledger
        .device(by)
        .filter(|_| standing == Standing::Live)
        .ok_or(RosterError::Sender { by, standing })?;
    let own = ledger.device(device).map(|device| device.member);
    if envelope.generation > 1 && !ledger.is_board(sender.member) && own != Some(sender.member) {
        return Err(RosterError::NotBoard(by));
    }
    Ok(sender)
}

fn info(network: NetworkId, device: DeviceId, generation: Generation) -> Vec<u8> {
    [
        INFO_TAG,
        network.as_bytes(),
        device.as_bytes(),
        &generation.number.to_be_bytes(),
        &generation.since.0.to_be_bytes(),
    ]
    .concat()
}

fn to_be_signed(info: &[u8], envelope: &Envelope) -> Vec<u8> {
    let head = [SIGN_TAG, info].concat();
    framed(&head, &envelope.kem_output, &envelope.ciphertext)
}

impl fmt::Debug for RosterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RosterKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Target, Voucher, testing::*},
        sealed_to::sealing_keypair,
    };
    use ring::rand::SystemRandom;

    #[test]
    fn opens_for_its_device_from_a_live_sender() {
        let mut board = Board::with_member();
        board.say(device(11, 10, Voucher::Board));
        let key = RosterKey::generate(&SystemRandom::new()).unwrap();
        let mine = sealing_keypair().unwrap();
        let signer = authentication_key(10);
        let to = (device_id(11), mine.public());
        let third = Generation {
            number: 3,
            since: LedgerSeq(2),
        };
        let sealed = seal_roster_key(&key, third, NETWORK, to, (device_id(10), &signer)).unwrap();
        assert!(sealed.len() < 2048);

        let open = |board: &Board, sealed: &[u8], n, key: &SealingKey| {
            open_roster_key(sealed, &board.ledger, NOW, (device_id(n), key))
        };
        assert_eq!(open(&board, &sealed, 11, &mine), Ok((third, key.clone())));
        // The signature names the recipient; the key decides.
        assert_eq!(
            open(&board, &sealed, 10, &mine),
            Err(RosterError::BadSignature(device_id(10)))
        );
        let other = sealing_keypair().unwrap();
        assert_eq!(open(&board, &sealed, 11, &other), Err(RosterError::Open));
        for at in (0..sealed.len()).step_by(7) {
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert!(open(&board, &flipped, 11, &mine).is_err(), "{at}");
        }

        let forged = seal_roster_key(
            &key,
            third,
            NETWORK,
            to,
            (device_id(10), &key_of_the_server()),
        )
        .unwrap();
        assert_eq!(
            open(&board, &forged, 11, &mine),
            Err(RosterError::BadSignature(device_id(10)))
        );
        board.say(revoke(Target::Device(device_id(10))));
        assert!(matches!(
            open(&board, &sealed, 11, &mine),
            Err(RosterError::Sender { .. })
        ));
    }

    #[test]
    fn a_later_generation_is_the_board_s_or_the_own_member_s() {
        let mut board = Board::with_member();
        for (n, member) in [(1, 1), (20, 20)] {
            board.say(admit(member));
            board.say(device(n, member, Voucher::Board));
        }
        board.say(device(11, 10, Voucher::Board));
        let mine = sealing_keypair().unwrap();
        let opened = |number, since, by| {
            let generation = Generation {
                number,
                since: LedgerSeq(since),
            };
            let key = RosterKey::from_bytes([1; 32]);
            let to = (device_id(10), mine.public());
            let by = (device_id(by), &authentication_key(by));
            let sealed = seal_roster_key(&key, generation, NETWORK, to, by).unwrap();
            open_roster_key(&sealed, &board.ledger, NOW, (device_id(10), &mine)).map(|_| ())
        };
        // Of the Board, of the same member, of anybody else: the first is whoever founded.
        assert_eq!(opened(2, 3, 1), Ok(()));
        assert_eq!(opened(2, 3, 11), Ok(()));
        assert_eq!(opened(2, 3, 20), Err(RosterError::NotBoard(device_id(20))));
        assert_eq!(opened(1, 0, 20), Ok(()));
        let ahead = board.ledger.head().seq.0 + 1;
        let refused = Err(RosterError::Ahead(LedgerSeq(ahead)));
        assert_eq!(opened(2, ahead, 1), refused);
    }

    fn key_of_the_server() -> SigningKey {
        authentication_key(99)
    }

    #[test]
    fn refuses_what_is_no_sealing_key() {
        let key = RosterKey::from_bytes([1; 32]);
        let signer = authentication_key(1);
        for to in [&[][..], &[4; 40], &[4; 4000]] {
            let sealed = seal_roster_key(
                &key,
                Generation::FIRST,
                NETWORK,
                (device_id(1), to),
                (device_id(1), &signer),
            );
            assert_eq!(sealed, Err(RosterError::Key), "{}", to.len());
        }
        assert_eq!(format!("{key:?}"), "RosterKey(hidden)");
    }
}
