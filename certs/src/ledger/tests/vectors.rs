//! The bytes of every kind, pinned, and any statement read back as written.

use plenary_proto::label::Label;
use proptest::prelude::*;

use super::super::{testing::*, *};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One statement of every kind, REVOKE and the like about a member and a device.
fn samples() -> Vec<(&'static str, Body)> {
    let (member, device_target) = (
        Target::Member(member_id(0x11)),
        Target::Device(device_id(0x22)),
    );
    let small_root = Root {
        board: vec![Person {
            member: member_id(0x11),
            key: PublicKey([0x44; 32]),
        }],
        thresholds: Thresholds::for_board(1),
        heartbeat: vec![PublicKey([0x55; 32])],
        recovery: Recovery {
            keys: vec![PublicKey([0x66; 32])],
            threshold: 1,
        },
    };
    let keys = DeviceKeys {
        authentication: PublicKey([0x01; 32]),
        mls: PublicKey([0x02; 32]),
        custody: PublicKey([0x03; 32]),
        sealing: vec![0x04; 3],
    };
    let of_device = |voucher| {
        Body::Device(DeviceBody {
            device: device_id(0x22),
            member: member_id(0x11),
            voucher,
            keys: keys.clone(),
        })
    };
    let admitted = |capacity, ends| {
        Body::Admit(Admit {
            member: member_id(0x11),
            capacity,
            ends,
            profile: Digest([0x77; 32]),
        })
    };
    vec![
        ("ROOT", Body::Root(small_root.clone())),
        ("ADMIT", admitted(Capacity::Member, None)),
        (
            "ADMIT expert",
            admitted(Capacity::Expert, Some(UnixMillis(1_900_000_000_000))),
        ),
        ("DEVICE by the Board", of_device(Voucher::Board)),
        (
            "DEVICE by a device",
            of_device(Voucher::Device(device_id(0x23))),
        ),
        (
            "REVOKE member",
            Body::Revoke(Revoke {
                target: member,
                reason: Reason::Left,
            }),
        ),
        (
            "REVOKE device",
            Body::Revoke(Revoke {
                target: device_target,
                reason: Reason::Lost,
            }),
        ),
        (
            "SUSPEND",
            Body::Suspend(Suspend {
                target: member,
                reason: Reason::Misuse,
            }),
        ),
        (
            "RESUME",
            Body::Resume(Resume {
                target: device_target,
            }),
        ),
        (
            "CHANNEL",
            Body::Channel(ChannelBody {
                channel: channel_id(0x33),
                rule: EntryRule::Open,
                ceiling: Label::AmberStrict,
                owner: member_id(0x11),
                profile: Digest([0x88; 32]),
            }),
        ),
        (
            "GRANT",
            Body::Grant(Grant {
                channel: channel_id(0x33),
                member: member_id(0x11),
                granted: true,
            }),
        ),
        ("POLICY", Body::Policy(Policy::default())),
        (
            "SERVER",
            Body::Server(Server {
                key: PublicKey([0x99; 32]),
            }),
        ),
        (
            "RECOVER",
            Body::Recover(Recover {
                step: RecoverStep::Announce,
                root: small_root,
            }),
        ),
    ]
}

fn statement(body: Body) -> Statement {
    Statement {
        network: NETWORK,
        root_version: 1,
        version: if body.kind() == Kind::Revoke { 0 } else { 1 },
        body,
        time: NOW,
    }
}

const VECTORS: &str = include_str!("statements.hex");

#[test]
fn bytes_are_as_pinned() {
    let found: Vec<_> = samples()
        .into_iter()
        .map(|(name, body)| (name, statement(body)))
        .collect();
    let lines: Vec<_> = found
        .iter()
        .map(|(name, statement)| format!("{name}: {}", hex(&statement.encode())))
        .collect();
    let pinned: Vec<_> = VECTORS.lines().collect();
    assert_eq!(lines, pinned, "{lines:#?}");
    for (name, statement) in found {
        assert_eq!(
            Statement::decode(&statement.encode()),
            Ok(statement),
            "{name}"
        );
    }
}

