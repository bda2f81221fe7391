//! How cost grows: with a channel's members, with channels, with the size of messages, with what is
//! stored, with the devices of a channel at a client. Each is a [`Curve`], drawn by [`plot`](super::plot).

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use plenary_client::simulation::{Large, Seat};
use plenary_tests::report::median;

use super::{
    BYTES, Place, large,
    line::Address,
    load::{Fan, Took},
    rest, small, turns,
    world::{Channel, Plan},
};

/// A figure over what it grows with.
pub struct Curve {
    /// Of its file.
    pub name: &'static str,
    pub title: &'static str,
    pub across: &'static str,
    pub up: &'static str,
    pub lines: Vec<Line>,
}

/// What is measured, and its points.
pub type Line = (&'static str, Vec<(f64, f64)>);

const MEMBERS: [usize; 5] = [10, 30, 100, 300, 1_000];
const CHANNELS: [usize; 4] = [3, 10, 30, 100];
/// Bytes of a message. Of the largest, what is under way is half of what may wait for a reader.
const SIZES: [usize; 5] = [256, 1_024, 4_096, 8_192, 16_384];
/// Who is in the channel where messages of these sizes are said.
const SIZED: usize = 50;
const STORED: [u64; 4] = [10_000, 100_000, 300_000, 1_000_000];
/// Who speaks where sizes differ; each has one message under way.
const SENDERS: usize = 4;
/// Deliveries of one measurement, about.
const DELIVERIES: usize = 400_000;
/// What a client is asked to do at each size.
const TURNS: usize = 15;
const TEXT: usize = 300;

/// The server's curves.
pub async fn server(program: &Path, rounds: usize) -> Result<Vec<Curve>> {
    let mut plans: Vec<Plan> = MEMBERS.iter().map(|size| large(*size, BYTES)).collect();
    plans.extend(SIZES.iter().map(|bytes| large(SIZED, *bytes)));
    plans.extend(small(CHANNELS[CHANNELS.len() - 1], 10, BYTES));
    let mut place = Place::make(program, &plans).await?;
    let members = members(&place, rounds).await?;
    let sizes = sizes(&place, rounds).await?;
    let channels = channels(&place, rounds).await?;
    let stored = stored(&mut place, rounds).await?;
    Ok(vec![members, sizes, channels, stored])
}

async fn members(place: &Place, rounds: usize) -> Result<Curve> {
    let channels = &place.world.channels[..MEMBERS.len()];
    let readers = |channel: &Channel| channel.devices.len() - 1;
    let a_message = |took: &Took| took.cpu * 1e6 / took.messages as f64;
    Ok(Curve {
        name: "members",
        title: "A message said alone, the next once it was heard: CPU of the server",
        across: "others who hear it",
        up: "microseconds",
        lines: fan(
            place,
            channels,
            (0, 1),
            rounds,
            readers,
            a_message,
            Fan::one_by_one,
        )
        .await?,
    })
}

async fn sizes(place: &Place, rounds: usize) -> Result<Curve> {
    let channels = &place.world.channels[MEMBERS.len()..][..SIZES.len()];
    let a_delivery = |took: &Took| took.cpu * 1e6 / took.deliveries as f64;
    Ok(Curve {
        name: "sizes",
        title: "A message delivered to one of 50: CPU of the server",
        across: "bytes of the message",
        up: "microseconds",
        lines: fan(
            place,
            channels,
            (50, SENDERS),
            rounds,
            |channel| channel.bytes,
            a_delivery,
            async |fan, size| fan.blast(size, 1).await,
        )
        .await?,
    })
}

/// Each channel blasted on both servers; the first of the bare one's numbers, and how many speak.
async fn fan(
    place: &Place,
    channels: &[Channel],
    (number, senders): (u32, usize),
    rounds: usize,
    across: impl Fn(&Channel) -> usize,
    figure: impl Fn(&Took) -> f64,
    speak: impl AsyncFn(&mut Fan, u64) -> Result<Took>,
) -> Result<Vec<Line>> {
    let mut lines = [("bare", Vec::new()), ("Plenary", Vec::new())];
    for (number, channel) in (number..).zip(channels) {
        let mut fans = place.fans(channel, senders, number, false).await?;
        let readers = channel.devices.len() - senders;
        // Large messages by fewer: as many bytes as of a thousand each would be too many.
        let deliveries = DELIVERIES / (1 + channel.bytes / 4_096);
        let each = (deliveries / readers / senders).clamp(100, 4_000) as u64;
        let took = turns(&mut fans, rounds, [each / 10, each], &speak).await?;
        push(&mut lines, across(channel), &took, &figure);
    }
    Ok(lines.into())
}

async fn channels(place: &Place, rounds: usize) -> Result<Curve> {
    let mut lines = [("bare", Vec::new()), ("Plenary", Vec::new())];
    let channels = &place.world.channels[MEMBERS.len() + SIZES.len()..];
    for (turn, number) in (1..).zip(CHANNELS) {
        let mut many = place.many(&channels[..number], turn * 1_000).await?;
        let each = (20_000 / number) as u64;
        let took = turns(&mut many, rounds, [each / 10, each], async |one, size| {
            one.talk(size).await
        })
        .await?;
        let a_thousand = |took: &Took| took.cpu * 1e6 / took.messages as f64;
        push(&mut lines, number, &took, a_thousand);
    }
    Ok(Curve {
        name: "channels",
        title: "A thousand messages in channels of 10, one speaking in each: CPU of the server",
        across: "channels",
        up: "milliseconds",
        lines: lines.into(),
    })
}

fn push(lines: &mut [Line; 2], across: usize, took: &[Vec<Took>], figure: impl Fn(&Took) -> f64) {
    for ((_, points), took) in lines.iter_mut().zip(took) {
        let figures: Vec<_> = took.iter().map(&figure).collect();
        points.push((across as f64, median(&figures)));
    }
}

/// Starts with more and more records, all in one channel.
async fn stored(place: &mut Place, rounds: usize) -> Result<Curve> {
    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    let data = place.world.server.data().join("store");
    let channel = place.world.channels.len() - 1;
    let Address::Ours { epoch, .. } = place.world.channels[channel].address else {
        bail!("not ours");
    };
    let mut from = 0;
    for to in STORED {
        place.world.server.stop()?;
        rest::fill(&data, &place.world.channels[channel], epoch, from..to).await?;
        from = to;
        let (mut after_stop, mut after_kill) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            after_stop.push(place.world.restart()?);
            place.world.server.kill()?;
            after_kill.push(place.world.restart()?);
        }
        stopped.push((to as f64, median(&after_stop)));
        killed.push((to as f64, median(&after_kill)));
    }
    Ok(Curve {
        name: "stored",
        title: "The start of a server",
        across: "records stored",
        up: "seconds",
        lines: vec![("after a stop", stopped), ("after a kill", killed)],
    })
}

