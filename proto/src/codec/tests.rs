//! Frames: pinned bytes, round trips, and what a peer may send instead.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{
    ids::*,
    limits,
    reply::*,
    request::{Append, Auth, CommitExtras, ItemTerms, Purpose, Request},
    rooms::Rooms,
};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn append(bytes: Vec<u8>) -> ClientFrame {
    ClientFrame::Request(
        RequestId(7),
        Request::Append(Append {
            channel: ChannelId([1; 16]),
            client_id: ClientId([2; 16]),
            epoch: Epoch(3),
            bytes: bytes.into(),
            commit: Some(CommitExtras {
                group_info: Bytes::from_static(b"info"),
                welcomes: vec![(DeviceId([4; 16]), Bytes::from_static(b"welcome"))],
            }),
        }),
    )
}

#[test]
fn frames_are_pinned() {
    assert_eq!(
        hex(&encode_client(append(b"message".to_vec()))),
        "1a58080772540a1001010101010101010101010101010101121002020202020202020202020202020202180322076d6573736167652a230a04696e666f121b0a1004040404040404040404040404040404120777656c636f6d65"
    );
    assert_eq!(
        hex(&encode_server(ServerFrame::Reply(
            RequestId(7),
            Err(Failure {
                code: Code::StaleEpoch,
                message: "late".into(),
                retry_after_ms: Some(9),
            })
        ))),
        "220e0807120a080612046c6174651809"
    );
}

#[test]
fn links_are_pinned_and_come_back() {
    let link = InvitationId([1; 16]);
    let requests = [
        Request::PutLink {
            link,
            verifier: Digest([2; 32]),
            expires: UnixMillis(3),
        },
        Request::ListLinks,
        Request::AnswerLink {
            link,
            answer: Bytes::from_static(b"yes"),
        },
    ];
    let found: Vec<_> = requests
        .into_iter()
        .map(|request| {
            let frame = ClientFrame::Request(RequestId(7), request);
            let bytes = encode_client(frame.clone());
            assert_eq!(decode_client(bytes.clone()), Ok(frame));
            hex(&bytes)
        })
        .chain(
            [Push::LinkRequest(link), Push::LinkAgain(link)].map(|push| {
                let frame = ServerFrame::Push(push);
                let bytes = encode_server(frame.clone());
                assert_eq!(decode_server(bytes.clone()), Ok(frame));
                hex(&bytes)
            }),
        )
        .collect();
    assert_eq!(found, LINKS, "{found:#?}");
}

const LINKS: [&str; 5] = [
    "1a3b0807ea01360a1001010101010101010101010101010101122002020202020202020202020202020202020202020202020202020202020202021803",
    "1a050807f20100",
    "1a1c0807fa01170a10010101010101010101010101010101011203796573",
    "2a1442120a1001010101010101010101010101010101",
    "2a144a120a1001010101010101010101010101010101",
];

#[test]
fn what_is_missing_or_of_wrong_length_is_named() {
    assert_eq!(decode_client(Bytes::new()), Err(WireError::Missing("body")));
    assert_eq!(
        decode_client(Bytes::from_static(&[0xff])),
        Err(WireError::NotAFrame)
    );
    let auth = |device: &'static [u8]| {
        use prost::Message;
        let frame = crate::wire::ClientFrame {
            body: Some(crate::wire::client_frame::Body::Auth(crate::wire::Auth {
                device: Bytes::from_static(device),
                ..Default::default()
            })),
        };
        decode_client(frame.encode_to_vec().into())
    };
    assert_eq!(
        auth(b"short"),
        Err(WireError::Length {
            field: "device",
            expected: 16,
            got: 5
        })
    );
    assert_eq!(auth(&[0; 16]), Err(WireError::Unknown("purpose")));
}

