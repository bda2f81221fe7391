//! Leases: what is refused, what goes and when, what stays; counted anew and kept in step alike.

use bytes::Bytes;
use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_proto::{
    ids::{ChannelId, Digest, ItemId, UnixMillis},
    reply::Reply,
    request::{ItemTerms, Request, Right},
};
use proptest::prelude::*;

use super::*;
use crate::{config::Config, error::OpError, fixture::*, session::Caller};

const BYTES: &[u8] = b"sealed bytes";
const SIZE: u64 = BYTES.len() as u64;
const DIRECT: ChannelId = ChannelId([101; 16]);

fn item(n: u8) -> ItemId {
    ItemId([n; 16])
}

/// 1, 10 and 11 in the open channel.
fn rig_with(config: Config) -> Rig {
    let rig = Rig::with(config);
    rig.open_channel(OPEN, &mut rig.peer(1));
    rig.enter(OPEN, &mut rig.peer(10));
    rig.enter(OPEN, &mut rig.peer(11));
    rig
}

fn rig() -> Rig {
    rig_with(Config::default())
}

fn reserve(
    rig: &Rig,
    n: u8,
    id: u8,
    terms: ItemTerms,
    now: UnixMillis,
) -> Result<(Caller, Reply), OpError> {
    let token = rig.call_at(
        &chat(n),
        Request::ItemToken {
            item: item(id),
            channel: OPEN,
            right: Right::Put { size: SIZE },
        },
        now,
    )?;
    let Reply::Token(token) = token else {
        panic!("{token:?}")
    };
    let line = bulk(n);
    let reserve = Request::ItemReserve {
        token,
        size: SIZE,
        chunk: 64,
        terms,
    };
    let state = rig.call_at(&line, reserve, now)?;
    Ok((line, state))
}

fn root() -> Digest {
    let mut root = ItemRoot::new(SIZE, 64);
    root.push(&chunk_hash(BYTES));
    root.finish()
}

/// Member n puts up an item.
fn put(rig: &Rig, n: u8, id: u8, terms: ItemTerms, now: UnixMillis) -> Result<(), OpError> {
    let (line, _) = reserve(rig, n, id, terms, now)?;
    let put = Request::ItemPut {
        item: item(id),
        index: 0,
        bytes: Bytes::from_static(BYTES),
    };
    rig.call_at(&line, put, now)?;
    let commit = Request::ItemCommit {
        item: item(id),
        root: root(),
    };
    rig.call_at(&line, commit, now).map(drop)
}

fn get(rig: &Rig, n: u8, id: u8, channel: ChannelId, now: UnixMillis) -> Result<(), OpError> {
    let right = Right::Get;
    let item = item(id);
    let token = Request::ItemToken {
        item,
        channel,
        right,
    };
    let Reply::Token(token) = rig.call_at(&chat(n), token, now)? else {
        panic!("no token")
    };
    let get = Request::ItemGet {
        token,
        offset: 0,
        length: 100,
    };
    let got = rig.call_at(&bulk(n), get, now)?;
    assert!(matches!(got, Reply::ItemRange { bytes, .. } if bytes == BYTES));
    Ok(())
}

fn collected(rig: &Rig, n: u8, id: u8) -> Result<(), OpError> {
    let request = Request::ItemCollected {
        item: item(id),
        channel: OPEN,
    };
    rig.ask(n, request).map(drop)
}

fn keep(
    rig: &Rig,
    n: u8,
    id: u8,
    until: Option<UnixMillis>,
    hold: Option<bool>,
) -> Result<(), OpError> {
    let request = Request::ItemKeep {
        item: item(id),
        channel: OPEN,
        keep_until: until,
        hold,
    };
    rig.ask(n, request).map(drop)
}

fn lease(rig: &Rig, n: u8, id: u8) -> plenary_proto::reply::ItemLease {
    let request = Request::ItemLease {
        item: item(id),
        channel: OPEN,
    };
    match rig.ask(n, request) {
        Ok(Reply::ItemLease(lease)) => lease,
        other => panic!("{other:?}"),
    }
}

