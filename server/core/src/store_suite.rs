//! The suite every engine passes: what [`Store`] promises, checked from outside.
//!
//! Each check takes an empty store. [`store_suite!`](crate::store_suite!) makes one `#[test]` of each.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, exported: a broken promise must fail them"
)]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use plenary_proto::ids::{
    ChannelHead, ChannelId, ClientId, DeviceId, Digest, Epoch, Seq, UnixMillis,
};

use crate::store::{
    Append, ChannelState, GroupState, Store, StoreError, Transition, Versioned, chain,
};

/// One `#[test]` a check: `store_suite!(block_on, new)`. `block_on` runs a future to its end;
/// `new` is an expression, evaluated inside that future, for something that dereferences to an
/// empty store.
#[macro_export]
macro_rules! store_suite {
    ($block_on:expr, $new:expr) => {
        $crate::store_suite!(@each $block_on, $new;
            founds_once, appends_densely, answers_a_repeat_with_the_first, takes_one_commit_an_epoch,
            commits_change_everything_at_once, reads_ranges, trims, keeps_welcomes_by_device,
            shares_a_tree_between_welcomes, counts_versions, lists_in_byte_order,
            begins_again_in_the_same_log, queues_are_first_in_first_out, keeps_what_is_large, keeps_what_is_empty,
            hints_in_order, refuses_unknown_channels, keeps_channels_apart);
    };
    (@each $block_on:expr, $new:expr; $($check:ident),* $(,)?) => {
        $(
            #[test]
            fn $check() {
                $block_on(async {
                    let store = $new;
                    $crate::store_suite::$check(&*store).await;
                });
            }
        )*
    };
}

/// A channel for tests, told apart by `n`.
pub fn channel_id(n: u8) -> ChannelId {
    ChannelId([n; 16])
}

/// A device for tests, told apart by `n`.
pub fn device_id(n: u8) -> DeviceId {
    DeviceId([n; 16])
}

/// A sender's mark for tests, told apart by `n`.
pub fn client_id(n: u64) -> ClientId {
    ClientId((u128::from(n) * 0x0001_0000_0000_0001).to_be_bytes())
}

/// A group whose three parts are `size` bytes each and differ by `mark` and from each other.
pub fn group(mark: u8, size: usize) -> GroupState {
    let part = |n: u8| {
        let mut bytes = vec![mark; size];
        if let Some(last) = bytes.last_mut() {
            *last = n;
        }
        Bytes::from(bytes)
    };
    GroupState {
        snapshot: part(1),
        group_info: part(2),
        tree: part(3),
    }
}

/// An application message by device `d` under mark `n`.
pub fn message(channel: ChannelId, d: u8, n: u64, epoch: u64, bytes: &[u8]) -> Append {
    Append {
        channel,
        device: device_id(d),
        client_id: client_id(n),
        time: UnixMillis(1_700_000_000_000 + n),
        epoch: Some(Epoch(epoch)),
        bytes: Bytes::copy_from_slice(bytes),
        transition: None,
    }
}

/// A commit by device `d` under mark `n`, out of epoch `from`.
pub fn commit(
    channel: ChannelId,
    d: u8,
    n: u64,
    from: u64,
    state: GroupState,
    welcomes: Vec<(DeviceId, Bytes)>,
) -> Append {
    Append {
        epoch: None,
        transition: Some(Transition {
            from: Epoch(from),
            to: Epoch(from + 1),
            state,
            welcomes,
        }),
        ..message(channel, d, n, from, b"a commit")
    }
}

/// A channel is founded once, empty, and then known.
pub async fn founds_once(store: &impl Store) {
    let channel = channel_id(1);
    assert_eq!(store.channel(channel).await, Ok(None));
    store.found(channel, Epoch(7), group(1, 10)).await.unwrap();
    let again = store.found(channel, Epoch(9), group(2, 10)).await;
    assert_eq!(again, Err(StoreError::ChannelExists));
    let expected = ChannelState {
        head: ChannelHead::EMPTY,
        trimmed: Seq(0),
        epoch: Epoch(7),
        group: group(1, 10),
    };
    assert_eq!(store.channel(channel).await, Ok(Some(expected)));
    assert_eq!(store.channels().await, Ok(vec![channel]));
    let empty = store.read(channel, Seq(0), 10, 1000).await;
    assert_eq!(empty, Ok((vec![], ChannelHead::EMPTY)));
}

