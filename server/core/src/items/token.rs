//! Item tokens: HMAC-SHA256 under a key that lives as long as the process.
//!
//! A token names device, item, channel, right and expiry. It is issued on the device's chat
//! connection and counts only on a bulk connection of the same device, so it is worth nothing to
//! whoever else comes to see it.

use bytes::Bytes;
use plenary_proto::{
    ids::{ChannelId, DeviceId, ItemId, UnixMillis},
    request::Right,
};
use ring::hmac;

const TAG: &[u8] = b"plenary item token v1\0";

/// Device, item, channel, right, size, expiry.
const BODY: usize = 16 + 16 + 16 + 1 + 8 + 8;

/// What a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Whose.
    pub device: DeviceId,
    /// Which item.
    pub item: ItemId,
    /// Handed over where.
    pub channel: ChannelId,
    /// What for.
    pub right: Right,
    /// From then on it is worth nothing.
    pub expires: UnixMillis,
}

/// Issues tokens and reads them back.
pub struct Tokens {
    key: hmac::Key,
}

impl Tokens {
    /// From fresh random bytes.
    pub fn new(key: &[u8; 32]) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// A token.
    pub fn issue(&self, claim: &Claim) -> Bytes {
        let mut token = body(claim);
        let tag = hmac::sign(&self.key, &[TAG, &token].concat());
        token.extend_from_slice(tag.as_ref());
        token.into()
    }

    /// What a token says, if it is ours, this device's and not expired.
    pub fn read(&self, token: &[u8], device: DeviceId, now: UnixMillis) -> Option<Claim> {
        let (body, tag) = token.split_at_checked(BODY)?;
        hmac::verify(&self.key, &[TAG, body].concat(), tag).ok()?;
        let claim = parse(body)?;
        (claim.device == device && now < claim.expires).then_some(claim)
    }
}

fn body(claim: &Claim) -> Vec<u8> {
    let (right, size) = match claim.right {
        Right::Put { size } => (1, size),
        Right::Get => (2, 0),
    };
    let mut body = Vec::with_capacity(BODY + 32);
    body.extend_from_slice(claim.device.as_bytes());
    body.extend_from_slice(claim.item.as_bytes());
    body.extend_from_slice(claim.channel.as_bytes());
    body.push(right);
    body.extend_from_slice(&size.to_be_bytes());
    body.extend_from_slice(&claim.expires.0.to_be_bytes());
    body
}

fn parse(body: &[u8]) -> Option<Claim> {
    let (device, rest) = body.split_first_chunk::<16>()?;
    let (item, rest) = rest.split_first_chunk::<16>()?;
    let (channel, rest) = rest.split_first_chunk::<16>()?;
    let (right, rest) = rest.split_first_chunk::<1>()?;
    let (size, rest) = rest.split_first_chunk::<8>()?;
    let expires = rest.first_chunk::<8>()?;
    let right = match right[0] {
        1 => Right::Put {
            size: u64::from_be_bytes(*size),
        },
        _ => Right::Get,
    };
    Some(Claim {
        device: DeviceId(*device),
        item: ItemId(*item),
        channel: ChannelId(*channel),
        right,
        expires: UnixMillis(u64::from_be_bytes(*expires)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            device: DeviceId([1; 16]),
            item: ItemId([2; 16]),
            channel: ChannelId([3; 16]),
            right: Right::Put { size: 77 },
            expires: UnixMillis(1_000),
        }
    }

    #[test]
    fn is_worth_something_to_its_device_in_its_time_only() {
        let tokens = Tokens::new(&[9; 32]);
        let get = Claim {
            right: Right::Get,
            ..claim()
        };
        for claim in [claim(), get] {
            let token = tokens.issue(&claim);
            let read = |device, now| tokens.read(&token, device, UnixMillis(now));
            assert_eq!(read(claim.device, 999), Some(claim));
            assert_eq!(read(claim.device, 1_000), None);
            assert_eq!(read(DeviceId([4; 16]), 0), None);
            let other = Tokens::new(&[8; 32]);
            assert_eq!(other.read(&token, claim.device, UnixMillis(0)), None);
        }
    }

    #[test]
    fn no_bit_can_be_changed_and_no_byte_cut() {
        let tokens = Tokens::new(&[9; 32]);
        let token = tokens.issue(&claim());
        for bit in 0..token.len() * 8 {
            let mut other = token.to_vec();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(tokens.read(&other, claim().device, UnixMillis(0)), None);
        }
        for len in 0..token.len() {
            assert_eq!(
                tokens.read(&token[..len], claim().device, UnixMillis(0)),
                None
            );
        }
    }
}
