//! FoundChannel, Append, Read, GroupState, Watch, Welcomes, DropWelcome.

use bytes::Bytes;
use plenary_certs::{chain::chain, signed_head::check_head};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, ClientId, Digest, Epoch, Seq},
    reply::{Push, Record, Reply, SignedHead},
    request::{Append, Request},
};

use crate::{config::Config, error::OpError, fixture::*, hub::ConnectionId};

const DIRECT: ChannelId = ChannelId([101; 16]);

fn appended(reply: Result<Reply, OpError>) -> (SignedHead, bool) {
    match reply {
        Ok(Reply::Appended { head, repeated }) => (head, repeated),
        other => panic!("{other:?}"),
    }
}

fn read(
    rig: &Rig,
    n: u8,
    channel: ChannelId,
    after: u64,
) -> Result<(Vec<Record>, SignedHead), OpError> {
    let request = Request::Read {
        channel,
        after: Seq(after),
        limit: 100,
    };
    match rig.ask(n, request)? {
        Reply::Records { records, head } => Ok((records, head)),
        other => panic!("{other:?}"),
    }
}

fn say(rig: &Rig, channel: ChannelId, peer: &mut Peer, text: &str) -> Result<Reply, OpError> {
    let request = message_request(channel, peer, text);
    rig.ask(peer.n, Request::Append(request))
}

#[track_caller]
fn refused<T>(result: Result<T, OpError>) {
    let why = result.map(|_| ());
    assert!(matches!(why, Err(OpError::NotAllowed(_))), "{why:?}");
}

/// Owner 1 and member 10 in the open channel.
fn two() -> (Rig, Peer, Peer) {
    let rig = Rig::new();
    let (mut owner, mut other) = (rig.peer(1), rig.peer(10));
    rig.open_channel(OPEN, &mut owner);
    let (info, tree) = rig.group_state(10, OPEN).unwrap();
    let enters = other.enter(&info, &tree);
    rig.commit(OPEN, 10, &enters).unwrap();
    owner.follow(&enters);
    (rig, owner, other)
}

#[test]
fn what_is_said_is_read_in_order_under_the_server_s_signature() {
    let (rig, mut owner, mut other) = two();
    for n in 0..5 {
        say(&rig, OPEN, &mut owner, &format!("from the owner {n}")).unwrap();
        say(&rig, OPEN, &mut other, &format!("from the other {n}")).unwrap();
    }
    let (records, head) = read(&rig, 10, OPEN, 0).unwrap();
    assert_eq!(records.len(), 11, "the entry and ten messages");
    let mut hash = Digest([0; 32]);
    for (seq, record) in (1..).map(Seq).zip(&records) {
        assert_eq!(record.seq, seq);
        hash = chain(
            &hash,
            OPEN,
            seq,
            record.device,
            record.client_id,
            record.time,
            &record.bytes,
        );
    }
    let end = ChannelHead { seq: Seq(11), hash };
    assert_eq!(head.head, end);
    let key = server_key().public();
    assert_eq!(check_head(&key, NETWORK, &head), Ok(()));
    let (rest, same) = read(&rig, 1, OPEN, 9).unwrap();
    assert_eq!((&rest[..], same.head), (&records[9..], end));
    assert_eq!(read(&rig, 1, OPEN, 99).unwrap().0, []);
}

