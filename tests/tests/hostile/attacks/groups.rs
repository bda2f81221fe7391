//! Commits that no honest client makes, put into the log by a server that looks away.

use std::{cell::RefCell, rc::Rc};

use mls_rs::{ExtensionList, MlsMessage};
use plenary_certs::{
    ledger::{Body, Grant, Reason, Revoke, Target},
    mls::{auth_data::AuthData, suite::HYBRID},
};
use plenary_client::AlarmKind;
use plenary_proto::{
    ids::{ChannelId, DeviceId, Digest, MemberId},
    request::{Append, CommitExtras, Request},
};

use crate::{colluder::Colluder, false_log::FalseLog, trial::Trial};

/// Parties 0 to 2 are honest and in an open channel; 3 is in it too, and is not.
pub fn with_colluder(trial: &mut Trial) -> (ChannelId, Colluder) {
    trial.all_but(&[3]);
    let channel = trial.in_channel(0);
    let mut colluder = Colluder::new(&trial.world, 3);
    colluder.enter(&mut trial.world, channel);
    trial.chatter(channel);
    colluder.follow(&mut trial.world);
    (channel, colluder)
}

/// A channel by GRANT of party 0, with party 1, and 3 who is not honest; 2 has no grant.
fn granted(trial: &mut Trial) -> (ChannelId, Colluder) {
    trial.all_but(&[3]);
    let channel = trial.world.channels[2];
    let mut colluder = Colluder::new(&trial.world, 3);
    colluder.offer(&mut trial.world);
    trial.world.enter(0, channel);
    trial.world.run_for(1_000);
    for member in [2, 4] {
        let grant = Grant {
            channel,
            member: MemberId([member; 16]),
            granted: true,
        };
        trial.world.submit(0, Body::Grant(grant));
        trial.world.run_for(6_000);
    }
    colluder.join(&mut trial.world);
    colluder.follow(&mut trial.world);
    (channel, colluder)
}

/// A direct channel of party 0 with party 1, and 3 who is not honest; 2 is not in it.
fn direct(trial: &mut Trial) -> (ChannelId, Colluder) {
    trial.all_but(&[3]);
    let mut colluder = Colluder::new(&trial.world, 3);
    colluder.offer(&mut trial.world);
    let with = [MemberId([2; 16]), MemberId([4; 16])];
    let channel = trial.world.direct(0, &with);
    trial.world.run_for(10_000);
    colluder.join(&mut trial.world);
    colluder.follow(&mut trial.world);
    (channel, colluder)
}

/// The server puts these into the log for the victims; each refuses with this alarm.
fn strike(
    trial: &mut Trial,
    channel: ChannelId,
    records: Vec<(DeviceId, Vec<u8>)>,
    victims: &[usize],
    kind: AlarmKind,
) {
    let before: Vec<_> = victims
        .iter()
        .map(|victim| trial.world.devices_in(*victim, channel))
        .collect();
    let log = FalseLog::new(&mut trial.world, victims[0], channel);
    let log = Rc::new(RefCell::new(log));
    trial.show(&log, victims);
    for (number, (device, bytes)) in records.into_iter().enumerate() {
        let mark = plenary_proto::ids::ClientId([200 + number as u8; 16]);
        log.borrow_mut().append(device, mark, bytes);
    }
    trial.world.run_for(1_000);
    for (victim, before) in victims.iter().zip(before) {
        trial.raised(*victim, kind);
        // It may be out and on its way back in; nobody new is in its group.
        let now = trial.world.devices_in(*victim, channel);
        assert!(now.iter().all(|device| before.contains(device)), "{now:?}");
    }
    // Sometimes it lies for so long that they give their own state up, and return into the lie.
    let said = trial.dice.coin();
    if said {
        trial.world.run_for(15_000);
        trial.say(victims[0], channel);
        trial.world.run_for(15_000);
    }
    trial.honest();
    trial.talks(channel, victims);
    if said {
        // Peers are asked for what was missed, less and less often.
        trial.world.run_for(600_000);
        trial.all_there(channel, victims);
    }
    trial.nothing_false();
}

/// A commit in the name of this device is refused by all three others.
fn refused(trial: &mut Trial, channel: ChannelId, device: DeviceId, commit: Vec<u8>) {
    let records = vec![(device, commit)];
    strike(
        trial,
        channel,
        records,
        &[0, 1, 2],
        AlarmKind::InvalidCommit,
    );
}

fn bytes(message: &MlsMessage) -> Vec<u8> {
    message.to_bytes().unwrap()
}

fn package(who: &Colluder, trial: &Trial) -> MlsMessage {
    MlsMessage::from_bytes(&who.key_package(trial.world.now)).unwrap()
}

