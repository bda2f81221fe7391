//! PutKeyPackages, ClaimKeyPackages.

use bytes::Bytes;
use plenary_certs::ledger::EntryRule;
use plenary_proto::{
    ids::{ChannelId, UnixMillis},
    limits,
    reply::{Push, Reply},
    request::Request,
};

use crate::{config::Config, error::OpError, fixture::*};

const DIRECT: ChannelId = ChannelId([101; 16]);

fn put(rig: &Rig, n: u8, packages: Vec<Bytes>, last_resort: Option<Bytes>) -> Result<u32, OpError> {
    let request = Request::PutKeyPackages {
        packages,
        last_resort,
    };
    match rig.ask(n, request)? {
        Reply::Count(count) => Ok(count),
        other => panic!("{other:?}"),
    }
}

fn claim_at(
    rig: &Rig,
    n: u8,
    channel: ChannelId,
    devices: &[u8],
    now: UnixMillis,
) -> Result<Vec<Option<Bytes>>, OpError> {
    let request = Request::ClaimKeyPackages {
        channel,
        devices: devices.iter().copied().map(device_id).collect(),
    };
    match rig.call_at(&chat(n), request, now)? {
        Reply::KeyPackageList(packages) => {
            Ok(packages.into_iter().map(|(_, package)| package).collect())
        }
        other => panic!("{other:?}"),
    }
}

fn claim(rig: &Rig, n: u8, devices: &[u8]) -> Result<Vec<Option<Bytes>>, OpError> {
    claim_at(rig, n, DIRECT, devices, NOW)
}

/// Member 10's direct channel.
fn direct() -> Rig {
    let rig = Rig::new();
    let mut owner = rig.peer(10);
    rig.open_channel(DIRECT, &mut owner);
    rig
}

#[test]
fn each_is_handed_out_once_and_the_last_resort_for_ever() {
    let rig = direct();
    let peer = rig.peer(11);
    let packages: Vec<_> = (0..9).map(|_| peer.key_package()).collect();
    let last = peer.key_package();
    assert_eq!(put(&rig, 11, packages.clone(), Some(last.clone())), Ok(9));
    rig.hub.heard();
    for (n, package) in packages.iter().enumerate() {
        assert_eq!(claim(&rig, 10, &[11]), Ok(vec![Some(package.clone())]));
        let told = rig.hub.heard();
        match 8 - n as u32 {
            8 => assert_eq!(told, []),
            left => assert_eq!(
                told,
                [Heard::Device(device_id(11), Push::KeyPackages(left))]
            ),
        }
    }
    for _ in 0..2 {
        assert_eq!(
            claim(&rig, 10, &[11, 12]),
            Ok(vec![Some(last.clone()), None])
        );
    }
}

#[test]
fn only_for_whoever_may_add_them() {
    let rig = direct();
    put(&rig, 11, vec![rig.peer(11).key_package()], None).unwrap();
    let refused = |result: Result<_, OpError>| {
        assert!(matches!(result, Err(OpError::NotAllowed(_))), "{result:?}");
    };
    refused(claim(&rig, 12, &[11]));
    refused(claim_at(&rig, 10, OPEN, &[11], NOW));
    // In the channel, but not its owner, and no grant: 1 adds 2 to the granted channel.
    let (mut owner, mut second) = (rig.peer(1), rig.peer(2));
    rig.open_channel(GRANTED, &mut owner);
    let adds = owner.commit(&[(2, second.key_package())], &[]);
    rig.commit(GRANTED, 1, &adds).unwrap();
    let tree = rig.group_state(1, GRANTED).unwrap().1;
    second.join(&adds.welcomes[0].1, &tree);
    refused(claim_at(&rig, 2, GRANTED, &[11], NOW));
    assert!(
        claim_at(&rig, 2, GRANTED, &[10], NOW).is_ok(),
        "10 has a grant"
    );
    rig.say(channel(GRANTED, EntryRule::Granted, 2));
    assert!(claim_at(&rig, 2, GRANTED, &[11], NOW).is_ok());
    // Nobody adds who is out.
    rig.say(revoke(12));
    refused(claim(&rig, 10, &[12]));
    assert!(matches!(
        claim(&rig, 10, &[13, 13]),
        Err(OpError::Malformed(_))
    ));
}

