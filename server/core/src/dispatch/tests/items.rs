//! ItemToken on chat; the rest on bulk.

use bytes::Bytes;
use plenary_certs::{
    custody::{Countersignature, check_countersignature},
    item_root::{ItemRoot, chunk_hash},
};
use plenary_proto::{
    ids::{ChannelId, Digest, ItemId},
    reply::Reply,
    request::{ItemTerms, Request, Right},
};

use crate::{error::OpError, fixture::*, session::Caller};

const ITEM: ItemId = ItemId([7; 16]);
const DIRECT: ChannelId = ChannelId([101; 16]);
const CHUNKS: [&[u8]; 3] = [b"first...", b"second..", b"end"];
const SIZE: u64 = 19;

/// 1 and 10 in the open channel.
fn rig() -> Rig {
    let rig = Rig::new();
    rig.open_channel(OPEN, &mut rig.peer(1));
    rig.enter(OPEN, &mut rig.peer(10));
    rig
}

fn token(rig: &Rig, n: u8, channel: ChannelId, right: Right) -> Result<Bytes, OpError> {
    let request = Request::ItemToken {
        item: ITEM,
        channel,
        right,
    };
    match rig.ask(n, request)? {
        Reply::Token(token) => Ok(token),
        other => panic!("{other:?}"),
    }
}

fn reserve(rig: &Rig, caller: &Caller, token: &Bytes, size: u64) -> Result<Reply, OpError> {
    let request = Request::ItemReserve {
        token: token.clone(),
        size,
        chunk: 8,
        terms: ItemTerms::default(),
    };
    rig.call(caller, request)
}

fn put(rig: &Rig, caller: &Caller, index: u32) -> Result<Reply, OpError> {
    let request = Request::ItemPut {
        item: ITEM,
        index,
        bytes: Bytes::from_static(CHUNKS[index as usize]),
    };
    rig.call(caller, request)
}

fn root() -> Digest {
    let mut root = ItemRoot::new(SIZE, 8);
    CHUNKS
        .iter()
        .for_each(|chunk| root.push(&chunk_hash(chunk)));
    root.finish()
}

fn commit(rig: &Rig, caller: &Caller, root: Digest) -> Result<Reply, OpError> {
    rig.call(caller, Request::ItemCommit { item: ITEM, root })
}