/// Positions are dense from 1, the hash is the chain's, and what comes back is what went in.
pub async fn appends_densely(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    let mut hash = Digest([0; 32]);
    for n in 1..=20 {
        let append = message(channel, (n % 3) as u8, n, 0, format!("text {n}").as_bytes());
        hash = chain(
            &hash,
            channel,
            Seq(n),
            append.device,
            append.client_id,
            append.time,
            &append.bytes,
        );
        let appended = store.append(append).await.unwrap();
        let head = ChannelHead { seq: Seq(n), hash };
        assert_eq!((appended.head, appended.repeated), (head, false));
    }
    let (records, head) = store.read(channel, Seq(0), 100, 1 << 20).await.unwrap();
    assert_eq!((records.len(), head.hash), (20, hash));
    for (record, n) in records.iter().zip(1..) {
        let sent = message(channel, (n % 3) as u8, n, 0, format!("text {n}").as_bytes());
        assert_eq!(record.seq, Seq(n));
        assert_eq!(
            (record.device, record.client_id),
            (sent.device, sent.client_id)
        );
        assert_eq!((record.time, &record.bytes), (sent.time, &sent.bytes));
    }
    assert_eq!(records[19].hash, hash);
}

/// A repeat gets the first one's place, whatever else it carries; other devices' marks are other marks.
pub async fn answers_a_repeat_with_the_first(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    let first = store
        .append(message(channel, 1, 5, 0, b"once"))
        .await
        .unwrap();
    store
        .append(commit(channel, 2, 6, 0, group(2, 10), vec![]))
        .await
        .unwrap();
    // Same mark, other bytes, an epoch that is over: still the first one's answer.
    let repeat = store
        .append(message(channel, 1, 5, 0, b"again"))
        .await
        .unwrap();
    assert_eq!((repeat.head, repeat.repeated), (first.head, true));
    // A repeated commit is not applied twice either.
    let repeat = store
        .append(commit(channel, 2, 6, 0, group(9, 10), vec![]))
        .await
        .unwrap();
    assert!(repeat.repeated);
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!((state.epoch, state.group), (Epoch(1), group(2, 10)));

    let other = store.append(message(channel, 3, 5, 1, b"other")).await;
    assert_eq!(other.unwrap().head.seq, Seq(3));
    let (d, c) = (device_id(1), client_id(5));
    assert_eq!(store.find(channel, d, c).await, Ok(Some(first.head)));
    let unknown = store.find(channel, d, client_id(6)).await;
    assert_eq!(unknown, Ok(None));
}

/// The first commit out of an epoch wins; everything that names another epoch, or none, is refused.
pub async fn takes_one_commit_an_epoch(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(3), group(1, 10)).await.unwrap();
    let current = |epoch| {
        Err(StoreError::WrongEpoch {
            current: Epoch(epoch),
        })
    };
    let early = store.append(message(channel, 1, 1, 4, b"early")).await;
    assert_eq!(early, current(3));
    store
        .append(commit(channel, 1, 2, 3, group(2, 10), vec![]))
        .await
        .unwrap();
    let loser = commit(channel, 2, 3, 3, group(3, 10), vec![]);
    assert_eq!(store.append(loser).await, current(4));
    let late = store.append(message(channel, 2, 4, 3, b"late")).await;
    assert_eq!(late, current(4));
    let mut nowhere = message(channel, 2, 5, 4, b"nowhere");
    nowhere.epoch = None;
    assert_eq!(store.append(nowhere).await, current(4));
    let mut torn = commit(channel, 2, 6, 4, group(3, 10), vec![]);
    torn.epoch = Some(Epoch(5));
    assert_eq!(store.append(torn).await, current(4));
    // A refusal leaves no trace: neither a record nor a mark.
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!((state.head.seq, state.group), (Seq(1), group(2, 10)));
    for n in [1, 3, 4, 5, 6] {
        let mark = store.find(channel, device_id(2), client_id(n)).await;
        assert_eq!(mark, Ok(None));
    }
}

