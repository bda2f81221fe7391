//! What a channel's size costs a client: a message sealed and opened, each stored and synced, entering
//! with the first message read, following another's commit.
//!
//! `cargo bench -p plenary-client --features simulation --bench engine`: sizes 10, 100, 300 and 1,000;
//! `ENGINE_SIZES=10,100` takes others. One network is filled once, size after size (some minutes for
//! 1,000: each device enters by a commit of its own, so that the tree is as in use). The server's
//! part, which runs in the same thread, is not counted; the profile lies in the system's folder for
//! temporary files.
#![allow(
    clippy::unwrap_used,
    missing_docs,
    reason = "a bench that does not work must stop"
)]

use std::{cell::RefCell, time::Duration};

use criterion::{BenchmarkId, Criterion};
use plenary_client::simulation::Large;

/// Bytes of a text.
const TEXT: usize = 300;
/// Devices of each size that have a client: those that enter, and are measured.
const SEATS: usize = 3;
/// Commits of others that are followed at each size.
const COMMITS: usize = 12;

fn sizes() -> Vec<usize> {
    let wanted = std::env::var("ENGINE_SIZES").unwrap_or_else(|_| "10,100,300,1000".to_owned());
    let mut sizes: Vec<_> = wanted
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .filter(|size| *size > SEATS)
        .collect();
    sizes.sort_unstable();
    sizes
}

fn main() {
    let sizes = sizes();
    let most = sizes.last().copied().unwrap_or(10);
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .configure_from_args();
    let mut large = Large::new(most + (SEATS + COMMITS) * sizes.len());
    for size in sizes {
        while large.size() + SEATS < size {
            large.fill();
        }
        measure(&mut criterion, &mut large);
    }
    criterion.final_summary();
}

fn measure(criterion: &mut Criterion, large: &mut Large) {
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
    // Entering cannot be repeated by one device: the few there are, as they are.
    for took in joins {
        println!(
            "enter and first read/{size}: {:.1} ms",
            took.as_secs_f64() * 1e3
        );
    }
    for seat in &mut seats {
        large.hear(seat);
    }
    let large = RefCell::new(large);
    let (sender, readers) = seats.split_at_mut(1);
    let (sender, reader) = (RefCell::new(&mut sender[0]), RefCell::new(&mut readers[0]));
    let each = |iterations: u64, work: &dyn Fn() -> Duration| {
        (0..iterations).map(|_| work()).sum::<Duration>()
    };
    let mut group = criterion.benchmark_group("message");
    group.bench_function(BenchmarkId::new("seal", size), |bench| {
        bench.iter_custom(|iterations| {
            each(iterations, &|| {
                let mut large = large.borrow_mut();
                let (sealed, _) = large.say(&mut sender.borrow_mut(), TEXT);
                large.hear(&mut reader.borrow_mut());
                sealed
            })
        });
    });
    group.bench_function(BenchmarkId::new("acknowledged", size), |bench| {
        bench.iter_custom(|iterations| {
            each(iterations, &|| {
                let mut large = large.borrow_mut();
                let (_, acknowledged) = large.say(&mut sender.borrow_mut(), TEXT);
                large.hear(&mut reader.borrow_mut());
                acknowledged
            })
        });
    });
    group.bench_function(BenchmarkId::new("open", size), |bench| {
        bench.iter_custom(|iterations| {
            each(iterations, &|| {
                let mut large = large.borrow_mut();
                large.say(&mut sender.borrow_mut(), TEXT);
                large.hear(&mut reader.borrow_mut()).0
            })
        });
    });
    group.finish();
    let mut commits: Vec<_> = (0..COMMITS)
        .map(|_| {
            let mut large = large.borrow_mut();
            let mut reader = reader.borrow_mut();
            large.fill();
            let before = large.epoch(&mut reader);
            let (took, _) = large.hear(&mut reader);
            assert_eq!(large.epoch(&mut reader), before + 1);
            took
        })
        .collect();
    commits.sort_unstable();
    println!(
        "commit/receive/{size}: {:.2} ms (median of {COMMITS}; {:.2} to {:.2})",
        commits[COMMITS / 2].as_secs_f64() * 1e3,
        commits[0].as_secs_f64() * 1e3,
        commits[COMMITS - 1].as_secs_f64() * 1e3,
    );
}