#[test]
fn who_is_taken_out_while_away_reads_up_to_there_and_no_further() {
    let (rig, mut owner, _other) = two();
    say(&rig, OPEN, &mut owner, "to both").unwrap();
    let removal = owner.commit(&[], &[10]);
    rig.commit(OPEN, 1, &removal).unwrap();
    owner.accept();
    say(&rig, OPEN, &mut owner, "to the owner alone").unwrap();
    let (all, _) = read(&rig, 1, OPEN, 0).unwrap();
    assert_eq!(all.len(), 4);
    let (records, head) = read(&rig, 10, OPEN, 1).unwrap();
    assert_eq!(records, all[1..3]);
    // Nor does it learn how far the log goes by now.
    let (seq, hash) = (Seq(3), rig.log(OPEN)[2].hash);
    assert_eq!(head.head, ChannelHead { seq, hash });
    assert_eq!(check_head(&server_key().public(), NETWORK, &head), Ok(()));
    for after in [3, 4, 99] {
        refused(read(&rig, 10, OPEN, after));
    }
    let state = rig.ask(10, Request::GroupState(OPEN));
    let Ok(Reply::GroupState { .. }) = state else {
        panic!("an open channel: {state:?}");
    };
    let seq = Seq(2);
    refused(rig.ask(10, Request::HeadAt { channel: OPEN, seq }));
    refused(read(&rig, 11, OPEN, 0));
}

#[test]
fn a_repeat_gets_the_first_answer_even_when_it_would_be_refused_now() {
    let (rig, mut owner, mut other) = two();
    let message = message_request(OPEN, &mut owner, "once");
    let (first, repeated) = appended(rig.ask(1, Request::Append(message.clone())));
    assert!(!repeated);
    let (second, repeated) = appended(rig.ask(1, Request::Append(message.clone())));
    assert!(repeated);
    assert_eq!(second.head, first.head);

    // Commits: the first answer was lost, and the channel went on.
    let commit = other.commit(&[], &[]);
    let request = commit_request(OPEN, &commit);
    let (first, _) = appended(rig.ask(10, Request::Append(request.clone())));
    other.accept();
    say(&rig, OPEN, &mut other, "in the new epoch").unwrap();
    let (second, repeated) = appended(rig.ask(10, Request::Append(request)));
    assert!(repeated);
    assert_eq!(second.head, first.head);
    let (late, repeated) = appended(rig.ask(1, Request::Append(message)));
    assert!(repeated && late.head.seq < first.head.seq);
    assert_eq!(rig.log(OPEN).len(), 4);
}

#[test]
fn one_commit_an_epoch_and_what_was_sealed_before_is_stale() {
    let (rig, mut owner, mut other) = two();
    let (wins, loses) = (owner.commit(&[], &[]), other.commit(&[], &[]));
    let stale = message_request(OPEN, &mut other, "sealed before");
    rig.commit(OPEN, 1, &wins).unwrap();
    owner.accept();
    let current = Epoch(2);
    assert_eq!(
        rig.commit(OPEN, 10, &loses),
        Err(OpError::Conflict { current })
    );
    assert_eq!(
        rig.ask(10, Request::Append(stale)),
        Err(OpError::StaleEpoch { current })
    );
    other.follow(&wins);
    say(&rig, OPEN, &mut other, "sealed again").unwrap();
    let again = other.commit(&[], &[]);
    rig.commit(OPEN, 10, &again).unwrap();
    assert_eq!(rig.log(OPEN).len(), 4);
}

#[test]
fn a_commit_under_a_used_client_id_changes_nothing() {
    let (rig, mut owner, mut other) = two();
    let message = message_request(OPEN, &mut owner, "first");
    let (first, _) = appended(rig.ask(1, Request::Append(message.clone())));
    let commit = Append {
        client_id: message.client_id,
        ..commit_request(OPEN, &owner.commit(&[], &[10]))
    };
    let (again, repeated) = appended(rig.ask(1, Request::Append(commit)));
    assert!(repeated);
    assert_eq!(again.head, first.head);
    // The group is where it was, and so is whom the commit would have removed.
    say(&rig, OPEN, &mut other, "still here").unwrap();
    assert_eq!(read(&rig, 10, OPEN, 0).unwrap().0.len(), 3);
}