/// A commit moves record, head, epoch, group and welcomes together.
pub async fn commits_change_everything_at_once(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    for n in 0..5u8 {
        let welcomes = vec![(device_id(100 + n), Bytes::from(vec![n; 20]))];
        let append = commit(
            channel,
            1,
            u64::from(n),
            u64::from(n),
            group(50 + n, 30),
            welcomes,
        );
        let appended = store.append(append).await.unwrap();
        let state = store.channel(channel).await.unwrap().unwrap();
        let expected = ChannelState {
            head: appended.head,
            trimmed: Seq(0),
            epoch: Epoch(u64::from(n) + 1),
            group: group(50 + n, 30),
        };
        assert_eq!(state, expected);
        let waiting = store.welcomes(device_id(100 + n)).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!(
            (waiting[0].channel, waiting[0].head),
            (channel, appended.head)
        );
        assert_eq!(waiting[0].bytes, vec![n; 20]);
    }
}

/// A group that begins again does so at once and in the same log: positions, chain, marks and
/// waiting welcomes go on; only out of the epoch named, and then out of the first again.
pub async fn begins_again_in_the_same_log(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    let welcome = vec![(device_id(9), Bytes::from_static(b"welcome"))];
    store
        .append(commit(channel, 1, 1, 0, group(2, 300_000), welcome))
        .await
        .unwrap();
    let said = store.append(message(channel, 1, 2, 1, b"said")).await;
    let said = said.unwrap();
    let anew = |n, from, state| {
        let mut append = commit(channel, 2, n, from, state, vec![]);
        if let Some(transition) = &mut append.transition {
            transition.to = Epoch(0);
        }
        append
    };
    let early = store.append(anew(3, 0, group(9, 10))).await;
    assert_eq!(early, Err(StoreError::WrongEpoch { current: Epoch(1) }));
    let append = anew(3, 1, group(3, 20));
    let hash = chain(
        &said.head.hash,
        channel,
        Seq(3),
        append.device,
        append.client_id,
        append.time,
        &append.bytes,
    );
    let begun = store.append(append.clone()).await.unwrap();
    assert_eq!(begun.head, ChannelHead { seq: Seq(3), hash });
    assert_eq!(
        store.channel(channel).await,
        Ok(Some(ChannelState {
            head: begun.head,
            trimmed: Seq(0),
            epoch: Epoch(0),
            group: group(3, 20),
        }))
    );
    // A repeat is one; the old group takes nothing more, the new one goes on from its first epoch.
    assert!(store.append(append).await.unwrap().repeated);
    let late = store.append(message(channel, 1, 4, 1, b"late")).await;
    assert_eq!(late, Err(StoreError::WrongEpoch { current: Epoch(0) }));
    store
        .append(message(channel, 2, 5, 0, b"first words"))
        .await
        .unwrap();
    store
        .append(commit(channel, 2, 6, 0, group(4, 10), vec![]))
        .await
        .unwrap();
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!((state.head.seq, state.epoch), (Seq(5), Epoch(1)));
    let (records, _) = store.read(channel, Seq(0), 10, 1 << 20).await.unwrap();
    let seqs: Vec<u64> = records.iter().map(|record| record.seq.0).collect();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    let waiting = store.welcomes(device_id(9)).await.unwrap();
    assert_eq!(waiting[0].tree, group(2, 300_000).tree);
}