fn sweep(rig: &Rig, days: u64) -> Swept {
    let swept = done(rig.network.sweep_items(NOW.plus(days * DAY))).unwrap();
    // What was kept in step is what a restart counts.
    let before = done(rig.network.item_usage());
    done(rig.network.load_leases()).unwrap();
    assert_eq!(done(rig.network.item_usage()), before);
    swept
}

#[track_caller]
#[allow(
    clippy::needless_pass_by_value,
    reason = "the call reads as a sentence"
)]
fn gone(result: Result<(), OpError>, why: Ended) {
    assert_eq!(result, Err(OpError::NotFound(why.why())));
}

#[test]
fn an_item_goes_when_its_time_is_over() {
    let rig = rig();
    let until = |days| ItemTerms {
        keep_until: Some(NOW.plus(days * DAY)),
        ..ItemTerms::default()
    };
    put(&rig, 10, 1, ItemTerms::default(), NOW).unwrap();
    put(&rig, 10, 2, until(5), NOW).unwrap();
    put(&rig, 10, 3, until(1_000_000), NOW).unwrap();
    assert_eq!(lease(&rig, 1, 3).keep_until, NOW.plus(3_650 * DAY));
    assert_eq!(sweep(&rig, 4), Swept::default());
    assert_eq!(sweep(&rig, 5).expired, 1);
    gone(get(&rig, 1, 2, OPEN, NOW), Ended::Expired);
    assert_eq!(sweep(&rig, 90).expired, 1);
    assert_eq!(get(&rig, 1, 3, OPEN, NOW), Ok(()));
    // The sender may prolong what is there, not what is gone; others neither.
    let later = Some(NOW.plus(200 * DAY));
    assert!(matches!(
        keep(&rig, 1, 3, later, None),
        Err(OpError::NotAllowed(_))
    ));
    gone(keep(&rig, 10, 1, later, None), Ended::Expired);
    keep(&rig, 10, 3, later, None).unwrap();
    // Why it is gone is known for a while.
    assert_eq!(sweep(&rig, 181), Swept::default());
    let forgotten = get(&rig, 1, 1, OPEN, NOW);
    assert_eq!(forgotten, Err(OpError::NotFound("there is no such item")));
    assert_eq!(sweep(&rig, 200).expired, 1);
    assert_eq!(done(rig.network.item_usage()), Usage::default());
}

#[test]
fn nothing_removes_what_is_held() {
    let rig = rig();
    put(&rig, 10, 1, ItemTerms::default(), NOW).unwrap();
    put(&rig, 10, 2, ItemTerms::default(), NOW).unwrap();
    assert!(matches!(
        keep(&rig, 11, 1, None, Some(true)),
        Err(OpError::NotAllowed(_))
    ));
    keep(&rig, 10, 1, None, Some(true)).unwrap();
    done(rig.network.hold_item(item(2), true)).unwrap();
    assert_eq!(done(rig.network.item_usage()).held, 2);
    assert_eq!(sweep(&rig, 10_000), Swept::default());
    // The operator's hold stops its sender; the sender's own does not.
    let withdraw = |id| {
        let (item, channel) = (item(id), OPEN);
        rig.ask(10, Request::ItemWithdraw { item, channel })
    };
    assert!(matches!(withdraw(2), Err(OpError::NotAllowed(_))));
    assert_eq!(withdraw(1), Ok(Reply::Done));
    gone(get(&rig, 1, 1, OPEN, NOW), Ended::Withdrawn);
    done(rig.network.hold_item(item(2), false)).unwrap();
    assert_eq!(withdraw(2), Ok(Reply::Done));
    let refused = done(rig.network.hold_item(item(2), true));
    gone(refused, Ended::Withdrawn);
}