#[test]
fn hashes_and_signed_form_are_as_pinned() {
    let bytes = statement(Body::Server(Server {
        key: PublicKey([0x99; 32]),
    }))
    .encode();
    let signed = SignedStatement::new(bytes.clone(), vec![sign_as_board(&bytes, &board_key(0))]);
    let entry = entry_hash(NETWORK, LedgerSeq(1), &Digest([0; 32]), &signed.encode());
    let got = [
        statement_id(&bytes).to_string(),
        root1_hash(&bytes).to_string(),
        entry.to_string(),
        hex(&signed.encode()[bytes.len()..]),
    ];
    assert_eq!(got, HASHES, "{got:#?}");
}

const HASHES: [&str; 4] = [
    "4ade4adc7f2a239f561ae59a16602761f0002fceaa1611186f7b945c18ad503b",
    "5fa9fca173dd5f75112a90add3bf991771b6efd2b2531aea2acf1185ecda016b",
    "05302bace954435986d361d79fce3c8dc39a403b9fc7dcd2413176fa5bf2e213",
    "5c5000818282015820307b3bad651dcbd7741d4dabd2154d874b8ae7d5e1d14001541fcdba121eaec75840d678ab2054ed1d1f3fb664958beaa42f89764aeda0e6e2bc1239f5961e1e93dd879db66c9e2ce90ee737656ec1f719dd541be73ba7f4152c185f72679eed750f",
];

#[test]
fn a_revocation_by_a_device_is_as_pinned() {
    let bytes = statement(revoke(Target::Device(device_id(0x22)))).encode();
    let by = device_id(0x23);
    let signature = sign_as_device(&bytes, by, &authentication_key(0x23));
    let signed = SignedStatement::new(bytes, vec![signature]);
    assert_eq!(hex(&signed.encode()), PUT_OUT);
}

const PUT_OUT: &str = "8258338750aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa0104820250222222222222222222222222222222220081021b000001a3185c500081828202502323232323232323232323232323232358404a0d1bae72546eb24f768680220fe182720acbebe10e129bf7acf65a1eabe7f2c38855e2f0f08969e32fdccb5327c00f7653fcffd92f8e17385f2e94df7f5b03";

#[test]
fn what_no_one_has_defined_is_refused() {
    let good = statement(admit(1)).encode();
    // Kind and subject lie after network (17) and root version (1), behind the array header.
    let (kind, subject) = (19, 21);
    assert_eq!((good[kind], good[subject]), (2, 1));
    for (at, byte, what) in [
        (kind, 12, "kind"),
        (kind, 0, "kind"),
        (kind, 7, "cannot be about"),
        (subject, 5, "subject"),
        (subject, 2, "cannot be about"),
    ] {
        let mut bytes = good.clone();
        bytes[at] = byte;
        let refused = Statement::decode(&bytes).unwrap_err().to_string();
        assert!(refused.contains(what), "{refused}");
    }
}

fn ids() -> impl Strategy<Value = u8> {
    any::<u8>()
}

prop_compose! {
    fn roots()(
        board in prop::collection::vec((any::<u8>(), any::<[u8; 32]>()), 0..5),
        thresholds in any::<[u8; 10]>(),
        heartbeat in prop::collection::vec(any::<[u8; 32]>(), 0..3),
        recovery in (prop::collection::vec(any::<[u8; 32]>(), 0..3), any::<u8>()),
    ) -> Root {
        let [root, policy, server, admit, device, channel, grant, revoke, resume, suspend] = thresholds;
        Root {
            board: board
                .into_iter()
                .map(|(n, key)| Person { member: member_id(n), key: PublicKey(key) })
                .collect(),
            thresholds: Thresholds {
                root, policy, server, admit, device, channel, grant, revoke, resume, suspend,
            },
            heartbeat: heartbeat.into_iter().map(PublicKey).collect(),
            recovery: Recovery {
                keys: recovery.0.into_iter().map(PublicKey).collect(),
                threshold: recovery.1,
            },
        }
    }
}