/// A range starts after the given position and ends at whichever limit comes first.
pub async fn reads_ranges(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    for n in 1..=10 {
        let text = vec![n as u8; 100];
        store
            .append(message(channel, 1, n, 0, &text))
            .await
            .unwrap();
    }
    for (after, limit, max_bytes, expected) in [
        (0, 100, 100_000, 1..11),
        (3, 2, 100_000, 4..6),
        (0, 100, 350, 1..4),
        (0, 100, 300, 1..4),
        (8, 100, 0, 9..10), // at least one
        (0, 0, 100_000, 1..1),
        (10, 5, 1000, 11..11),
        (99, 5, 1000, 100..100),
        (u64::MAX, 5, 1000, 0..0),
    ] {
        let (records, head) = store
            .read(channel, Seq(after), limit, max_bytes)
            .await
            .unwrap();
        let seqs: Vec<u64> = records.iter().map(|record| record.seq.0).collect();
        assert_eq!(seqs, expected.collect::<Vec<_>>(), "after {after}");
        assert_eq!(head.seq, Seq(10));
    }
}

/// Trimming is idempotent and monotone, takes the marks along, and never moves the head.
pub async fn trims(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    for n in 1..=10 {
        store
            .append(message(channel, 1, n, 0, b"text"))
            .await
            .unwrap();
    }
    let head = store.channel(channel).await.unwrap().unwrap().head;
    for through in [4, 4, 2, 0] {
        store.trim(channel, Seq(through)).await.unwrap();
        let state = store.channel(channel).await.unwrap().unwrap();
        assert_eq!((state.trimmed, state.head), (Seq(4), head));
    }
    let gone = store.read(channel, Seq(3), 10, 1000).await;
    assert_eq!(gone, Err(StoreError::Trimmed { trimmed: Seq(4) }));
    let (kept, _) = store.read(channel, Seq(4), 10, 1000).await.unwrap();
    assert_eq!(kept.first().map(|record| record.seq), Some(Seq(5)));
    let mark = store.find(channel, device_id(1), client_id(4)).await;
    assert_eq!(mark, Ok(None));
    let mark = store.find(channel, device_id(1), client_id(5)).await;
    assert_eq!(mark.unwrap().map(|head| head.seq), Some(Seq(5)));

    store.trim(channel, Seq(u64::MAX)).await.unwrap();
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!((state.trimmed, state.head), (Seq(10), head));
    // The log goes on where it was, and the chain with it.
    let next = message(channel, 1, 4, 0, b"text");
    let hash = chain(
        &head.hash,
        channel,
        Seq(11),
        next.device,
        next.client_id,
        next.time,
        &next.bytes,
    );
    let appended = store.append(next).await.unwrap();
    assert_eq!(
        (appended.head, appended.repeated),
        (ChannelHead { seq: Seq(11), hash }, false)
    );
    let (records, _) = store.read(channel, Seq(10), 10, 1000).await.unwrap();
    assert_eq!(records.len(), 1);
}

/// One welcome a device and channel; a newer one replaces it, and only its own seq forgets it.
pub async fn keeps_welcomes_by_device(store: &impl Store) {
    let (device, other) = (device_id(7), device_id(8));
    for n in [1, 2] {
        let channel = channel_id(n);
        store.found(channel, Epoch(0), group(n, 10)).await.unwrap();
        let welcomes = vec![
            (device, Bytes::from_static(b"old")),
            (other, Bytes::from_static(b"his")),
        ];
        store
            .append(commit(channel, 1, 1, 0, group(n, 11), welcomes))
            .await
            .unwrap();
    }
    let newer = vec![(device, Bytes::from_static(b"new"))];
    let append = commit(channel_id(1), 1, 2, 1, group(3, 12), newer);
    let newer = store.append(append).await.unwrap().head;

    let mut waiting = store.welcomes(device).await.unwrap();
    waiting.sort_by_key(|welcome| welcome.channel);
    assert_eq!(waiting.len(), 2);
    assert_eq!(
        (&waiting[0].bytes[..], waiting[0].head),
        (&b"new"[..], newer)
    );
    assert_eq!(waiting[0].tree, group(3, 12).tree);
    assert_eq!((&waiting[1].bytes[..]), (&b"old"[..]));
    assert_eq!(waiting[1].tree, group(2, 11).tree);

    store
        .drop_welcome(device, channel_id(1), Seq(1))
        .await
        .unwrap();
    assert_eq!(store.welcomes(device).await.unwrap().len(), 2);
    for _ in 0..2 {
        store
            .drop_welcome(device, channel_id(1), newer.seq)
            .await
            .unwrap();
        let waiting = store.welcomes(device).await.unwrap();
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].channel, channel_id(2));
    }
    assert_eq!(store.welcomes(other).await.unwrap().len(), 2);
}