fn revoke(trial: &mut Trial, member: u8) {
    let revoke = Body::Revoke(Revoke {
        target: Target::Member(MemberId([member; 16])),
        reason: Reason::Compromised,
    });
    trial.world.submit(0, revoke);
}

/// A leaf that no DEVICE statement backs, added by a member.
pub fn hostile_ghost_device(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let ghost = DeviceId(trial.dice.bytes());
    let ghost = Colluder::with(3, ghost, &trial.dice.key(), HYBRID);
    let package = package(&ghost, trial);
    let data = colluder.data(&trial.world);
    let with_path = trial.dice.coin();
    let own = colluder.leaf_of(DeviceId([101; 16]));
    let commit = colluder.commit(&data, |builder| {
        let builder = builder.add_member(package).unwrap();
        match with_path {
            true => builder.remove_member(own).unwrap(),
            false => builder,
        }
    });
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// A leaf in the name of a live device, with a key that the ledger does not give it.
pub fn hostile_ghost_key(trial: &mut Trial) {
    trial.all_but(&[2, 3]);
    let channel = trial.in_channel(0);
    let mut colluder = Colluder::new(&trial.world, 3);
    colluder.enter(&mut trial.world, channel);
    trial.chatter(channel);
    colluder.follow(&mut trial.world);
    let ghost = Colluder::with(3, DeviceId([103; 16]), &trial.dice.key(), HYBRID);
    let package = package(&ghost, trial);
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder.add_member(package).unwrap());
    let records = vec![(colluder.device, bytes(commit.commit_message()))];
    strike(trial, channel, records, &[0, 1], AlarmKind::InvalidCommit);
}

/// An external commit by a device that is in no ledger.
pub fn hostile_ghost_enters(trial: &mut Trial) {
    let (channel, colluder) = with_colluder(trial);
    let mut ghost = Colluder::with(3, DeviceId(trial.dice.bytes()), &trial.dice.key(), HYBRID);
    let (_, info, tree, _) = Colluder::group_state(&mut trial.world, 0, channel);
    let data = colluder.data(&trial.world);
    let commit = ghost.external(&info, &tree, &data).unwrap();
    refused(trial, channel, ghost.device, commit);
}

/// A live device without a GRANT lets itself into a channel by GRANT.
pub fn hostile_external_commit_into_granted(trial: &mut Trial) {
    let (channel, colluder) = granted(trial);
    enter_uninvited(trial, channel, &colluder);
}

/// A live device lets itself into a direct channel of others.
pub fn hostile_external_commit_into_direct(trial: &mut Trial) {
    let (channel, colluder) = direct(trial);
    enter_uninvited(trial, channel, &colluder);
}

fn enter_uninvited(trial: &mut Trial, channel: ChannelId, colluder: &Colluder) {
    let mut stranger = Colluder::new(&trial.world, 2);
    // A member inside gives away what it needs.
    let (_, info, tree, _) = Colluder::group_state(&mut trial.world, 0, channel);
    let data = colluder.data(&trial.world);
    let commit = stranger.external(&info, &tree, &data).unwrap();
    let records = vec![(stranger.device, commit)];
    strike(trial, channel, records, &[0, 1], AlarmKind::InvalidCommit);
}

/// A member adds somebody without a GRANT.
pub fn hostile_add_by_non_owner(trial: &mut Trial) {
    let (channel, colluder) = granted(trial);
    add_uninvited(trial, channel, colluder);
}

/// A member of a direct channel adds somebody.
pub fn hostile_add_by_non_owner_in_direct(trial: &mut Trial) {
    let (channel, colluder) = direct(trial);
    add_uninvited(trial, channel, colluder);
}

fn add_uninvited(trial: &mut Trial, channel: ChannelId, mut colluder: Colluder) {
    let stranger = Colluder::new(&trial.world, 2);
    let package = package(&stranger, trial);
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder.add_member(package).unwrap());
    let records = vec![(colluder.device, bytes(commit.commit_message()))];
    strike(trial, channel, records, &[0, 1], AlarmKind::InvalidCommit);
}