#[test]
fn only_usable_ones_of_the_device_itself_are_taken() {
    let rig = direct();
    let own = rig.peer(11).key_package();
    for bad in [
        rig.peer(12).key_package(),
        Bytes::from_static(b"no key package"),
        own.slice(..own.len() - 1),
    ] {
        let result = put(&rig, 11, vec![own.clone(), bad.clone()], None);
        assert!(matches!(result, Err(OpError::Invalid(_))), "{result:?}");
        let result = put(&rig, 11, vec![], Some(bad));
        assert!(matches!(result, Err(OpError::Invalid(_))), "{result:?}");
    }
    let huge = Bytes::from(vec![0; 9 * 1024]);
    assert!(matches!(
        put(&rig, 11, vec![huge], None),
        Err(OpError::TooLarge { .. })
    ));
    assert_eq!(put(&rig, 11, vec![], None), Ok(0));
    let full = vec![own.clone(); limits::KEY_PACKAGES];
    assert_eq!(put(&rig, 11, full, None), Ok(limits::KEY_PACKAGES as u32));
    assert!(matches!(
        put(&rig, 11, vec![own], None),
        Err(OpError::TooLarge { .. })
    ));
}

#[test]
fn those_past_their_life_are_passed_over() {
    let rig = direct();
    let packages = vec![rig.peer(11).key_package(), rig.peer(11).key_package()];
    put(&rig, 11, packages, None).unwrap();
    assert!(claim_at(&rig, 10, DIRECT, &[11], NOW.plus(60 * DAY - 1)).unwrap()[0].is_some());
    assert_eq!(
        claim_at(&rig, 10, DIRECT, &[11], NOW.plus(60 * DAY)),
        Ok(vec![None])
    );
}

#[test]
fn claims_have_a_rate() {
    let config = Config {
        claims_per_minute: 2,
        ..Config::default()
    };
    let rig = Rig::over(direct().store, config).unwrap();
    assert!(claim(&rig, 10, &[11, 12]).is_ok());
    assert_eq!(
        claim(&rig, 10, &[11]),
        Err(OpError::RateLimited {
            what: "key packages",
            retry_after_ms: 30_000
        })
    );
    assert!(claim_at(&rig, 10, DIRECT, &[11], NOW.plus(30_000)).is_ok());
}

#[test]
fn putting_them_up_has_a_rate_and_an_honest_device_never_meets_it() {
    let rig = direct();
    let peer = rig.peer(11);
    let all: Vec<_> = (0..limits::KEY_PACKAGES)
        .map(|_| peer.key_package())
        .collect();
    let last = Some(peer.key_package());
    // All of them, all handed out at once, and all of them again.
    let kept = limits::KEY_PACKAGES as u32;
    assert_eq!(put(&rig, 11, all.clone(), last.clone()), Ok(kept));
    for _ in 0..limits::KEY_PACKAGES {
        claim(&rig, 10, &[11]).unwrap();
    }
    assert_eq!(put(&rig, 11, all, last.clone()), Ok(kept));
    // Then even what costs no room: each is verified, and written.
    for (packages, last) in [(vec![], last), (vec![], None)] {
        assert_eq!(
            put(&rig, 11, packages, last),
            Err(OpError::RateLimited {
                what: "key packages put up",
                retry_after_ms: 910
            })
        );
    }
    assert_eq!(put(&rig, 12, vec![], None), Ok(0), "another's rate");
    let later = rig.call_at(
        &chat(11),
        Request::PutKeyPackages {
            packages: vec![],
            last_resort: None,
        },
        NOW.plus(910),
    );
    assert_eq!(later, Ok(Reply::Count(kept)));
}