/// Each welcome brings the tree of its own commit, however many share it and however far the
/// channel has gone since.
pub async fn shares_a_tree_between_welcomes(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    for (n, size) in [(0u8, 10), (1, 20_000), (2, 200_000)] {
        let welcomes = (0..4).map(|d| (device_id(10 * (n + 1) + d), Bytes::from(vec![d; 5])));
        let from = u64::from(n);
        let append = commit(
            channel,
            1,
            from,
            from,
            group(60 + n, size),
            welcomes.collect(),
        );
        store.append(append).await.unwrap();
    }
    for (n, size) in [(0u8, 10), (1, 20_000), (2, 200_000)] {
        for d in 0..4 {
            let device = device_id(10 * (n + 1) + d);
            let waiting = store.welcomes(device).await.unwrap();
            assert_eq!(waiting.len(), 1);
            assert_eq!(waiting[0].tree, group(60 + n, size).tree);
            assert_eq!(waiting[0].bytes, vec![d; 5]);
            let (channel, seq) = (waiting[0].channel, waiting[0].head.seq);
            store.drop_welcome(device, channel, seq).await.unwrap();
            assert_eq!(store.welcomes(device).await, Ok(vec![]));
        }
    }
    // The channel's own tree outlives the welcomes that shared it.
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!(state.group, group(62, 200_000));
}

/// A value changes only from the version that the caller saw.
pub async fn counts_versions(store: &impl Store) {
    let key = Bytes::from_static(b"a key");
    let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    let refused = |current| Err(StoreError::WrongVersion { current });
    assert_eq!(store.get(&key).await, Ok(None));
    assert_eq!(store.put_if(key.clone(), 1, value("x")).await, refused(0));
    assert_eq!(store.put_if(key.clone(), 0, None).await, Ok(0));
    assert_eq!(store.put_if(key.clone(), 0, value("one")).await, Ok(1));
    assert_eq!(store.put_if(key.clone(), 0, value("x")).await, refused(1));
    assert_eq!(store.put_if(key.clone(), 1, value("two")).await, Ok(2));
    let found = store.get(&key).await.unwrap().unwrap();
    assert_eq!((found.version, &found.value[..]), (2, &b"two"[..]));
    assert_eq!(store.put_if(key.clone(), 1, None).await, refused(2));
    assert_eq!(store.put_if(key.clone(), 2, None).await, Ok(0));
    assert_eq!(store.get(&key).await, Ok(None));
    assert_eq!(store.put_if(key.clone(), 0, value("anew")).await, Ok(1));
}