#[test]
fn who_is_not_in_it_gets_nothing() {
    let (rig, mut owner, mut other) = two();
    say(&rig, OPEN, &mut owner, "for those inside").unwrap();
    refused(read(&rig, 11, OPEN, 0));
    // Another device cannot send what a member sealed, nor in another channel.
    let sealed = message_request(OPEN, &mut other, "stolen");
    refused(rig.ask(11, Request::Append(sealed.clone())));
    let commit = other.commit(&[], &[]);
    refused(rig.commit(OPEN, 11, &commit));
    refused(rig.commit(OPEN, 1, &commit));
    refused(read(&rig, 11, ChannelId([99; 16]), 0));
    let elsewhere = Append {
        channel: ChannelId([99; 16]),
        ..sealed
    };
    let there = rig.ask(10, Request::Append(elsewhere));
    assert!(matches!(there, Err(OpError::NotFound(_))), "{there:?}");
    assert_eq!(rig.log(OPEN).len(), 2);
}

#[test]
fn nonsense_is_refused_and_leaves_the_channel_as_it_was() {
    let (rig, mut owner, mut other) = two();
    let good = message_request(OPEN, &mut owner, "good");
    for bytes in [&b""[..], b"nonsense", &good.bytes[..good.bytes.len() / 3]] {
        let bad = Append {
            client_id: ClientId([9; 16]),
            bytes: Bytes::copy_from_slice(bytes),
            ..good.clone()
        };
        let result = rig.ask(1, Request::Append(bad.clone()));
        assert!(matches!(result, Err(OpError::Invalid(_))), "{result:?}");
        let commit = other.commit(&[], &[]);
        let bad = Append {
            commit: commit_request(OPEN, &commit).commit,
            ..bad
        };
        let result = rig.ask(10, Request::Append(bad));
        assert!(matches!(result, Err(OpError::Invalid(_))), "{result:?}");
    }
    // A commit with another's GroupInfo; a commit passed off as a message.
    let commit = other.commit(&[], &[]);
    let mismatched = Commit {
        group_info: owner.commit(&[], &[]).group_info,
        ..commit.clone()
    };
    assert!(rig.commit(OPEN, 10, &mismatched).is_err());
    let bare = Append {
        commit: None,
        ..commit_request(OPEN, &commit)
    };
    let result = rig.ask(10, Request::Append(bare));
    assert!(matches!(result, Err(OpError::Invalid(_))), "{result:?}");
    rig.commit(OPEN, 10, &commit).unwrap();
    assert_eq!(rig.log(OPEN).len(), 2);
}

#[test]
fn a_channel_is_founded_once_and_by_its_owner() {
    let rig = Rig::new();
    let found = |channel: ChannelId, n: u8| {
        let (group_info, tree) = rig.peer(n).found(channel);
        let request = Request::FoundChannel {
            channel,
            group_info,
            tree,
        };
        rig.ask(n, request)
    };
    refused(found(OPEN, 10));
    assert_eq!(found(OPEN, 1), Ok(Reply::Done));
    assert!(matches!(found(OPEN, 1), Err(OpError::Exists(_))));
    // A channel the ledger does not know is direct, and whoever founds it owns it.
    let unknown = ChannelId([52; 16]);
    assert_eq!(found(DIRECT, 10), Ok(Reply::Done));
    assert!(matches!(
        rig.ask(10, Request::GroupState(unknown)),
        Err(OpError::NotAllowed(_))
    ));
    // The group of one channel under the name of another.
    let (group_info, tree) = rig.peer(1).found(GRANTED);
    let request = Request::FoundChannel {
        channel: ChannelId([102; 16]),
        group_info,
        tree,
    };
    assert!(matches!(rig.ask(1, request), Err(OpError::Invalid(_))));
}

