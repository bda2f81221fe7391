//! The server's signature on a channel's head: what makes it answerable for what it acknowledged.
//!
//! Many acknowledgements of one batch share one Ed25519 signature over the root of a binary hash
//! tree; each carries the siblings on its way up. Leaves and nodes are hashed under different
//! tags (as in RFC 9162, section 2.1.1), an odd node goes up unchanged.

use plenary_proto::{
    ids::{ChannelHead, ChannelId, Digest, NetworkId, PublicKey, UnixMillis},
    reply::SignedHead,
};
use ring::{
    digest::{Context, SHA256},
    signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey},
};

use crate::handshake::sign;

const LEAF: &[u8] = b"plenary head leaf v1\0";
const NODE: &[u8] = b"plenary head node v1\0";
const ROOT: &[u8] = b"plenary head root v1\0";

/// The server's signature does not cover this head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server's signature on a channel's head does not hold: report it to the Board")]
pub struct BadHead;

/// Signs a batch of heads with one signature; the result is in the order given.
pub fn sign_heads(
    key: &Ed25519KeyPair,
    network: NetworkId,
    time: UnixMillis,
    heads: &[(ChannelId, ChannelHead)],
) -> Vec<SignedHead> {
    let leaves: Vec<Digest> = heads
        .iter()
        .map(|(channel, head)| leaf(network, *channel, head, time))
        .collect();
    let mut levels = vec![leaves];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        levels.push(
            level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => node(left, right),
                    other => other[0],
                })
                .collect(),
        );
    }
    let Some(root) = levels.last().and_then(|level| level.first()) else {
        return Vec::new();
    };
    let signature = sign(key, &[ROOT, root.as_bytes()].concat());
    heads
        .iter()
        .enumerate()
        .map(|(index, (channel, head))| SignedHead {
            channel: *channel,
            head: *head,
            time,
            signature,
            index: index as u32,
            path: levels
                .iter()
                .enumerate()
                .filter_map(|(height, level)| level.get((index >> height) ^ 1).copied())
                .collect(),
        })
        .collect()
}

/// Checks one head of a batch of any size.
pub fn check_head(key: &PublicKey, network: NetworkId, signed: &SignedHead) -> Result<(), BadHead> {
    let mut hash = leaf(network, signed.channel, &signed.head, signed.time);
    let mut index = signed.index;
    let mut rest = signed.path.as_slice();
    // A right child always has its sibling. A left child lacks it only at the odd end of its level,
    // and then at every higher one too, so that only the right turns still to come (set bits) need one.
    while let Some((sibling, others)) = rest.split_first() {
        if index & 1 == 1 {
            hash = node(sibling, &hash);
            rest = others;
        } else if rest.len() > index.count_ones() as usize {
            hash = node(&hash, sibling);
            rest = others;
        }
        index >>= 1;
    }
    // One spelling: what is left would have been ignored.
    if index != 0 {
        return Err(BadHead);
    }
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(
            &[ROOT, hash.as_bytes()].concat(),
            signed.signature.as_bytes(),
        )
        .map_err(|_| BadHead)
}

fn leaf(network: NetworkId, channel: ChannelId, head: &ChannelHead, time: UnixMillis) -> Digest {
    hash(&[
        LEAF,
        network.as_bytes(),
        channel.as_bytes(),
        &head.seq.0.to_be_bytes(),
        head.hash.as_bytes(),
        &time.0.to_be_bytes(),
    ])
}

fn node(left: &Digest, right: &Digest) -> Digest {
    hash(&[NODE, left.as_bytes(), right.as_bytes()])
}

fn hash(parts: &[&[u8]]) -> Digest {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    Digest(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_proto::ids::Seq;
    use ring::signature::KeyPair;

    #[test]
    fn every_head_of_every_batch_size_checks_and_no_other() {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let public = PublicKey::try_from(key.public_key().as_ref()).unwrap();
        let network = NetworkId([7; 16]);
        for size in 1..=33_u8 {
            let heads: Vec<_> = (0..size)
                .map(|n| {
                    let head = ChannelHead {
                        seq: Seq(n.into()),
                        hash: Digest([n; 32]),
                    };
                    (ChannelId([n; 16]), head)
                })
                .collect();
            let signed = sign_heads(&key, network, UnixMillis(5), &heads);
            assert_eq!(signed.len(), heads.len());
            for one in &signed {
                assert_eq!(
                    check_head(&public, network, one),
                    Ok(()),
                    "{size} {}",
                    one.index
                );
                let mut other = one.clone();
                other.head.seq = Seq(99);
                assert_eq!(check_head(&public, network, &other), Err(BadHead));
                let mut other = one.clone();
                other.time = UnixMillis(6);
                assert_eq!(check_head(&public, network, &other), Err(BadHead));
                assert_eq!(check_head(&public, NetworkId([8; 16]), one), Err(BadHead));
                for bit in 0..32 {
                    let mut other = one.clone();
                    other.index ^= 1 << bit;
                    assert_eq!(check_head(&public, network, &other), Err(BadHead), "{bit}");
                }
            }
        }
    }
}
