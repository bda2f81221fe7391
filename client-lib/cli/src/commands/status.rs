//! How the profile is; and bringing it up to date.

use std::time::Duration;

use plenary_client::{Freshness, Recovery, Standing};
use serde_json::json;

use super::{alarms, show::standing_word};
use crate::{
    exit::Failure,
    output::Style,
    session::{Context, Need, Session},
    time,
};

/// How often to look whether the outbox is empty; what is acknowledged raises no common event.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn status(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    print(context, &session).await?;
    session.finish().await
}

pub(super) async fn sync(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let work = async {
        session.client.caught_up(context.patience()).await?;
        while session.client.status().await?.queued > 0 {
            tokio::time::sleep(LOOK).await;
        }
        Ok::<_, plenary_client::Error>(())
    };
    let done = context.within("sending what is queued", work).await;
    print(context, &session).await?;
    session.finish().await?;
    done
}

/// For people: how far a recovery is, and what to do.
pub(crate) fn recovery_words(recovery: &Recovery) -> String {
    match recovery {
        Recovery::Announced {
            announced,
            possible,
            ..
        } => format!(
            "the recovery role announced on {} that it replaces the Board; possible from {}. If you \
             are on the Board and did not ask for it, sign any ROOT before: that ends it",
            time::local(*announced),
            time::local(*possible)
        ),
        Recovery::Unconfirmed { at } => format!(
            "the recovery role replaced the Board at statement {}, sooner than this profile could \
             show it: ask somebody you know on the Board, by voice, then `plenary ledger confirm`",
            at.0
        ),
        other => format!("{other:?}"),
    }
}

/// For programs.
fn freshness_word(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Unkept => "unkept",
        Freshness::Fresh { .. } => "fresh",
        Freshness::Lapsed { .. } => "lapsed",
    }
}

/// For people: what is the case and what follows.
pub(crate) fn freshness_words(freshness: Freshness) -> String {
    match freshness {
        Freshness::Unkept => "none in this network: ROOT names no heartbeat key".to_owned(),
        Freshness::Fresh { until } => {
            format!("vouched for, good until {}", time::local(until))
        }
        Freshness::Lapsed {
            since, sends_until, ..
        } => format!(
            "lapsed since {}: nobody new is sealed to, TLP:RED waits, everything from {}",
            time::local(since),
            time::local(sends_until)
        ),
    }
}

async fn print(context: &Context, session: &Session) -> Result<(), Failure> {
    let status = session.client.status().await?;
    let alarms = session.client.alarms().await?;
    let read = session.client.notices_read().await?;
    let news = status.ledger.0.saturating_sub(read.0);
    let members = session.client.members().await?;
    let own = members.into_iter().find(|one| one.id == status.member);
    let person = own.and_then(|own| own.person);
    let folder = context.folder()?.display().to_string();
    context.out.emit(
        || {
            json!({
                "profile": folder,
                "network": status.network.to_string(),
                "root1": status.root1.to_string(),
                "member": status.member.to_string(),
                "device": status.device.to_string(),
                "name": person.as_ref().map(|person| &person.name),
                "state": person.as_ref().map(|person| &person.state),
                "standing": standing_word(status.standing),
                "online": status.online,
                "caught_up": status.caught_up,
                "ledger": status.ledger.0,
                "notices": news,
                "heartbeat": status.heartbeat.map(|(time, seq)| json!({
                    "time": time::rfc3339(time),
                    "ledger": seq.0,
                })),
                "freshness": freshness_word(status.freshness),
                "recovery": status.recovery.as_ref().map(recovery_words),
                "clock": status.clock.map(|clock| clock.to_string()),
                "queued": status.queued,
                "messages": status.messages,
                "alarms": alarms.iter().map(alarms::value).collect::<Vec<_>>(),
            })
        },
        |line| {
            let who = person.as_ref();
            let who = who.map(|who| format!("{}, {}", who.name, who.state));
            let who = who.unwrap_or_else(|| "(not known here)".to_owned());
            let (good, bad) = (Style::Good, Style::Bad);
            let standing = if status.standing == Standing::Live {
                good
            } else {
                bad
            };
            let (online, connection) = match (status.online, context.global.offline) {
                (true, _) if status.caught_up => (good, "online"),
                (true, _) => (good, "online, reading on"),
                (false, true) => (Style::Plain, "not asked for"),
                (false, false) => (bad, "offline"),
            };
            let vouched = match status.freshness {
                Freshness::Unkept => Style::Plain,
                Freshness::Fresh { .. } => good,
                Freshness::Lapsed { .. } => bad,
            };
            let alarmed = if alarms.is_empty() { Style::Plain } else { bad };
            let rows = [
                ("profile", Style::Plain, folder.clone()),
                ("network", Style::Plain, status.network.to_string()),
                ("ROOT 1", Style::Plain, status.root1.to_string()),
                ("you", Style::Bold, who),
                ("member", Style::Plain, status.member.to_string()),
                ("device", Style::Plain, status.device.to_string()),
                ("standing", standing, status.standing.to_string()),
                ("connection", online, connection.to_owned()),
                (
                    "ledger",
                    Style::Plain,
                    match news {
                        0 => format!("{} statements", status.ledger.0),
                        news => format!(
                            "{} statements, {news} new: plenary ledger log --new",
                            status.ledger.0
                        ),
                    },
                ),
                ("heartbeat", vouched, freshness_words(status.freshness)),
                ("queued", Style::Plain, status.queued.to_string()),
                ("messages", Style::Plain, status.messages.to_string()),
                ("alarms", alarmed, alarms::counted(alarms.len())),
            ];
            let recovery = status.recovery.as_ref().map(recovery_words);
            let recovery = recovery.map(|words| ("recovery", bad, words));
            let clock = status.clock.map(|clock| ("clock", bad, clock.to_string()));
            let rows: Vec<_> = rows.into_iter().chain(recovery).chain(clock).collect();
            let mut line = line;
            for (index, (what, style, value)) in rows.iter().enumerate() {
                if index > 0 {
                    line = line.end();
                }
                line = line.column(Style::Dim, what, 10).add(*style, value);
            }
            alarms.iter().fold(line, |line, alarm| {
                alarms::show(line.end().plain("  "), alarm)
            })
        },
    )
}