#[test]
fn heartbeats_shared_invitations_and_wanted_keys_round_trip() {
    let signed = Bytes::from_static(b"signed");
    let shared = Request::ShareInvitation {
        invitation: InvitationId([1; 16]),
        shares: vec![(DeviceId([2; 16]), signed.clone())],
    };
    let vouched = Request::VouchRequest {
        invitation: InvitationId([1; 16]),
        sealed: signed.clone(),
    };
    for request in [
        Request::PutHeartbeat(signed.clone()),
        Request::GetHeartbeat,
        shared,
        vouched,
    ] {
        let frame = ClientFrame::Request(RequestId(7), request);
        assert_eq!(decode_client(encode_client(frame.clone())), Ok(frame));
    }
    for frame in [
        ServerFrame::Reply(RequestId(7), Ok(Reply::Heartbeat(None))),
        ServerFrame::Reply(RequestId(7), Ok(Reply::Heartbeat(Some(signed.clone())))),
        ServerFrame::Push(Push::Heartbeat(signed)),
        ServerFrame::Push(Push::RosterWanted(DeviceId([3; 16]))),
    ] {
        assert_eq!(decode_server(encode_server(frame.clone())), Ok(frame));
    }
}

#[test]
fn parts_join_in_order_only() {
    let frame = encode_client(append(vec![5; 100_000]));
    assert!(parts(&frame, frame.len()).is_none());
    let cut: Vec<_> = parts(&frame, limits::FRAME_BEFORE_OK)
        .into_iter()
        .flatten()
        .collect();
    assert!(cut.len() > 20);
    let mut assembler = Assembler::default();
    for part in &cut {
        let size = encode_client(ClientFrame::Part(part.clone())).len();
        assert!(size <= limits::FRAME_BEFORE_OK, "{size}");
        match assembler.push(part).unwrap() {
            Some(whole) => assert_eq!(whole, frame),
            None => assert_eq!(assembler.idle(), Err(WireError::PartsInterrupted)),
        }
    }
    assert_eq!(assembler.idle(), Ok(()));
    assembler.push(&cut[0]).unwrap();
    assert_eq!(
        assembler.push(&cut[2]),
        Err(WireError::PartOrder {
            expected: 1,
            got: 2
        })
    );
    assert_eq!(assembler.idle(), Ok(()));
}

/// What the messages join to, and how long the longest is.
fn joined(messages: Messages, part: fn(Bytes) -> Option<Part>) -> (Bytes, usize) {
    let mut assembler = Assembler::default();
    let (mut longest, mut whole) = (0, None);
    let frame = messages.frame();
    for message in messages {
        let message = Bytes::from(message);
        longest = longest.max(message.len());
        assert_eq!(whole, None, "something after the last");
        whole = match part(message.clone()) {
            Some(part) => assembler.push(&part).unwrap().map(Bytes::from),
            None => Some(message),
        };
    }
    let whole = whole.unwrap();
    assert_eq!(whole.len(), frame);
    (whole, longest)
}

#[test]
fn chunks_are_cut_where_they_lie_to_the_same_frame() {
    let client = |bytes| match decode_client(bytes).unwrap() {
        ClientFrame::Part(part) => Some(part),
        _ => None,
    };
    let server = |bytes| match decode_server(bytes).unwrap() {
        ServerFrame::Part(part) => Some(part),
        _ => None,
    };
    let lengths = [
        0,
        1,
        60_000,
        limits::PART,
        limits::PART + 1,
        limits::CHUNK + 16,
    ];
    // Zeros are left out on the wire, numbers take one to ten bytes.
    for (n, length) in [0, 1, 127, 128, u64::from(u32::MAX), u64::MAX]
        .into_iter()
        .flat_map(|n| lengths.map(|length| (n, length)))
    {
        let bytes = Bytes::from(vec![7; length]);
        for limit in [
            limits::FRAME_BEFORE_OK,
            limits::CHAT_MESSAGE,
            limits::BULK_MESSAGE,
        ] {
            let put = ClientFrame::Request(
                RequestId(n),
                Request::ItemPut {
                    item: ItemId([9; 16]),
                    index: n as u32,
                    bytes: bytes.clone(),
                },
            );
            let (whole, longest) = joined(client_messages(put.clone(), limit), client);
            assert_eq!(whole, encode_client(put));
            assert!(longest <= limit.min(limits::PART), "{longest}");
            let range = Reply::ItemRange {
                offset: n,
                bytes: bytes.clone(),
            };
            let range = ServerFrame::Reply(RequestId(n), Ok(range));
            let (whole, longest) = joined(server_messages(range.clone(), limit), server);
            assert_eq!(whole, encode_server(range));
            assert!(longest <= limit.min(limits::PART), "{longest}");
        }
    }
    let (whole, _) = joined(client_messages(append(vec![5; 300_000]), 72 << 10), client);
    assert_eq!(whole, encode_client(append(vec![5; 300_000])));
}

