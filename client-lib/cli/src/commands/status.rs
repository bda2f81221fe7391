//! How the profile is; and bringing it up to date.

use std::time::Duration;

use plenary_client::Standing;
use serde_json::json;

use super::{alarms, show::standing_word};
use crate::{
    exit::Failure,
    output::Style,
    session::{Context, Need, Session},
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
                ("queued", Style::Plain, status.queued.to_string()),
                ("messages", Style::Plain, status.messages.to_string()),
                ("alarms", alarmed, alarms::counted(alarms.len())),
            ];
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
