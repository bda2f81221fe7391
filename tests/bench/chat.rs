//! How long a message takes from one member to another: alone, and beside four transfers.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use plenary_client::{Event, content::Draft, ids::Seq};
use plenary_tests::harness::{Carrier, PATIENCE, Said};

use super::Place;

/// Below what the server lets one device say at once.
const MOST: u64 = 800;
/// Between two messages.
const PAUSE: Duration = Duration::from_millis(10);

/// The 99th percentiles in milliseconds: idle, and while members 2 and 3 send and 4 and 5 fetch.
pub(crate) async fn measure(place: &mut Place, file: &Path, seq: Seq) -> Result<(f64, f64)> {
    let idle = talk(place, || false).await?;
    let into: Vec<_> = (4..6)
        .map(|n| place.home.path().join(format!("in-{n}")))
        .collect();
    into.iter().try_for_each(fs::create_dir)?;
    let running = Arc::new(AtomicUsize::new(4));
    let carriers = [
        place.carry_up(2, file)?,
        place.carry_up(3, file)?,
        place.carry_down(4, seq, &into[0])?,
        place.carry_down(5, seq, &into[1])?,
    ];
    let ready = Arc::new(tokio::sync::Barrier::new(5));
    let ends: Vec<_> = carriers
        .into_iter()
        .map(|carrier| tokio::spawn(follow(carrier, ready.clone(), running.clone())))
        .collect();
    ready.wait().await;
    let beside = talk(place, || running.load(Ordering::Relaxed) < 4).await?;
    for end in ends {
        end.await??;
    }
    Ok((idle, beside))
}

/// A carrier to its end; counts itself out.
async fn follow(
    mut carrier: Carrier,
    ready: Arc<tokio::sync::Barrier>,
    running: Arc<AtomicUsize>,
) -> Result<()> {
    let mut waited = false;
    loop {
        let (said, back) = tokio::task::spawn_blocking(move || (carrier.said(), carrier)).await?;
        carrier = back;
        match said? {
            Some(Said::Ready) => {
                waited = true;
                ready.wait().await;
            }
            Some(Said::Sent(_) | Said::Fetched(_)) => {
                running.fetch_sub(1, Ordering::Relaxed);
            }
            Some(_) => {}
            None => break,
        }
    }
    ensure!(waited, "a carrier ended before it began");
    Ok(())
}

/// Messages from member 0 to member 1, one after the other, until there are enough or it is over.
async fn talk(place: &Place, over: impl Fn() -> bool) -> Result<f64> {
    let (from, to) = (place.members[0].client()?, place.members[1].client()?);
    let mut events = to.events();
    let mut times = Histogram::<u64>::new(3)?;
    while times.len() < MOST && !over() {
        let begun = Instant::now();
        let draft = Draft::text(format!("message {}", times.len()));
        let sent = from.send(place.channel, draft).await?;
        let seq = tokio::time::timeout(PATIENCE, sent.delivered()).await??;
        let read = async {
            loop {
                let event = events.next().await.context("the client was closed")?;
                if matches!(event, Event::Messages { channel, through }
                    if channel == place.channel && through >= seq)
                {
                    return anyhow::Ok(());
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await??;
        times.record(begun.elapsed().as_micros() as u64)?;
        tokio::time::sleep(PAUSE).await;
    }
    ensure!(
        times.len() >= 20,
        "only {} messages: take a larger file",
        times.len()
    );
    println!(
        "            {} messages, median {:.1} ms",
        times.len(),
        times.value_at_quantile(0.5) as f64 / 1e3
    );
    Ok(times.value_at_quantile(0.99) as f64 / 1e3)
}
