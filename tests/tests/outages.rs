//! The server goes and comes back, the client dies: nothing is lost, nothing doubled.

mod common;

use std::{collections::HashMap, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{PROGRAM, Room, texts};
use plenary_client::{Client, Event, content::Draft, ids::Seq};
use plenary_tests::harness::{PATIENCE, Talker, line};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_while_the_server_is_down_arrives_without_a_command() -> Result<()> {
    let mut room = Room::of(2).await?;
    let writer = room.client(1)?.clone();
    let mut events = writer.events();
    room.server.stop()?;
    until(&mut events, |event| *event == Event::Offline).await?;
    let mut last = None;
    for number in 0..3 {
        last = Some(writer.send(room.channel, Draft::text(line(number))).await?);
    }
    let status = writer.status().await?;
    assert_eq!((status.online, status.queued), (false, 3));

    room.server.restart()?;
    let last = last.context("nothing was sent")?;
    let seq = tokio::time::timeout(PATIENCE, last.delivered()).await??;
    let got = room.read(0, seq).await?;
    assert_eq!(texts(&got), [line(0), line(1), line(2)]);
    assert_eq!(writer.status().await?.queued, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_in_the_middle_of_sends_keeps_every_acknowledged_one() -> Result<()> {
    Box::pin(killed_in_the_middle(300)).await
}

/// The number that the milestone names.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "longer: cargo test -p plenary-tests --test outages -- --ignored"]
async fn a_server_killed_in_the_middle_of_a_thousand_sends() -> Result<()> {
    Box::pin(killed_in_the_middle(1_000)).await
}

/// Two members send `sends` texts; the server is killed after a third and after two thirds of the
/// acknowledgements.
async fn killed_in_the_middle(sends: usize) -> Result<()> {
    let mut room = Room::of(3).await?;
    let mut writers = Vec::new();
    for who in [1, 2] {
        let client = room.client(who)?.clone();
        let events = client.events();
        let mut outgoing = Vec::new();
        for number in 0..sends / 2 {
            let text = format!("{who}: {}", line(number));
            outgoing.push(client.send(room.channel, Draft::text(text)).await?);
        }
        writers.push((who, client, events, outgoing));
    }
    let mut acknowledged = HashMap::new();
    for part in [sends / 3, sends * 2 / 3] {
        while acknowledged.len() < part {
            let [(_, _, one, _), (_, _, two, _)] = writers.as_mut_slice() else {
                unreachable!("two writers");
            };
            let event = tokio::select! {
                event = one.next() => event,
                event = two.next() => event,
                () = tokio::time::sleep(PATIENCE) => None,
            };
            if let Event::Sent { message, seq, .. } = event.context("no acknowledgement comes")? {
                acknowledged.insert(message, seq);
            }
        }
        ensure!(!room.server.kill()?.success(), "it ended by itself");
        room.server.restart()?;
    }

    let mut last = Seq(0);
    for (_, _, _, outgoing) in &writers {
        for one in outgoing {
            let seq = tokio::time::timeout(PATIENCE, one.delivered()).await??;
            last = last.max(seq);
        }
    }
    let got = room.read(0, last).await?;
    assert_eq!(got.len(), sends);
    for message in &got {
        if let Some(seq) = acknowledged.get(&message.id) {
            assert_eq!(message.seq, *seq, "an acknowledged message moved");
        }
    }
    for (who, client, _, outgoing) in &writers {
        let own: Vec<_> = got.iter().filter(|m| m.member == client.member()).collect();
        let expected: Vec<_> = (0..sends / 2)
            .map(|n| format!("{who}: {}", line(n)))
            .collect();
        let read: Vec<_> = own.iter().filter_map(|message| message.text()).collect();
        assert_eq!(read, expected, "the order of a sender");
        assert!(own.iter().map(|m| m.id).eq(outgoing.iter().map(|o| o.id())));
    }
    for who in [1, 2] {
        assert_eq!(
            room.read(who, last).await?,
            got,
            "the same log for everybody"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_killed_while_it_sends_goes_on_where_it_was() -> Result<()> {
    const TEXTS: usize = 400;
    let mut room = Room::of(2).await?;
    room.members[1].leave().await?;
    let folder = room.members[1].folder.clone();
    let mut queued = 0;
    let mut sent = 0;
    let mut all = Vec::new();
    // Killed early and late: while it connects, and in the middle of sending.
    for after in [1, 20, 150] {
        let mut talker = Talker::start(Path::new(PROGRAM), &folder, room.channel, TEXTS)?;
        while queued < after {
            queued = talker.queued()? + 1;
        }
        let told = talker.kill()?.max(queued);
        queued = 0;
        let client = room.members[1].come_back().await?.clone();
        drained(&client).await?;
        let got = client.messages(room.channel, Seq(0), 10_000).await?;
        let new = got.len() - sent;
        // It may have queued one more than it could tell of.
        ensure!(
            (told..=told + 1).contains(&new) || new == TEXTS,
            "{told} told, {new} sent"
        );
        all.extend((0..new).map(line));
        sent = got.len();
        assert_eq!(texts(&got), all);
        let last = got.last().context("nothing was sent")?.seq;
        assert_eq!(room.read(0, last).await?, got);
        room.members[1].leave().await?;
    }
    Ok(())
}

/// Waits until everything queued is in the log.
async fn drained(client: &Client) -> Result<()> {
    let mut events = client.events();
    let wait = async {
        while client.status().await?.queued > 0 {
            // The last event may have come before the look.
            let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait).await?
}

async fn until(
    events: &mut plenary_client::Events,
    wanted: impl Fn(&Event) -> bool,
) -> Result<Event> {
    let wait = async {
        loop {
            let event = events.next().await.context("the client was closed")?;
            if wanted(&event) {
                return anyhow::Ok(event);
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await?
}