/// A member puts another out who is live, without owning the channel.
pub fn hostile_remove_by_non_owner(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let removed = DeviceId([101 + trial.dice.below(3) as u8; 16]);
    let leaf = colluder.leaf_of(removed);
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder.remove_member(leaf).unwrap());
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// The ledger has the colluder out; it commits before the others remove it, with a path or without.
pub fn hostile_commit_by_revoked(trial: &mut Trial) {
    trial.all_but(&[2, 3]);
    let channel = trial.in_channel(0);
    let mut colluder = Colluder::new(&trial.world, 3);
    colluder.enter(&mut trial.world, channel);
    let log = deaf_log(trial, channel, &[0, 1]);
    revoke(trial, 4);
    trial.world.run_for(250);
    let data = colluder.data(&trial.world);
    // Somebody live is added and no path needed: the committer's leaf is not looked at by MLS.
    let added = package(&Colluder::new(&trial.world, 2), trial);
    let commit = match trial.dice.coin() {
        true => colluder.commit(&data, |builder| builder),
        false => colluder.commit(&data, |builder| builder.add_member(added).unwrap()),
    };
    let (device, commit) = (colluder.device, bytes(commit.commit_message()));
    log.borrow_mut().append(device, colluder.mark(), commit);
    trial.world.run_for(1_000);
    for victim in 0..2 {
        trial.raised(victim, AlarmKind::InvalidCommit);
    }
    trial.honest();
    for victim in 0..2 {
        assert!(!trial.world.devices_in(victim, channel).contains(&device));
    }
    trial.talks(channel, &[0, 1]);
    trial.nothing_false();
}

/// The server answers no append of these, and shows them only what it is told to.
fn deaf_log(trial: &mut Trial, channel: ChannelId, to: &[usize]) -> Rc<RefCell<FalseLog>> {
    let log = FalseLog::new(&mut trial.world, to[0], channel);
    let log = Rc::new(RefCell::new(log));
    log.borrow_mut().deaf = true;
    trial.show(&log, to);
    log
}

/// A revoked device comes back by external commit, naming the newest ledger or one before.
pub fn hostile_external_commit_by_revoked(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let mut data = colluder.data(&trial.world);
    revoke(trial, 4);
    trial.world.run_for(5_000);
    assert!(
        !trial
            .world
            .devices_in(0, channel)
            .contains(&colluder.device)
    );
    let (_, info, tree, _) = Colluder::group_state(&mut trial.world, 0, channel);
    if trial.dice.coin() {
        data = colluder.data(&trial.world);
    }
    let commit = colluder.external(&info, &tree, &data).unwrap();
    refused(trial, channel, colluder.device, commit);
}

/// A commit that leaves a revoked leaf in the group, though it names the ledger that has it out.
pub fn hostile_commit_leaves_revoked(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let log = deaf_log(trial, channel, &[0, 1]);
    revoke(trial, 3);
    trial.world.run_for(250);
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder);
    let commit = bytes(commit.commit_message());
    let mark = colluder.mark();
    log.borrow_mut().append(colluder.device, mark, commit);
    trial.world.run_for(1_000);
    for victim in [0, 1] {
        trial.raised(victim, AlarmKind::InvalidCommit);
    }
    trial.honest();
    for victim in [0, 1] {
        let devices = trial.world.devices_in(victim, channel);
        assert!(!devices.contains(&DeviceId([103; 16])));
    }
    trial.talks(channel, &[0, 1]);
    trial.nothing_false();
}

/// Hands a commit to the honest server.
fn honestly(trial: &mut Trial, channel: ChannelId, colluder: &mut Colluder, data: &AuthData) {
    let epoch = colluder.group.as_ref().unwrap().current_epoch();
    let commit = colluder.commit(data, |builder| builder);
    let append = Append {
        channel,
        client_id: colluder.mark(),
        epoch: plenary_proto::ids::Epoch(epoch),
        bytes: bytes(commit.commit_message()).into(),
        commit: Some(CommitExtras {
            group_info: bytes(commit.external_commit_group_info().unwrap()).into(),
            welcomes: vec![],
        }),
    };
    trial.world.request_as(3, Request::Append(append)).unwrap();
    trial.world.run_for(1_000);
}

/// After the commit of an epoch the server lets a second one of the same epoch in.
pub fn hostile_two_commits_in_one_epoch(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let data = colluder.data(&trial.world);
    let second = colluder.commit(&data, |builder| builder);
    honestly(trial, channel, &mut colluder, &data);
    refused(
        trial,
        channel,
        colluder.device,
        bytes(second.commit_message()),
    );
}

/// A commit of one channel in the log of another.
pub fn hostile_commit_for_another_channel(trial: &mut Trial) {
    let (channel, _) = with_colluder(trial);
    let other = trial.in_channel(1);
    let mut elsewhere = Colluder::new(&trial.world, 3);
    elsewhere.enter(&mut trial.world, other);
    let data = elsewhere.data(&trial.world);
    let commit = elsewhere.commit(&data, |builder| builder);
    refused(
        trial,
        channel,
        elsewhere.device,
        bytes(commit.commit_message()),
    );
}

