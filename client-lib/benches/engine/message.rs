//! Messages and commits. One network is filled once, size after size (a minute or two for 1,000: each
//! device enters by a commit of its own, so that the tree is as in use).

use plenary_client::simulation::{Large, Spent};

use super::{millis, told};

/// Bytes of a text.
const TEXT: usize = 300;
/// Devices of each size that have a client: those that enter, and are measured.
const SEATS: usize = 3;
/// Commits of others that are followed at each size.
const COMMITS: usize = 12;
/// Messages at each size, after some that are not counted.
const MESSAGES: usize = 500;
const WARM_UP: usize = 50;

pub(super) fn run() {
    let wanted = std::env::var("ENGINE_SIZES").unwrap_or_else(|_| "10,100,300,1000".to_owned());
    let mut sizes: Vec<_> = wanted
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .filter(|size| *size > SEATS)
        .collect();
    sizes.sort_unstable();
    let most = sizes.last().copied().unwrap_or(10);
    let mut large = Large::new(most + (SEATS + COMMITS) * sizes.len());
    for size in sizes {
        while large.size() + SEATS < size {
            large.fill();
        }
        measure(&mut large);
    }
}

fn measure(large: &mut Large) {
    let mut seats = Vec::new();
    let mut joins = Vec::new();
    for n in 0..SEATS {
        let mut seat = large.seat();
        let mut took = large.join(&mut seat);
        if let Some(first) = seats.first_mut() {
            large.hear(first);
            large.say(first, TEXT);
            let (read, shown) = large.hear(&mut seat);
            assert!(shown > 0, "seat {n} reads nothing");
            took += read;
            joins.push(took);
        }
        seats.push(seat);
    }
    let size = large.size();
    for seat in &mut seats {
        large.hear(seat);
    }
    let (mut sealed, mut acknowledged, mut opened) = (Vec::new(), Vec::new(), Vec::new());
    let (sender, readers) = seats.split_at_mut(1);
    for _ in 0..WARM_UP + MESSAGES {
        let (seal, answer) = large.say(&mut sender[0], TEXT);
        sealed.push(seal);
        acknowledged.push(answer);
        opened.push(large.hear(&mut readers[0]).0);
    }
    println!("\nmessage: {size} devices, {TEXT} B, {MESSAGES} messages; median by the wall");
    let tell = |what: &str, all: &mut [Spent]| println!("  {what:<24}{}", told(all));
    tell("enter and first read", &mut joins);
    tell("seal", &mut sealed[WARM_UP..]);
    tell("acknowledged, read back", &mut acknowledged[WARM_UP..]);
    tell("open", &mut opened[WARM_UP..]);
    let mut commits = Vec::new();
    for _ in 0..COMMITS {
        large.fill();
        let before = large.epoch(&mut readers[0]);
        commits.push(large.hear(&mut readers[0]).0);
        assert_eq!(large.epoch(&mut readers[0]), before + 1);
    }
    tell("follow a commit", &mut commits);
    let slowest = commits.last().map_or(0.0, |one| millis(one.wall));
    println!("  {:<24}{slowest:8.3} ms", "the slowest of them");
}