/// A listing is in byte order, within its prefix, after its mark, and no longer than asked.
pub async fn lists_in_byte_order(store: &impl Store) {
    let keys: [&[u8]; 9] = [
        b"",
        b"a",
        b"a\0",
        b"ab",
        b"ab\xff",
        b"ab\xff\xff",
        b"b",
        b"\xff",
        b"\xff\xff\x01",
    ];
    for key in keys.iter().rev() {
        let value = Some(Bytes::copy_from_slice(key));
        let put = store.put_if(Bytes::copy_from_slice(key), 0, value).await;
        assert_eq!(put, Ok(1));
    }
    type Case<'a> = (&'a [u8], Option<&'a [u8]>, u32, &'a [&'a [u8]]);
    let cases: [Case<'_>; 9] = [
        (b"", None, 100, &keys),
        (b"a", None, 100, &keys[1..6]),
        (b"ab\xff", None, 100, &keys[4..6]),
        (b"\xff", None, 100, &keys[7..]),
        (b"a", Some(b"a\0"), 100, &keys[3..6]),
        (b"a", Some(b""), 2, &keys[1..3]),
        (b"a", Some(b"b"), 100, &[]),
        (b"", Some(b"\xff\xff\x01"), 100, &[]),
        (b"", None, 0, &[]),
    ];
    for (prefix, after, limit, expected) in cases {
        let found = store.list(prefix, after, limit).await.unwrap();
        let value = |key: &&[u8]| {
            let value = Bytes::copy_from_slice(key);
            (value.clone(), Versioned { version: 1, value })
        };
        let expected: Vec<_> = expected.iter().map(value).collect();
        assert_eq!(found, expected, "{prefix:?} after {after:?}");
    }
}

/// A queue gives back in the order it took; queues whose names begin alike are not one.
pub async fn queues_are_first_in_first_out(store: &impl Store) {
    let names: [&'static [u8]; 4] = [b"", b"q", b"q\0", b"qq"];
    for round in 0..3u8 {
        for n in 0..5u8 {
            for (name, mark) in names.iter().zip(0..) {
                let value = Bytes::from(vec![round, n, mark]);
                store.push(Bytes::from_static(name), value).await.unwrap();
            }
        }
        for (name, mark) in names.iter().zip(0..) {
            for n in 0..5u8 {
                assert_eq!(store.queue_len(name).await, Ok(5 - u64::from(n)));
                let value = store.pop_one(Bytes::from_static(name)).await.unwrap();
                assert_eq!(value.unwrap(), vec![round, n, mark]);
            }
            assert_eq!(store.pop_one(Bytes::from_static(name)).await, Ok(None));
            assert_eq!(store.queue_len(name).await, Ok(0));
        }
    }
}

/// Sizes around and far above what engines keep beside the rows, in every place a value can lie.
pub async fn keeps_what_is_large(store: &impl Store) {
    let channel = channel_id(1);
    let sizes = [16_383, 16_384, 16_385, 65_536, 65_537, 1_300_000];
    store
        .found(channel, Epoch(0), group(1, 100_000))
        .await
        .unwrap();
    for (n, size) in (0u8..).zip(sizes) {
        let at = u64::from(n);
        let large = Bytes::from(vec![n; size]);
        let welcomes = vec![(device_id(n + 10), large.clone())];
        let mut append = commit(channel, 1, at, at, group(n + 2, size), welcomes);
        append.bytes = large.clone();
        store.append(append).await.unwrap();
        let state = store.channel(channel).await.unwrap().unwrap();
        assert_eq!(state.group, group(n + 2, size));
        let (records, _) = store.read(channel, Seq(at), 1, usize::MAX).await.unwrap();
        assert_eq!(records[0].bytes, large);
        let waiting = store.welcomes(device_id(n + 10)).await.unwrap();
        assert_eq!(waiting[0].bytes, large);
        // The same bytes twice, under two keys and in a queue: taking one away leaves the others.
        for key in [vec![b'k', n], vec![b'l', n]] {
            let put = store.put_if(key.into(), 0, Some(large.clone())).await;
            assert_eq!(put, Ok(1));
        }
        store
            .push(Bytes::from_static(b"q"), large.clone())
            .await
            .unwrap();
        let first = Bytes::from(vec![b'k', n]);
        assert_eq!(store.get(&first).await.unwrap().unwrap().value, large);
        assert_eq!(store.put_if(first.clone(), 1, None).await, Ok(0));
        let second = store.get(&[b'l', n]).await.unwrap().unwrap();
        assert_eq!(second.value, large);
        assert_eq!(
            store.list(b"l", None, 100).await.unwrap().len(),
            n as usize + 1
        );
    }
    for (n, size) in (0u8..).zip(sizes) {
        let value = store.pop_one(Bytes::from_static(b"q")).await.unwrap();
        assert_eq!(value.unwrap(), vec![n; size]);
    }
    store.trim(channel, Seq(5)).await.unwrap();
    let (records, _) = store.read(channel, Seq(5), 9, usize::MAX).await.unwrap();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].bytes, vec![5; 1_300_000]);
}

