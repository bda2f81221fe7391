//! Many devices added to one closed channel: by its owner's client, as it does by itself.

use plenary_client::simulation::{Large, Spent};

use super::{memory, millis, setting};

pub(super) fn run() {
    let devices = setting("ADD_DEVICES", 1000);
    // Devices with a client of their own, spread over the batches: those that read.
    let readers = setting("ADD_READERS", 20).clamp(1, devices);
    let mut large = Large::granted(devices + 1);
    let mut owner = large.seat();
    let (mut seats, publishing) = Spent::on(|| {
        let mut seats = Vec::new();
        for index in 0..devices {
            if index % (devices / readers) == 0 && seats.len() < readers {
                seats.push(large.seat());
            } else {
                large.publish();
            }
            // It is told of each: who reads nothing is cut off.
            large.hear(&mut owner);
        }
        seats
    });
    println!(
        "\nadd: {devices} devices with a key package each, put up in {:.0} s; resident {:.0} MiB",
        publishing.wall.as_secs_f64(),
        memory().0
    );
    let (added, whole) = Spent::on(|| large.add(&mut owner, devices + 1));
    println!(
        "  added in {} commits of up to {} KB ({} KB in all): the owner's client {:.1} s, processor {:.1}; \
         with the server in the same thread {:.1} s; {} s of the world's time, by the server's rates",
        added.commits,
        added.largest / 1000,
        added.bytes / 1000,
        added.spent.wall.as_secs_f64(),
        added.spent.cpu.as_secs_f64(),
        whole.wall.as_secs_f64(),
        added.world / 1000,
    );
    let (sealed, _) = large.say(&mut owner, 300);
    let mut joins: Vec<Spent> = Vec::new();
    for seat in &mut seats {
        let (took, shown) = large.hear(seat);
        assert_eq!(shown, 1, "one of those added reads nothing");
        joins.push(took);
    }
    joins.sort_unstable_by_key(|one| one.wall);
    println!(
        "  the first message: sealed in {:.2} ms; {} of those added read it, with joining and following \
         in {:.0} ms (median; {:.0} at most); resident {:.0} MiB, {:.0} at most",
        millis(sealed.wall),
        seats.len(),
        millis(joins[joins.len() / 2].wall),
        millis(joins[joins.len() - 1].wall),
        memory().0,
        memory().1,
    );
}
