//! Many commits at once, and forks among them: one order everywhere at the end, nothing lost.
//!
//! The everyday run is small. The full one, 50 devices and 1,000 races:
//!
//! ```sh
//! cargo test --release -p plenary-client --lib engine::tests::races -- --ignored --nocapture
//! ```

use std::collections::HashMap;

use plenary_proto::ids::*;

use super::views::audit;
use crate::{engine::*, simulation::World};

/// What a run came to.
#[derive(Debug, Default)]
struct Tally {
    races: usize,
    commits: usize,
    lost: usize,
    sent: usize,
    forks: usize,
    healed: usize,
}

/// In each race several devices make a commit on the same epoch (a new path each, by an empty
/// commit), while others send; now and then one device's state is damaged on disk.
fn races(seed: u64, devices: usize, rounds: usize, forks: usize) -> Tally {
    let mut world = World::connected(seed, devices);
    let channel = world.channels[0];
    // One after the other, so that the beginning is no race of its own.
    for index in 0..devices {
        world.enter(index, channel);
        world.run_for(500);
    }
    world.run();
    let mut tally = Tally::default();
    let mut sent: HashMap<ClientId, usize> = HashMap::new();
    for round in 0..rounds {
        let fork = forks > 0 && round % (rounds / forks).max(1) == 0;
        if fork && tally.forks < forks {
            let victim = world.dice().below(devices);
            let store = world.parties[victim].engine.store().clone();
            let sql = *world.dice().pick(&[
                "DELETE FROM mls_group",
                "UPDATE mls_group SET state = x'00ff'",
                "UPDATE mls_tree SET tree = x'0102'",
            ]);
            store.lock().execute(sql, []).unwrap();
            drop(store);
            world.restart(victim);
            world.connect(victim);
            tally.forks += 1;
        }
        let racers = 2 + world.dice().below(3);
        let mut started = 0;
        let now = world.now;
        for _ in 0..racers {
            let index = world.dice().below(devices);
            let engine = &mut world.parties[index].engine;
            started += usize::from(engine.race(now, channel).unwrap());
        }
        tally.commits += started;
        if started > 1 {
            tally.races += 1;
            tally.lost += started - 1;
        }
        let sender = world.dice().below(devices);
        let mark = world.send(sender, channel, &format!("{round} by {sender}"));
        sent.insert(mark, sender);
        world.run_for(250);
    }
    world.run_for(240_000);
    tally.sent = sent.len();

    // One order everywhere: who entered later has the end of the same.
    let all = world.texts(0, channel);
    assert_eq!(all.len(), sent.len(), "seed {seed}: nothing is lost");
    let head = world.parties[0].engine.channels[&channel].row.head;
    for index in 0..devices {
        assert_eq!(
            world.texts(index, channel),
            all,
            "seed {seed}, party {index}"
        );
        let one = &world.parties[index].engine.channels[&channel];
        assert_eq!(one.row.head, head, "seed {seed}, party {index}");
        assert_eq!(one.gaps.len(), 0, "seed {seed}, party {index}");
        let clean = audit(&world, index);
        assert!(clean.is_clean(), "seed {seed}, party {index}: {clean:?}");
        let told = world.alarm_kinds(index);
        assert!(
            told.iter().all(|kind| *kind == AlarmKind::GroupLost),
            "seed {seed}, party {index}: {told:?}"
        );
        tally.healed += told.len();
        assert_eq!(world.queued(index), 0);
    }
    tally
}

#[test]
fn commit_races_and_forks_end_in_one_order_everywhere() {
    let tally = races(1, 8, 25, 3);
    assert!(tally.races > 10, "{tally:?}");
    assert_eq!((tally.forks, tally.healed), (3, 3), "{tally:?}");
}

#[test]
#[ignore = "minutes: cargo test --release -p plenary-client --lib tests::races -- --ignored"]
fn a_thousand_commit_races_among_fifty_devices() {
    let start = std::time::Instant::now();
    let tally = races(7, 50, 1_020, 40);
    println!("{tally:?} in {} s", start.elapsed().as_secs());
    assert!(tally.races >= 1_000, "{tally:?}");
    assert_eq!(tally.forks, tally.healed, "{tally:?}");
}