/// A commit whose path secrets nobody can open: the server cannot see it.
pub fn hostile_bad_path_secrets(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    colluder.spoil_paths();
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder);
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// The same with a server that is honest: everybody must come back by themselves.
pub fn hostile_bad_path_secrets_in_the_log(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    colluder.spoil_paths();
    let data = colluder.data(&trial.world);
    honestly(trial, channel, &mut colluder, &data);
    let said: Vec<_> = (0..3).map(|who| trial.say(who, channel)).collect();
    trial.world.run_for(60_000);
    for victim in 0..3 {
        trial.raised(victim, AlarmKind::InvalidCommit);
        let texts = trial.world.texts(victim, channel);
        assert!(said.iter().all(|said| texts.contains(said)), "{victim}");
    }
    trial.talks(channel, &[0, 1, 2]);
    trial.nothing_false();
}

/// A commit whose membership and confirmation tags are wrong: the server cannot see it.
pub fn hostile_wrong_tags(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    colluder.spoil_tags();
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder);
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// A commit with a bit that fell over on its way.
pub fn hostile_rewritten_commit(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let data = colluder.data(&trial.world);
    let commit = colluder.commit(&data, |builder| builder);
    let mut commit = bytes(commit.commit_message());
    // The first four bytes make it a commit at all.
    let at = 4 + trial.dice.below(commit.len() - 4);
    commit[at] ^= 1 << trial.dice.below(8);
    refused(trial, channel, colluder.device, commit);
}

/// A proposal by itself in the log, and a commit that refers to it.
pub fn hostile_proposal_by_reference(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let data = colluder.data(&trial.world);
    let leaf = colluder.leaf_of(DeviceId([102; 16]));
    let group = colluder.group.as_mut().unwrap();
    let proposal = group.propose_remove(leaf, data.encode()).unwrap();
    let commit = colluder.commit(&data, |builder| builder);
    let mut records = vec![
        (colluder.device, bytes(&proposal)),
        (colluder.device, bytes(commit.commit_message())),
    ];
    if trial.dice.coin() {
        records.remove(0);
    }
    strike(
        trial,
        channel,
        records,
        &[0, 1, 2],
        AlarmKind::InvalidCommit,
    );
}

/// Somebody outside proposes to be added.
pub fn hostile_proposal_from_outside(trial: &mut Trial) {
    let (channel, colluder) = with_colluder(trial);
    let outsider = Colluder::with(3, DeviceId(trial.dice.bytes()), &trial.dice.key(), HYBRID);
    let (_, info, tree, _) = Colluder::group_state(&mut trial.world, 0, channel);
    let data = colluder.data(&trial.world);
    let proposal = outsider.propose_itself(&info, &tree, &data, trial.world.now);
    refused(trial, channel, outsider.device, proposal);
}

/// A commit that changes what the group says of itself, or wants another group instead.
pub fn hostile_group_changes_itself(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let data = colluder.data(&trial.world);
    let own = ExtensionList::new();
    let commit = match trial.dice.coin() {
        true => colluder.commit(&data, |builder| builder.set_group_context_ext(own).unwrap()),
        false => colluder.commit(&data, |builder| {
            let version = mls_rs_core::protocol_version::ProtocolVersion::MLS_10;
            builder.reinit(None, version, HYBRID, own).unwrap()
        }),
    };
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// A commit that names an older ledger or moment than the commit before it.
pub fn hostile_commit_goes_back(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let grant = Grant {
        channel: trial.world.channels[2],
        member: MemberId([2; 16]),
        granted: true,
    };
    let old = colluder.data(&trial.world);
    trial.world.say(0, Body::Grant(grant));
    let new = colluder.data(&trial.world);
    honestly(trial, channel, &mut colluder, &new);
    colluder.follow_own(&mut trial.world, channel);
    let mut data = colluder.data(&trial.world);
    match trial.dice.coin() {
        true => data.ledger = old.ledger,
        false => data.time = old.time,
    }
    let commit = colluder.commit(&data, |builder| builder);
    refused(
        trial,
        channel,
        colluder.device,
        bytes(commit.commit_message()),
    );
}

/// A commit that names a ledger with another hash.
pub fn hostile_commit_names_another_ledger(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let mut data = colluder.data(&trial.world);
    data.ledger.hash = Digest(trial.dice.bytes());
    let commit = colluder.commit(&data, |builder| builder);
    let records = vec![(colluder.device, bytes(commit.commit_message()))];
    strike(trial, channel, records, &[0, 1, 2], AlarmKind::LedgerForked);
}

/// A commit that names a ledger that nobody has.
pub fn hostile_commit_names_ledger_to_come(trial: &mut Trial) {
    let (channel, mut colluder) = with_colluder(trial);
    let mut data = colluder.data(&trial.world);
    data.ledger.seq.0 += 1 + trial.dice.below(1_000) as u64;
    let commit = colluder.commit(&data, |builder| builder);
    let records = vec![(colluder.device, bytes(commit.commit_message()))];
    strike(
        trial,
        channel,
        records,
        &[0, 1, 2],
        AlarmKind::LedgerWithheld,
    );
}