#[test]
fn a_part_is_encoded_as_the_schema_says() {
    let frame = Bytes::from(vec![3; 300_000]);
    for part in parts(&frame, limits::PART).unwrap() {
        let client = encode_client(ClientFrame::Part(part.clone()));
        let server = encode_server(ServerFrame::Part(part.clone()));
        let [as_client, as_server] = [chunk::client_part(part.clone()), chunk::server_part(part)];
        assert!(Bytes::from(as_client) == client && Bytes::from(as_server) == server);
    }
}

#[test]
fn room_that_is_given_back_is_used_again() {
    let rooms = Rooms::of(1);
    let mut assembler = Assembler::new(rooms.clone());
    let mut joined = |fill: u8, length: usize| {
        let whole = Bytes::from(vec![fill; length]);
        let cut = parts(&whole, limits::PART).unwrap();
        let joined = cut.filter_map(|part| assembler.push(&part).unwrap());
        let joined: Vec<_> = joined.collect();
        assert_eq!(joined, [whole]);
        let joined = joined.into_iter().next().unwrap();
        let place = joined.as_ptr() as usize;
        // As a decoder leaves it: what came before the chunk is cut off.
        let mut chunk = Bytes::from(joined);
        drop(chunk.split_to(60));
        let mut chunk = chunk.try_into_mut().unwrap();
        chunk.clear();
        rooms.give(chunk.into());
        place
    };
    let first = joined(1, limits::CHUNK);
    assert_eq!(joined(2, limits::CHUNK), first);
    // A shorter one leaves nothing of a longer one behind.
    assert_eq!(joined(3, limits::CHUNK / 2), first);
    assert_eq!(joined(4, limits::CHUNK), first);
}

#[test]
fn parts_are_bounded() {
    let mut assembler = Assembler::default();
    let bytes = Bytes::from(vec![0; 1 << 20]);
    let refused = (0..)
        .map(|index| {
            assembler.push(&Part {
                index,
                last: false,
                bytes: bytes.clone(),
            })
        })
        .find_map(Result::err);
    assert_eq!(
        refused,
        Some(WireError::PartsTooLarge {
            limit: limits::FRAME_IN_PARTS
        })
    );
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_client(bytes.clone().into());
        let _ = decode_server(bytes.into());
    }

    #[test]
    fn requests_round_trip(
        device in any::<[u8; 16]>(), nonce in any::<[u8; 32]>(), signature in any::<[u8; 64]>(),
        bulk in any::<bool>(), body in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let auth = ClientFrame::Auth(Auth {
            device: DeviceId(device),
            purpose: if bulk { Purpose::Bulk } else { Purpose::Chat },
            nonce: Digest(nonce),
            signature: Signature(signature),
        });
        prop_assert_eq!(decode_client(encode_client(auth.clone())), Ok(auth));
        let append = append(body);
        prop_assert_eq!(decode_client(encode_client(append.clone())), Ok(append));
    }

    #[test]
    fn replies_round_trip(
        seq in any::<u64>(), hash in any::<[u8; 32]>(), index in any::<u32>(),
        path in proptest::collection::vec(any::<[u8; 32]>(), 0..12),
        body in proptest::collection::vec(any::<u8>(), 0..2000),
    ) {
        let frame = ServerFrame::Reply(RequestId(seq), Ok(Reply::Records {
            records: vec![Record {
                seq: Seq(seq),
                device: DeviceId([1; 16]),
                client_id: ClientId([2; 16]),
                time: UnixMillis(seq),
                bytes: body.into(),
            }],
            head: SignedHead {
                channel: ChannelId([3; 16]),
                head: ChannelHead { seq: Seq(seq), hash: Digest(hash) },
                time: UnixMillis(seq),
                signature: Signature([9; 64]),
                index,
                path: path.into_iter().map(Digest).collect(),
            },
        }));
        prop_assert_eq!(decode_server(encode_server(frame.clone())), Ok(frame));
    }
}