#[test]
fn an_item_goes_when_all_it_is_for_have_it() {
    let rig = rig();
    let wanted = ItemTerms {
        wanted: vec![member_id(1), member_id(11)],
        ..ItemTerms::default()
    };
    let cap = ItemTerms {
        collectors: 1,
        ..ItemTerms::default()
    };
    put(&rig, 10, 1, wanted, NOW).unwrap();
    put(&rig, 10, 2, cap, NOW).unwrap();
    put(&rig, 10, 3, ItemTerms::default(), NOW).unwrap();
    for id in 1..=3 {
        // The sender's own word counts nothing.
        collected(&rig, 10, id).unwrap();
    }
    assert_eq!(sweep(&rig, 0), Swept::default());
    assert!(collected(&rig, 12, 1).is_err(), "not in the channel");
    for id in 1..=3 {
        collected(&rig, 11, id).unwrap();
        collected(&rig, 11, id).unwrap();
    }
    assert_eq!(lease(&rig, 10, 1).collected, [member_id(11)]);
    assert_eq!(sweep(&rig, 0).collected, 1);
    gone(get(&rig, 1, 2, OPEN, NOW), Ended::Collected);
    assert_eq!(get(&rig, 1, 1, OPEN, NOW), Ok(()));
    collected(&rig, 1, 1).unwrap();
    assert_eq!(sweep(&rig, 0).collected, 1);
    gone(get(&rig, 1, 1, OPEN, NOW), Ended::Collected);
    assert_eq!(get(&rig, 1, 3, OPEN, NOW), Ok(()));
}

#[test]
fn a_forward_lets_another_channel_fetch() {
    let rig = rig();
    put(&rig, 10, 1, ItemTerms::default(), NOW).unwrap();
    rig.open_channel(DIRECT, &mut rig.peer(11));
    let share = |n, channel, to| {
        let item = item(1);
        rig.ask(n, Request::ItemShare { item, channel, to })
    };
    let refused = |result| assert!(matches!(result, Err(OpError::NotAllowed(_))), "{result:?}");
    assert!(get(&rig, 11, 1, DIRECT, NOW).is_err());
    // Not in the one, not in the other, not handed over there.
    refused(share(12, OPEN, DIRECT));
    refused(share(1, OPEN, DIRECT));
    refused(share(11, DIRECT, OPEN));
    for _ in 0..2 {
        assert_eq!(share(11, OPEN, DIRECT), Ok(Reply::Done));
    }
    assert_eq!(get(&rig, 11, 1, DIRECT, NOW), Ok(()));
    // It goes once, for both.
    assert_eq!(sweep(&rig, 90).expired, 1);
    gone(get(&rig, 11, 1, DIRECT, NOW), Ended::Expired);
}

#[test]
fn what_is_over_a_quota_is_refused_with_what_is_left() {
    let rig = rig_with(Config {
        member_bytes: 2 * SIZE + 5,
        total_bytes: 4 * SIZE,
        ..Config::default()
    });
    let terms = ItemTerms::default;
    let refused = |n, id, whose: &str, left: u64| {
        let error = reserve(&rig, n, id, terms(), NOW).map(drop).unwrap_err();
        let OpError::Quota(why) = &error else {
            panic!("{error:?}")
        };
        assert!(
            why.contains(whose) && why.contains(&format!("{left} are left")),
            "{why}"
        );
        assert_eq!(done(rig.network.items.status(item(id))), Ok(None));
    };
    put(&rig, 10, 1, terms(), NOW).unwrap();
    reserve(&rig, 10, 2, terms(), NOW).unwrap();
    refused(10, 3, "a member", 5);
    // What is there already is not counted twice.
    reserve(&rig, 10, 2, terms(), NOW).unwrap();
    put(&rig, 1, 4, terms(), NOW).unwrap();
    put(&rig, 1, 5, terms(), NOW).unwrap();
    refused(11, 6, "the network", 0);
    let usage = |n| rig.ask(n, Request::ItemUsage);
    let told = |used| {
        Ok(Reply::ItemUsage {
            used,
            quota: 2 * SIZE + 5,
            largest: 64 << 30,
        })
    };
    assert_eq!(usage(10), told(2 * SIZE));
    assert_eq!(usage(11), told(0));
    // An upload that nobody completes gives its room back, and says so to who comes back to it.
    assert_eq!(sweep(&rig, 15).abandoned, 1);
    gone(
        reserve(&rig, 10, 2, terms(), NOW).map(drop),
        Ended::Abandoned,
    );
    put(&rig, 11, 6, terms(), NOW).unwrap();
    let many = ItemTerms {
        wanted: vec![member_id(1); 1_001],
        ..terms()
    };
    let error = reserve(&rig, 11, 7, many, NOW).map(drop).unwrap_err();
    assert!(matches!(error, OpError::TooLarge { .. }));
}