#[test]
fn a_direct_channel_is_joined_by_welcome_and_left_by_removal() {
    let rig = Rig::new();
    let (mut owner, mut guest) = (rig.peer(10), rig.peer(11));
    rig.open_channel(DIRECT, &mut owner);
    refused(rig.group_state(11, DIRECT));
    let commit = owner.commit(&[(11, guest.key_package())], &[]);
    rig.hub.heard();

    // The welcome comes with its commit and not before.
    let no_welcome = Commit {
        welcomes: vec![],
        ..commit.clone()
    };
    assert!(rig.commit(DIRECT, 10, &no_welcome).is_err());
    let elsewhere = Commit {
        welcomes: vec![(device_id(12), commit.welcomes[0].1.clone())],
        ..commit.clone()
    };
    assert!(rig.commit(DIRECT, 10, &elsewhere).is_err());
    assert_eq!(
        rig.ask(11, Request::Welcomes),
        Ok(Reply::WelcomeList(vec![]))
    );
    assert_eq!(rig.hub.heard(), []);
    let (head, _) = appended(rig.commit(DIRECT, 10, &commit));
    owner.accept();
    assert_eq!(
        rig.hub.heard(),
        [
            Heard::Moved(DIRECT, 1),
            Heard::Unwatch(DIRECT, vec![]),
            Heard::Device(device_id(11), Push::Welcome(DIRECT))
        ]
    );
    let Ok(Reply::WelcomeList(welcomes)) = rig.ask(11, Request::Welcomes) else {
        panic!("no welcomes");
    };
    assert_eq!((welcomes.len(), welcomes[0].head), (1, head.head));
    guest.join(&welcomes[0].bytes, &welcomes[0].tree);
    let drop_welcome = Request::DropWelcome {
        channel: DIRECT,
        seq: head.head.seq,
    };
    assert_eq!(rig.ask(11, drop_welcome), Ok(Reply::Done));
    assert_eq!(
        rig.ask(11, Request::Welcomes),
        Ok(Reply::WelcomeList(vec![]))
    );
    say(&rig, DIRECT, &mut guest, "thank you").unwrap();
    assert_eq!(read(&rig, 11, DIRECT, 0).unwrap().0.len(), 2);
    refused(read(&rig, 12, DIRECT, 0));
    // Only the owner adds.
    rig.hub.heard();
    let removal = owner.commit(&[], &[11]);
    rig.commit(DIRECT, 10, &removal).unwrap();
    // Who is removed is told by itself, before nothing more is told.
    let heard = rig.hub.heard();
    let [Heard::Moved(_, 3), Heard::Device(told, push), unwatch] = &heard[..] else {
        panic!("{heard:?}");
    };
    let Push::Moved { channel, record } = push else {
        panic!("{push:?}");
    };
    assert_eq!((*told, *channel), (device_id(11), DIRECT));
    assert_eq!((record.seq, record.device), (Seq(3), device_id(10)));
    assert_eq!(record.bytes, removal.bytes);
    assert_eq!(*unwatch, Heard::Unwatch(DIRECT, vec![device_id(11)]));
    refused(read(&rig, 11, DIRECT, 3));
    refused(rig.group_state(11, DIRECT));
    assert!(say(&rig, DIRECT, &mut guest, "still here?").is_err());
}

#[test]
fn a_granted_channel_opens_to_those_with_a_grant() {
    let rig = Rig::new();
    let mut owner = rig.peer(1);
    assert!(matches!(
        rig.group_state(10, GRANTED),
        Err(OpError::NotFound(_))
    ));
    rig.open_channel(GRANTED, &mut owner);
    assert!(rig.group_state(10, GRANTED).is_ok());
    assert!(rig.group_state(1, GRANTED).is_ok());
    refused(rig.group_state(11, GRANTED));
    // The owner of a granted channel adds; nobody enters it by itself, whoever hands out what is
    // needed. The judge is the same on both sides, so it does not even come to be sent.
    let (info, tree) = rig.group_state(1, GRANTED).unwrap();
    for n in [10, 11] {
        assert!(rig.peer(n).try_enter(&info, &tree, None).is_err());
    }
}

#[test]
fn a_device_returns_in_its_own_place() {
    let (rig, mut owner, other) = two();
    let leaf = other.leaf(10);
    drop(other);
    let mut again = rig.peer(10);
    let (info, tree) = rig.group_state(10, OPEN).unwrap();
    let commit = again.try_enter(&info, &tree, Some(leaf)).unwrap();
    rig.commit(OPEN, 10, &commit).unwrap();
    owner.follow(&commit);
    say(&rig, OPEN, &mut again, "back").unwrap();
    say(&rig, OPEN, &mut owner, "welcome back").unwrap();
}