#[test]
fn custody_goes_round_and_its_lengths_are_checked() {
    let request = ClientFrame::Request(
        RequestId(9),
        Request::Countersign {
            item: ItemId([1; 16]),
            channel: ChannelId([2; 16]),
            statements: vec![Digest([3; 32]), Digest([4; 32])],
        },
    );
    let bytes = encode_client(request.clone());
    assert_eq!(
        hex(&bytes),
        "1a6d0809d202680a10010101010101010101010101010101011210020202020202020202020202020202021a200303\
         0303030303030303030303030303030303030303030303030303030303031a20040404040404040404040404040404\
         0404040404040404040404040404040404"
    );
    assert_eq!(decode_client(bytes), Ok(request));
    let withdraw = ClientFrame::Request(
        RequestId(9),
        Request::ItemWithdraw {
            item: ItemId([1; 16]),
            channel: ChannelId([2; 16]),
        },
    );
    assert_eq!(decode_client(encode_client(withdraw.clone())), Ok(withdraw));
    let reply = ServerFrame::Reply(
        RequestId(9),
        Ok(Reply::Countersigned {
            root: Digest([5; 32]),
            time: UnixMillis(6),
            signatures: vec![Signature([7; 64])],
        }),
    );
    assert_eq!(decode_server(encode_server(reply.clone())), Ok(reply));
    let short = crate::wire::Countersign {
        item: Bytes::from_static(&[1; 16]),
        channel: Bytes::from_static(&[2; 16]),
        statements: vec![Bytes::from_static(&[3; 31])],
    };
    assert_eq!(
        Request::try_from(crate::wire::request::Body::Countersign(short)),
        Err(WireError::Length {
            field: "statements",
            expected: 32,
            got: 31
        })
    );
}

#[test]
fn leases_go_round_and_nonsense_is_refused() {
    let (item, channel) = (ItemId([1; 16]), ChannelId([2; 16]));
    let terms = ItemTerms {
        keep_until: Some(UnixMillis(7)),
        collectors: 3,
        wanted: vec![MemberId([4; 16]), MemberId([5; 16])],
    };
    for request in [
        Request::ItemReserve {
            token: Bytes::from_static(b"token"),
            size: 9,
            chunk: 8,
            terms,
        },
        Request::ItemReserve {
            token: Bytes::from_static(b"token"),
            size: 9,
            chunk: 8,
            terms: ItemTerms::default(),
        },
        Request::ItemKeep {
            item,
            channel,
            keep_until: Some(UnixMillis(7)),
            hold: None,
        },
        Request::ItemKeep {
            item,
            channel,
            keep_until: None,
            hold: Some(true),
        },
        Request::ItemKeep {
            item,
            channel,
            keep_until: None,
            hold: Some(false),
        },
        Request::ItemShare {
            item,
            channel,
            to: ChannelId([3; 16]),
        },
        Request::ItemCollected { item, channel },
        Request::ItemLease { item, channel },
        Request::ItemUsage,
    ] {
        let frame = ClientFrame::Request(RequestId(9), request);
        assert_eq!(decode_client(encode_client(frame.clone())), Ok(frame));
    }
    for reply in [
        Reply::ItemLease(ItemLease {
            keep_until: UnixMillis(7),
            held: true,
            collected: vec![MemberId([4; 16])],
            wanted: 2,
            collectors: 3,
        }),
        Reply::ItemUsage {
            used: 1,
            quota: 2,
            largest: 3,
        },
    ] {
        let frame = ServerFrame::Reply(RequestId(9), Ok(reply));
        assert_eq!(decode_server(encode_server(frame.clone())), Ok(frame));
    }
    let keep = ClientFrame::Request(
        RequestId(9),
        Request::ItemKeep {
            item,
            channel,
            keep_until: None,
            hold: Some(true),
        },
    );
    let mut bytes = encode_client(keep).to_vec();
    // The last field: neither on nor off.
    *bytes.last_mut().unwrap() = 9;
    assert_eq!(decode_client(bytes.into()), Err(WireError::Unknown("hold")));
}