#[test]
fn what_belongs_to_nobody_goes_and_what_is_missing_is_told() {
    let rig = rig();
    put(&rig, 10, 1, ItemTerms::default(), NOW).unwrap();
    // Bytes that no lease knows.
    let orphan = crate::items::Reservation {
        item: item(9),
        channel: OPEN,
        device: device_id(10),
        size: SIZE,
        chunk: 64,
        time: NOW,
    };
    done(rig.network.items.reserve(orphan)).unwrap();
    assert_eq!(sweep(&rig, 1), Swept::default());
    let swept = done(rig.network.sweep_items(NOW.plus(DAY + 1))).unwrap();
    assert_eq!(swept.orphans, 1);
    assert_eq!(done(rig.network.items.status(item(9))), Ok(None));
    done(rig.network.items.remove(item(1))).unwrap();
    assert_eq!(sweep(&rig, 1).missing, [item(1)]);
    // The lease stays: a backup may bring it back.
    let error = reserve(&rig, 10, 1, ItemTerms::default(), NOW)
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, OpError::Internal(_)));
}

#[test]
fn a_scrub_passes_every_kept_item_once() {
    let rig = rig();
    for id in [3, 1, 2, 5] {
        put(&rig, 10, id, ItemTerms::default(), NOW).unwrap();
    }
    reserve(&rig, 10, 4, ItemTerms::default(), NOW).unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    while let Some((item, size, damaged)) = done(rig.network.scrub_next(after)).unwrap() {
        assert_eq!((size, damaged), (SIZE, None));
        seen.push(item.0[0]);
        after = Some(item);
    }
    assert_eq!(seen, [1, 2, 3, 5]);
}

fn members() -> impl Strategy<Value = Vec<MemberId>> {
    proptest::collection::vec(any::<u8>().prop_map(member_id), 0..5)
}

fn state() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Reserved),
        Just(State::Kept),
        (
            proptest::sample::select(vec![
                Ended::Abandoned,
                Ended::Expired,
                Ended::Collected,
                Ended::Withdrawn
            ]),
            any::<u64>()
        )
            .prop_map(|(why, time)| State::Ended {
                why,
                time: UnixMillis(time)
            })
    ]
}

proptest! {
    #[test]
    fn leases_come_back_from_the_store(
        state in state(),
        wanted in members(),
        collected in members(),
        held in any::<(bool, bool)>(),
        numbers in any::<(u64, u32, u64, u64, u32)>(),
        cut in 0usize..40,
    ) {
        let lease = Lease {
            item: item(1),
            device: device_id(2),
            member: member_id(3),
            channels: vec![OPEN, DIRECT],
            size: numbers.0,
            chunk: numbers.1,
            reserved: UnixMillis(numbers.2),
            state,
            keep_until: UnixMillis(numbers.3),
            wanted,
            collectors: numbers.4,
            collected,
            held_by_sender: held.0,
            held_by_operator: held.1,
        };
        let bytes = lease.encode().unwrap();
        prop_assert_eq!(Lease::decode(&bytes), Ok(lease));
        prop_assert!(Lease::decode(&bytes[..bytes.len() - 1 - cut]).is_err());
    }
}