fn get(rig: &Rig, n: u8, token: &Bytes, offset: u64, length: u32) -> Result<Bytes, OpError> {
    let request = Request::ItemGet {
        token: token.clone(),
        offset,
        length,
    };
    match rig.call(&bulk(n), request)? {
        Reply::ItemRange { offset: at, bytes } if at == offset => Ok(bytes),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn not_allowed<T>(result: Result<T, OpError>) {
    let why = result.map(|_| ());
    assert!(matches!(why, Err(OpError::NotAllowed(_))), "{why:?}");
}

fn state(durable: u8, committed: bool) -> Result<Reply, OpError> {
    Ok(Reply::ItemState {
        size: SIZE,
        chunk: 8,
        durable: Bytes::copy_from_slice(&[durable]),
        committed,
    })
}

#[test]
fn an_item_goes_up_is_resumed_and_comes_down() {
    let rig = rig();
    let right = Right::Put { size: SIZE };
    let up = token(&rig, 10, OPEN, right).unwrap();
    let line = bulk(10);
    assert_eq!(reserve(&rig, &line, &up, SIZE), state(0, false));
    assert_eq!(put(&rig, &line, 2), Ok(Reply::Done));
    assert!(matches!(
        commit(&rig, &line, root()),
        Err(OpError::Invalid(_))
    ));
    assert!(matches!(
        token(&rig, 1, OPEN, Right::Get),
        Err(OpError::NotFound(_))
    ));

    // Another line: what is there is told, but nothing is put without showing the token again.
    let again = bulk(10);
    let status = |token: &Bytes| {
        let token = token.clone();
        rig.call(&again, Request::ItemStatus { token })
    };
    assert_eq!(status(&up), state(0b100, false));
    not_allowed(put(&rig, &again, 0));
    not_allowed(commit(&rig, &again, root()));
    let up = token(&rig, 10, OPEN, right).unwrap();
    assert_eq!(reserve(&rig, &again, &up, SIZE), state(0b100, false));
    put(&rig, &again, 0).unwrap();
    put(&rig, &again, 1).unwrap();
    assert!(matches!(
        commit(&rig, &again, Digest([1; 32])),
        Err(OpError::Invalid(_))
    ));
    assert_eq!(commit(&rig, &again, root()), Ok(Reply::Done));
    assert_eq!(commit(&rig, &again, root()), Ok(Reply::Done));
    assert_eq!(status(&up), state(0b111, true));
    let down = token(&rig, 1, OPEN, Right::Get).unwrap();
    assert_eq!(get(&rig, 1, &down, 0, 100).unwrap(), CHUNKS.concat());
    assert_eq!(get(&rig, 1, &down, 6, 4).unwrap(), "..se");
    assert!(matches!(
        get(&rig, 1, &down, SIZE, 1),
        Err(OpError::Malformed(_))
    ));
}

#[test]
fn a_token_is_its_device_s_and_for_one_thing() {
    let rig = rig();
    let right = Right::Put { size: SIZE };
    not_allowed(token(&rig, 11, OPEN, right));
    not_allowed(token(&rig, 10, DIRECT, right));
    not_allowed(rig.call(
        &bulk(10),
        Request::ItemToken {
            item: ITEM,
            channel: OPEN,
            right,
        },
    ));
    assert!(matches!(
        token(&rig, 1, OPEN, Right::Get),
        Err(OpError::NotFound(_))
    ));
    assert!(matches!(
        token(&rig, 1, OPEN, Right::Put { size: u64::MAX }),
        Err(OpError::TooLarge { .. })
    ));
    let up = token(&rig, 10, OPEN, right).unwrap();
    not_allowed(reserve(&rig, &bulk(1), &up, SIZE));
    not_allowed(reserve(&rig, &bulk(10), &up, SIZE + 1));
    not_allowed(reserve(&rig, &chat(10), &up, SIZE));
    not_allowed(reserve(
        &rig,
        &bulk(10),
        &Bytes::from_static(b"forged"),
        SIZE,
    ));
    not_allowed(get(&rig, 10, &up, 0, 1));
    let line = bulk(10);
    reserve(&rig, &line, &up, SIZE).unwrap();
    (0..3).for_each(|index| drop(put(&rig, &line, index).unwrap()));
    commit(&rig, &line, root()).unwrap();
    let down = token(&rig, 1, OPEN, Right::Get).unwrap();
    not_allowed(reserve(&rig, &bulk(1), &down, SIZE));
    let late = Request::ItemGet {
        token: down,
        offset: 0,
        length: 1,
    };
    not_allowed(rig.call_at(&bulk(1), late, NOW.plus(DAY)));
    // The same name again, by another device, of another size or in another channel.
    assert!(matches!(
        token(&rig, 1, OPEN, right),
        Err(OpError::Exists(_))
    ));
    let longer = Right::Put { size: SIZE + 1 };
    assert!(matches!(
        token(&rig, 10, OPEN, longer),
        Err(OpError::Exists(_))
    ));
    rig.open_channel(DIRECT, &mut rig.peer(10));
    not_allowed(token(&rig, 10, DIRECT, Right::Get));
}

#[test]
fn chunks_of_a_wrong_shape_are_refused() {
    let rig = rig();
    let up = token(&rig, 10, OPEN, Right::Put { size: SIZE }).unwrap();
    let line = bulk(10);
    for chunk in [0, u32::MAX] {
        let request = Request::ItemReserve {
            token: up.clone(),
            size: SIZE,
            chunk,
            terms: ItemTerms::default(),
        };
        let result = rig.call(&line, request);
        assert!(matches!(result, Err(OpError::Malformed(_))), "{result:?}");
    }
    reserve(&rig, &line, &up, SIZE).unwrap();
    for (index, bytes) in [
        (0, "short"),
        (2, "too long"),
        (3, "x"),
        (u32::MAX, "12345678"),
    ] {
        let request = Request::ItemPut {
            item: ITEM,
            index,
            bytes: Bytes::from_static(bytes.as_bytes()),
        };
        let result = rig.call(&line, request);
        assert!(matches!(result, Err(OpError::Malformed(_))), "{result:?}");
    }
}

/// Put up whole by 10.
fn committed(rig: &Rig) {
    let up = token(rig, 10, OPEN, Right::Put { size: SIZE }).unwrap();
    let line = bulk(10);
    reserve(rig, &line, &up, SIZE).unwrap();
    (0..3).for_each(|index| drop(put(rig, &line, index).unwrap()));
    commit(rig, &line, root()).unwrap();
}

fn countersign(rig: &Rig, n: u8, channel: ChannelId, ids: &[u8]) -> Result<Reply, OpError> {
    let request = Request::Countersign {
        item: ITEM,
        channel,
        statements: ids.iter().map(|id| Digest([*id; 32])).collect(),
    };
    rig.ask(n, request)
}

#[test]
fn statements_of_custody_are_countersigned_for_who_may_fetch_and_while_it_is_there() {
    let rig = rig();
    assert!(matches!(
        countersign(&rig, 1, OPEN, &[1]),
        Err(OpError::NotFound(_))
    ));
    let up = token(&rig, 10, OPEN, Right::Put { size: SIZE }).unwrap();
    reserve(&rig, &bulk(10), &up, SIZE).unwrap();
    let early = countersign(&rig, 10, OPEN, &[1]);
    assert!(matches!(early, Err(OpError::NotFound(_))), "{early:?}");
    committed(&rig);

    let network = rig.network.id();
    let key = rig.network.public_key();
    for n in [1, 10] {
        let Ok(Reply::Countersigned {
            root: held,
            time,
            signatures,
        }) = countersign(&rig, n, OPEN, &[1, 2])
        else {
            panic!("not countersigned");
        };
        assert_eq!((held, time, signatures.len()), (root(), NOW, 2));
        for (id, signature) in [1u8, 2].iter().zip(signatures) {
            let word = Countersignature { time, signature };
            let check = |id: u8, root: Digest| {
                check_countersignature(&key, network, ITEM, &Digest([id; 32]), &root, &word)
            };
            assert_eq!(check(*id, root()), Ok(()));
            assert!(check(3, root()).is_err() && check(*id, Digest([0; 32])).is_err());
        }
    }
    not_allowed(countersign(&rig, 11, OPEN, &[1]));
    rig.open_channel(DIRECT, &mut rig.peer(10));
    not_allowed(countersign(&rig, 10, DIRECT, &[1]));
    for ids in [&[][..], &[1, 1]] {
        let result = countersign(&rig, 1, OPEN, ids);
        assert!(matches!(result, Err(OpError::Malformed(_))), "{result:?}");
    }
    let many: Vec<u8> = (0..17).collect();
    assert!(matches!(
        countersign(&rig, 1, OPEN, &many),
        Err(OpError::TooLarge { .. })
    ));
    let limited = (0..100).find_map(|_| countersign(&rig, 1, OPEN, &many[..16]).err());
    assert!(
        matches!(limited, Some(OpError::RateLimited { .. })),
        "{limited:?}"
    );
    let statements = vec![Digest([1; 32])];
    not_allowed(rig.call(
        &bulk(1),
        Request::Countersign {
            item: ITEM,
            channel: OPEN,
            statements,
        },
    ));
}

#[test]
fn an_item_is_withdrawn_by_who_put_it_up() {
    let rig = rig();
    let withdraw = |n| {
        rig.ask(
            n,
            Request::ItemWithdraw {
                item: ITEM,
                channel: OPEN,
            },
        )
    };
    assert_eq!(withdraw(10), Ok(Reply::Done));
    committed(&rig);
    let down = token(&rig, 1, OPEN, Right::Get).unwrap();
    not_allowed(withdraw(11));
    not_allowed(withdraw(1));
    assert_eq!(get(&rig, 1, &down, 0, 100).unwrap(), CHUNKS.concat());
    assert_eq!(withdraw(10), Ok(Reply::Done));
    assert_eq!(withdraw(10), Ok(Reply::Done));
    for gone in [
        get(&rig, 1, &down, 0, 1).map(drop),
        token(&rig, 1, OPEN, Right::Get).map(drop),
        countersign(&rig, 10, OPEN, &[1]).map(drop),
    ] {
        assert!(matches!(gone, Err(OpError::NotFound(_))), "{gone:?}");
    }
}