#[test]
fn watching_covers_one_s_own_channels_and_leaves_the_others_out() {
    let (rig, mut owner, _) = two();
    let (head, _) = appended(say(&rig, OPEN, &mut owner, "hello"));
    rig.hub.heard();
    let all = vec![GRANTED, OPEN, ChannelId([99; 16])];
    assert_eq!(
        rig.ask(10, Request::Watch(all.clone())),
        Ok(Reply::Heads(vec![(OPEN, head.head)]))
    );
    assert_eq!(rig.hub.heard(), [Heard::Watch(ConnectionId(1), vec![OPEN])]);
    let on_bulk = rig.call(&bulk(10), Request::Watch(all));
    refused(on_bulk);
}

#[test]
fn a_restart_and_a_small_cache_change_nothing() {
    let (rig, mut owner, mut other) = two();
    let small = Config {
        groups: 1,
        ..Config::default()
    };
    let rig = Rig::over(rig.store, small).unwrap();
    let mut direct = rig.peer(12);
    rig.open_channel(DIRECT, &mut direct);
    for n in 0..3 {
        say(&rig, OPEN, &mut other, &format!("{n}")).unwrap();
        say(&rig, DIRECT, &mut direct, &format!("{n}")).unwrap();
        let commit = owner.commit(&[], &[]);
        rig.commit(OPEN, 1, &commit).unwrap();
        owner.accept();
        other.follow(&commit);
    }
    assert_eq!(rig.log(OPEN).len(), 7);
    assert_eq!(rig.log(DIRECT).len(), 3);
}

#[test]
fn messages_above_the_rate_wait() {
    let (rig, mut owner, _) = two();
    let mut config = Config::default();
    config.limits.messages_per_minute = 60;
    config.limits.message_burst = 2;
    let rig = Rig::over(rig.store, config).unwrap();
    let first = message_request(OPEN, &mut owner, "one");
    rig.ask(1, Request::Append(first.clone())).unwrap();
    say(&rig, OPEN, &mut owner, "two").unwrap();
    let third = message_request(OPEN, &mut owner, "three");
    assert_eq!(
        rig.ask(1, Request::Append(third.clone())),
        Err(OpError::RateLimited {
            what: "messages",
            retry_after_ms: 1_000
        })
    );
    // What is there already is told all the same.
    assert!(appended(rig.ask(1, Request::Append(first))).1);
    let later = rig.call_at(&chat(1), Request::Append(third), NOW.plus(1_000));
    assert!(!appended(later).1);
}

#[test]
fn whoever_floods_a_channel_with_commits_waits_and_the_others_go_on() {
    let (rig, mut owner, mut flooder) = two();
    let mut config = Config::default();
    config.limits.messages_per_minute = 60;
    config.limits.message_burst = 50;
    let rig = Rig::over(rig.store, config).unwrap();
    // In again in its own place, over and over: each is valid, and takes everybody's epoch away.
    let again = |flooder: &mut Peer| {
        let (info, tree) = rig.group_state(flooder.n, OPEN).unwrap();
        let leaf = flooder.leaf(flooder.n);
        let commit = flooder.try_enter(&info, &tree, Some(leaf)).unwrap();
        let taken = rig.commit(OPEN, flooder.n, &commit);
        (commit, taken)
    };
    for _ in 0..5 {
        let (commit, taken) = again(&mut flooder);
        taken.unwrap();
        owner.follow(&commit);
    }
    for _ in 0..20 {
        let (_, refused) = again(&mut flooder);
        assert_eq!(
            refused,
            Err(OpError::RateLimited {
                what: "messages",
                retry_after_ms: 10_000
            })
        );
    }
    say(&rig, OPEN, &mut owner, "still here").unwrap();
    let commit = owner.commit(&[], &[]);
    rig.commit(OPEN, owner.n, &commit).unwrap();
    assert_eq!(rig.log(OPEN).len(), 8);
}
