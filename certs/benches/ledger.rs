//! What it costs to verify a whole ledger, beside its signatures alone.
//!
//! `cargo bench -p plenary-certs --bench ledger`: 10,000 statements, 3 of 7 people on each. The
//! last line is the ratio of rounds taken by turns. The client opens its profile with this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a bench that does not work must stop"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{Criterion, criterion_group};
use plenary_certs::{
    ledger::{
        Admit, Body, Capacity, ChannelBody, DeviceBody, DeviceKeys, EntryRule, Grant, Ledger,
        Person, Policy, Recovery, Root, SignedStatement, Thresholds, Voucher, found, sign_as_board,
    },
    signing::{self, SigningKey},
};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId, NetworkId, PublicKey, Signature, UnixMillis},
    label::Label,
};

const STATEMENTS: usize = 10_000;
const NETWORK: NetworkId = NetworkId([7; 16]);
const NOW: UnixMillis = UnixMillis(1_800_000_000_000);
/// Rounds by turns; the median of the ratios is told.
const ROUNDS: usize = 7;

struct Made {
    root1: Digest,
    entries: Vec<Vec<u8>>,
    /// Key, signed bytes, signature: what the bare run verifies.
    signatures: Vec<(PublicKey, Vec<u8>, Signature)>,
}

fn key(kind: u8, number: usize) -> SigningKey {
    let mut seed = [kind; 32];
    seed[..8].copy_from_slice(&(number as u64).to_be_bytes());
    SigningKey::from_seed(&seed).unwrap()
}

fn id(number: usize) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    id
}

/// 1,500 members with two devices each, 80 channels, and grants: as a network of some years.
fn made() -> Made {
    let board: Vec<_> = (0..7).map(|number| key(1, number)).collect();
    let root = Root {
        board: board
            .iter()
            .enumerate()
            .map(|(number, key)| Person {
                member: MemberId(id(number)),
                key: key.public(),
            })
            .collect(),
        thresholds: Thresholds {
            root: 3,
            policy: 3,
            server: 3,
            ..Thresholds::for_board(7)
        },
        heartbeat: Vec::new(),
        recovery: Recovery::default(),
    };
    let mut rest = vec![Body::Policy(Policy::default())];
    for member in 0..1_500 {
        rest.push(Body::Admit(Admit {
            member: MemberId(id(member)),
            capacity: Capacity::Member,
            ends: None,
            profile: Digest([3; 32]),
        }));
        for device in [2 * member, 2 * member + 1] {
            rest.push(Body::Device(DeviceBody {
                device: DeviceId(id(device)),
                member: MemberId(id(member)),
                voucher: Voucher::Board,
                keys: DeviceKeys {
                    authentication: key(2, device).public(),
                    mls: key(3, device).public(),
                    custody: key(4, device).public(),
                    sealing: vec![5; 1_216],
                },
            }));
        }
    }
    for channel in 0..80 {
        rest.push(Body::Channel(ChannelBody {
            channel: ChannelId(id(channel)),
            rule: EntryRule::Granted,
            ceiling: Label::Amber,
            owner: MemberId(id(0)),
            profile: Digest([4; 32]),
        }));
    }
    let grants = (0..).map(|number: usize| {
        Body::Grant(Grant {
            channel: ChannelId(id(number % 80)),
            member: MemberId(id(number % 1_500)),
            granted: true,
        })
    });
    let lacking = STATEMENTS - 1 - rest.len();
    rest.extend(grants.take(lacking));
    let (root1, statements) = found(NETWORK, root, rest, NOW);
    let (mut entries, mut signatures) = (Vec::new(), Vec::new());
    for (number, statement) in statements.iter().enumerate() {
        let bytes = statement.encode();
        let tagged = [b"plenary statement v1\0", &bytes[..]].concat();
        let signers = (0..3).map(|offset| &board[(number + 2 * offset) % 7]);
        let signed: Vec<_> = signers
            .map(|key| {
                let signed = sign_as_board(&bytes, key);
                signatures.push((key.public(), tagged.clone(), signed.signature));
                signed
            })
            .collect();
        entries.push(SignedStatement::new(bytes, signed).encode());
    }
    Made {
        root1,
        entries,
        signatures,
    }
}

fn bare(made: &Made) {
    for (key, bytes, signature) in &made.signatures {
        signing::verify(key, bytes, signature).unwrap();
    }
}

fn whole(made: &Made) -> Ledger {
    let mut ledger = Ledger::new(NETWORK, made.root1);
    for entry in &made.entries {
        ledger.append(entry).unwrap();
    }
    assert_eq!(ledger.len(), STATEMENTS);
    ledger
}

fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn ledger(criterion: &mut Criterion) {
    let made = made();
    let mut group = criterion.benchmark_group("10,000 statements, 3 of 7");
    group.sample_size(10);
    group.bench_function("signatures alone", |run| run.iter(|| bare(&made)));
    group.bench_function("ledger", |run| run.iter(|| whole(&made)));
    group.finish();

    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let alone = timed(|| bare(&made));
            let all = timed(|| whole(&made));
            (all.as_secs_f64() / alone.as_secs_f64(), alone, all)
        })
        .collect();
    rounds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let (least, (ratio, alone, all), most) =
        (rounds[0].0, rounds[ROUNDS / 2], rounds[ROUNDS - 1].0);
    let bytes: usize = made.entries.iter().map(Vec::len).sum();
    println!(
        "{STATEMENTS} statements, {} signatures, {:.1} MB: signatures alone {alone:.2?}, ledger \
         {all:.2?}, ratio {ratio:.3} ({least:.3} to {most:.3}, {ROUNDS} rounds by turns)",
        made.signatures.len(),
        bytes as f64 / 1e6,
    );
}

criterion_group!(benches, ledger);

fn main() {
    benches();
    Criterion::default().configure_from_args().final_summary();
}