/// An empty value is a value.
pub async fn keeps_what_is_empty(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(0, 0)).await.unwrap();
    store.append(message(channel, 1, 1, 0, b"")).await.unwrap();
    let (records, _) = store.read(channel, Seq(0), 9, 0).await.unwrap();
    assert_eq!((records.len(), records[0].bytes.len()), (1, 0));
    let state = store.channel(channel).await.unwrap().unwrap();
    assert_eq!(state.group, group(0, 0));
    let key = Bytes::from_static(b"k");
    assert_eq!(
        store.put_if(key.clone(), 0, Some(Bytes::new())).await,
        Ok(1)
    );
    let empty = Versioned {
        version: 1,
        value: Bytes::new(),
    };
    assert_eq!(store.get(&key).await, Ok(Some(empty)));
    store.push(key.clone(), Bytes::new()).await.unwrap();
    assert_eq!(store.pop_one(key).await, Ok(Some(Bytes::new())));
}

/// Every watcher hears of every append once, in order, and never of a repeat or a refusal.
pub async fn hints_in_order(store: &impl Store) {
    let heard = [Arc::new(Mutex::new(vec![])), Arc::new(Mutex::new(vec![]))];
    for heard in &heard {
        let heard = Arc::clone(heard);
        store.watch(Box::new(move |moved| {
            heard.lock().unwrap().extend_from_slice(moved)
        }));
    }
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 10)).await.unwrap();
    for n in [1, 2, 2, 3, 1, 4] {
        let append = message(channel, 1, n, 0, &[n as u8]);
        store.append(append).await.unwrap();
        let refused = store.append(message(channel, 1, 99, 8, b"x")).await;
        assert!(refused.is_err());
    }
    // Hints come from the writer, after the answer: one more answer and they are all there.
    store
        .push(Bytes::from_static(b"q"), Bytes::new())
        .await
        .unwrap();
    let (records, _) = store.read(channel, Seq(0), 99, 1000).await.unwrap();
    for heard in &heard {
        let heard = heard.lock().unwrap();
        let hinted: Vec<_> = heard.iter().map(|moved| (*moved.record).clone()).collect();
        assert_eq!(hinted, records);
        assert!(heard.iter().all(|moved| moved.channel == channel));
    }
}

/// What is not founded has no log.
pub async fn refuses_unknown_channels(store: &impl Store) {
    let channel = channel_id(9);
    let none = StoreError::NoChannel;
    let append = store.append(message(channel, 1, 1, 0, b"x")).await;
    assert_eq!(append, Err(none.clone()));
    let read = store.read(channel, Seq(0), 1, 1).await;
    assert_eq!(read, Err(none.clone()));
    assert_eq!(store.trim(channel, Seq(1)).await, Err(none.clone()));
    let find = store.find(channel, device_id(1), client_id(1)).await;
    assert_eq!(find, Err(none));
    assert_eq!(store.channels().await, Ok(vec![]));
    let dropped = store.drop_welcome(device_id(1), channel, Seq(1)).await;
    assert_eq!(dropped, Ok(()));
}

/// Logs whose ids are neighbours do not touch each other.
pub async fn keeps_channels_apart(store: &impl Store) {
    let ids = [0x00, 0x01, 0xfe, 0xff].map(channel_id);
    for (channel, n) in ids.into_iter().zip(0..) {
        store.found(channel, Epoch(n), group(1, 10)).await.unwrap();
        for k in 0..=n {
            let append = message(channel, 1, k, n, &[n as u8, k as u8]);
            store.append(append).await.unwrap();
        }
    }
    store.trim(ids[2], Seq(2)).await.unwrap();
    let mut known = store.channels().await.unwrap();
    known.sort();
    assert_eq!(known, ids);
    for (channel, n) in ids.into_iter().zip(0..) {
        let after = if n == 2 { 2 } else { 0 };
        let (records, head) = store.read(channel, Seq(after), 99, 1000).await.unwrap();
        assert_eq!(head.seq, Seq(n + 1));
        assert_eq!(records.len() as u64, n + 1 - after);
        assert!(records.iter().all(|record| record.bytes[0] == n as u8));
    }
}