fn targets() -> impl Strategy<Value = Target> {
    (ids(), any::<bool>()).prop_map(|(n, member)| match member {
        true => Target::Member(member_id(n)),
        false => Target::Device(device_id(n)),
    })
}

fn reasons() -> impl Strategy<Value = Reason> {
    prop::sample::select(vec![
        Reason::Left,
        Reason::Lost,
        Reason::Compromised,
        Reason::Replaced,
        Reason::Misuse,
        Reason::Unstated,
    ])
}

fn bodies() -> impl Strategy<Value = Body> {
    let capacities = vec![Capacity::Member, Capacity::Expert, Capacity::Observer];
    let rules = vec![EntryRule::Open, EntryRule::Granted];
    let steps = vec![RecoverStep::Announce, RecoverStep::Complete];
    prop_oneof![
        roots().prop_map(Body::Root),
        (
            ids(),
            prop::sample::select(capacities),
            any::<Option<u64>>(),
            any::<[u8; 32]>()
        )
            .prop_map(|(n, capacity, ends, profile)| Body::Admit(Admit {
                member: member_id(n),
                capacity,
                ends: ends.map(UnixMillis),
                profile: Digest(profile),
            })),
        (
            ids(),
            ids(),
            any::<Option<u8>>(),
            any::<[[u8; 32]; 3]>(),
            prop::collection::vec(any::<u8>(), 1..1300)
        )
            .prop_map(
                |(n, member, voucher, keys, sealing)| Body::Device(DeviceBody {
                    device: device_id(n),
                    member: member_id(member),
                    voucher: voucher.map_or(Voucher::Board, |n| Voucher::Device(device_id(n))),
                    keys: DeviceKeys {
                        authentication: PublicKey(keys[0]),
                        mls: PublicKey(keys[1]),
                        custody: PublicKey(keys[2]),
                        sealing,
                    },
                })
            ),
        (targets(), reasons()).prop_map(|(target, reason)| Body::Revoke(Revoke { target, reason })),
        (targets(), reasons())
            .prop_map(|(target, reason)| Body::Suspend(Suspend { target, reason })),
        targets().prop_map(|target| Body::Resume(Resume { target })),
        (
            ids(),
            ids(),
            prop::sample::select(rules),
            prop::sample::select(Label::ALL.to_vec()),
            any::<[u8; 32]>()
        )
            .prop_map(
                |(n, owner, rule, ceiling, profile)| Body::Channel(ChannelBody {
                    channel: channel_id(n),
                    rule,
                    ceiling,
                    owner: member_id(owner),
                    profile: Digest(profile),
                })
            ),
        (ids(), ids(), any::<bool>()).prop_map(|(n, member, granted)| Body::Grant(Grant {
            channel: channel_id(n),
            member: member_id(member),
            granted,
        })),
        any::<[u16; 5]>().prop_map(
            |[
                suite,
                retention_days,
                idle_days,
                heartbeat_grace_days,
                revalidation_days,
            ]| {
                Body::Policy(Policy {
                    suite,
                    retention_days,
                    idle_days,
                    heartbeat_grace_days,
                    revalidation_days,
                })
            }
        ),
        any::<[u8; 32]>().prop_map(|key| Body::Server(Server {
            key: PublicKey(key)
        })),
        (prop::sample::select(steps), roots())
            .prop_map(|(step, root)| Body::Recover(Recover { step, root })),
    ]
}

proptest! {
    #[test]
    fn any_statement_is_read_back_as_written(
        body in bodies(), root_version: u32, version: u32, time: u64,
    ) {
        let statement = Statement { network: NETWORK, root_version, version, body, time: UnixMillis(time) };
        let bytes = statement.encode();
        prop_assert_eq!(Statement::decode(&bytes), Ok(statement));
        prop_assert!(Statement::decode(&bytes[..bytes.len() - 1]).is_err());
        prop_assert!(Statement::decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}
