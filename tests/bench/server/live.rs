//! Five thousand sessions that all hear what is said: whether all of it comes, and what they hold then.

use std::path::Path;

use anyhow::Result;
use futures_util::future::try_join_all;
use plenary_proto::request::Purpose;
use plenary_tests::report::{Goal, Row};

use super::{
    BYTES, DEVICES, Place, SENDERS, large,
    line::{Address, Line, Target, Who},
    load::Fan,
    rest::{AT_ONCE, resident},
    rows, turns,
};

const SESSIONS: usize = 5_000;

/// Each device of the network has five sessions in one channel of all.
pub async fn live(program: &Path, rounds: usize) -> Result<Vec<Row>> {
    let place = Place::make(program, &[large(DEVICES, BYTES)]).await?;
    let address = Address::Bare {
        channel: 0,
        bytes: BYTES,
    };
    let process = place.world.process()?;
    let mut memory = Vec::new();
    for of in [place.bare.process(), process] {
        memory.push((of.to_string(), resident(&of.to_string())?));
    }
    let open = async |ours: bool, sessions| {
        let devices = ours.then_some(&place.world);
        let target = devices.map_or(&place.at_bare, |world| &world.target);
        let who = |n: usize| match devices {
            Some(world) => Who::Device(&world.devices[n % DEVICES], Purpose::Chat),
            None => Who::Anybody,
        };
        lines(target, who, sessions).await
    };
    let [bare_readers, readers] = [open(false, SESSIONS).await?, open(true, SESSIONS).await?];
    let [bare_senders, senders] = [open(false, SENDERS).await?, open(true, SENDERS).await?];
    let channel = &place.world.channels[0];
    let mut fans = [
        Fan::new(
            place.bare.process(),
            address,
            bare_senders,
            bare_readers,
            false,
        )
        .await?,
        Fan::new(process, channel.address.clone(), senders, readers, false).await?,
    ];
    // A round ends with an error unless every session heard every message.
    let took = turns(&mut fans, rounds, [1, 10], async |fan, size| {
        fan.blast(size, 1).await
    })
    .await?;
    let mut held = Vec::new();
    for (of, before) in &memory {
        held.push((resident(of)? - before) / 1024.0 / SESSIONS as f64);
    }
    let mut rows = rows(
        &place,
        "1 to 5,000 sessions: CPU a million deliveries",
        "s",
        &took,
        Goal::None,
        |one| one.cpu * 1e6 / one.deliveries as f64,
    );
    rows.push(Row {
        work: "the same: memory a session, then".to_owned(),
        unit: "KiB",
        beside: vec![held[0]],
        ours: vec![held[1]],
        goal: Goal::None,
    });
    Ok(rows)
}

async fn lines<'a>(
    target: &Target,
    who: impl Fn(usize) -> Who<'a>,
    sessions: usize,
) -> Result<Vec<Line>> {
    let mut lines = Vec::with_capacity(sessions);
    while lines.len() < sessions {
        let page = lines.len()..sessions.min(lines.len() + AT_ONCE);
        lines.extend(try_join_all(page.map(|n| target.open(who(n)))).await?);
    }
    Ok(lines)
}