/// The client's curve: one that enters a channel, speaks and hears there.
pub fn client() -> Result<Curve> {
    let sizes = MEMBERS;
    let names = ["enter, read the first", "seal", "open", "follow a commit"];
    let mut lines = names.map(|name| (name, Vec::new()));
    // At each size two enter, and as many commits are followed as there are turns.
    let mut large = Large::new(sizes[sizes.len() - 1] + sizes.len() * (TURNS + 2));
    for size in sizes {
        while large.size() + 2 < size {
            large.fill();
        }
        let figures = at(&mut large);
        let size = large.size() as f64;
        for ((_, points), figure) in lines.iter_mut().zip(figures) {
            points.push((size, figure.context("nothing was measured")?));
        }
    }
    Ok(Curve {
        name: "devices",
        title: "A client in a channel: its store and ledger included, on disk",
        across: "devices in the channel",
        up: "milliseconds",
        lines: lines.into(),
    })
}

/// Milliseconds: entering, sealing, opening, following.
fn at(large: &mut Large) -> [Option<f64>; 4] {
    let enter = |large: &mut Large, said: Option<&mut Seat>| {
        let mut seat = large.seat();
        let mut took = large.join(&mut seat).wall;
        if let Some(speaker) = said {
            large.hear(speaker);
            large.say(speaker, TEXT);
            took += large.hear(&mut seat).0.wall;
        }
        (seat, took)
    };
    let (mut speaker, _) = enter(large, None);
    let (mut reader, entered) = enter(large, Some(&mut speaker));
    let (mut sealed, mut opened, mut followed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        sealed.push(large.say(&mut speaker, TEXT).0.wall);
        opened.push(large.hear(&mut reader).0.wall);
    }
    for _ in 0..TURNS {
        large.fill();
        followed.push(large.hear(&mut reader).0.wall);
    }
    let median = |took: &[Duration]| {
        let millis: Vec<_> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
        (!millis.is_empty()).then(|| median(&millis))
    };
    [
        median(&[entered]),
        median(&sealed),
        median(&opened),
        median(&followed),
    ]
}

impl Curve {
    /// Its points, and between neighbours what one more costs.
    pub fn print(&self) {
        println!("{} ({}), by {}", self.title, self.up, self.across);
        for (name, points) in &self.lines {
            let there = points.iter().map(|(x, y)| format!("{x:.0}: {y:.3}"));
            println!("  {name:<24} {}", there.collect::<Vec<_>>().join("   "));
            let more = points
                .windows(2)
                .map(|step| (step[1].1 - step[0].1) / (step[1].0 - step[0].0));
            let more = more.map(|more| format!("{more:.5}"));
            println!(
                "    {:<22} {}",
                "each more",
                more.collect::<Vec<_>>().join("   ")
            );
        }
    }
}
