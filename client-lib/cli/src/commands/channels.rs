//! Channels: those there are, entering, direct ones.

use plenary_client::{ChannelInfo, EntryRule, Presence};
use serde_json::{Value, json};

use super::show::{channel_name, short};
use crate::{
    args::{ChannelCommand, DirectArgs, EnterArgs, RemoveArgs},
    exit::Failure,
    output::Style,
    session::{Context, Need, Session},
};

pub(super) async fn list(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let mut rows = Vec::new();
    for channel in session.client.channels().await? {
        let with = match channel.rule {
            None => participants(&session, &channel).await?,
            Some(_) => Vec::new(),
        };
        rows.push((channel_name(&channel), channel, with));
    }
    rows.sort_by(|a, b| (a.1.rule.is_none(), &a.0).cmp(&(b.1.rule.is_none(), &b.0)));
    let names = rows.iter().map(|row| row.0.chars().count()).max();
    let names = names.unwrap_or(0).min(40);
    for (name, channel, with) in &rows {
        context.out.emit(
            || channel_json(channel, with),
            |line| {
                let (presence, why) = presence_word(&channel.presence);
                let style = match channel.presence {
                    Presence::In => Style::Good,
                    _ => Style::Plain,
                };
                let mut line = line
                    .add(Style::Dim, &short(&channel.id))
                    .plain("  ")
                    .column(Style::Bold, name, names)
                    .column(Style::Plain, rule_word(channel.rule), 7)
                    .column(style, presence, 8);
                if let Some(ceiling) = channel.ceiling {
                    line = line.label(ceiling).plain("  ");
                }
                if channel.queued > 0 {
                    line = line.plain(&format!("{} queued  ", channel.queued));
                }
                let rest = match (why, &channel.purpose) {
                    (Some(why), _) => why.to_owned(),
                    (None, Some(purpose)) if purpose != name => purpose.clone(),
                    (None, _) => with.join(", "),
                };
                line.plain(&rest)
            },
        )?;
    }
    session.finish().await
}

/// Who else is in a direct channel.
async fn participants(session: &Session, channel: &ChannelInfo) -> Result<Vec<String>, Failure> {
    if channel.presence != Presence::In {
        return Ok(Vec::new());
    }
    let own = session.client.member();
    let audience = session.client.audience(channel.id).await?;
    let others = audience.members.into_iter().filter(|one| one.id != own);
    Ok(others
        .map(|one| match one.person {
            Some(person) => person.name,
            None => short(&one.id),
        })
        .collect())
}

fn channel_json(channel: &ChannelInfo, with: &[String]) -> Value {
    let (presence, why) = presence_word(&channel.presence);
    json!({
        "channel": channel.id.to_string(),
        "name": channel.name,
        "purpose": channel.purpose,
        "rule": rule_word(channel.rule),
        "ceiling": channel.ceiling.map(|label| label.to_string()),
        "owner": channel.owner.map(|owner| owner.to_string()),
        "presence": presence,
        "why": why,
        "with": with,
        "head": channel.head.0,
        "queued": channel.queued,
        "missing": channel.missing.iter().map(|(after, before)| [after.0, before.0]).collect::<Vec<_>>(),
    })
}

fn rule_word(rule: Option<EntryRule>) -> &'static str {
    match rule {
        Some(EntryRule::Open) => "open",
        Some(EntryRule::Granted) => "granted",
        None => "direct",
    }
}

fn presence_word(presence: &Presence) -> (&'static str, Option<&str>) {
    match presence {
        Presence::In => ("in", None),
        Presence::Entering(why) => ("entering", why.as_deref()),
        Presence::Out(why) => ("out", why.as_deref()),
        Presence::Stuck(why) => ("stuck", Some(why.as_str())),
        // Absent, and what a newer library adds.
        _ => ("absent", None),
    }
}

pub(super) async fn enter(context: &Context, args: &EnterArgs) -> Result<(), Failure> {
    let stay = args.no_wait || context.global.offline;
    let session = context
        .session(if stay { Need::Stored } else { Need::Online })
        .await?;
    let mut asked = Vec::new();
    for name in &args.channels {
        asked.push(session.client.channel(name).await?);
    }
    for channel in &asked {
        session.client.enter(channel.id).await?;
    }
    for channel in &asked {
        if !stay {
            entered(context, &session, channel).await?;
        }
        let word = if stay { "entering" } else { "in" };
        let name = channel_name(channel);
        context.out.emit(
            || json!({ "channel": channel.id.to_string(), "name": channel.name, "presence": word }),
            |line| {
                line.add(Style::Bold, &name)
                    .plain(": ")
                    .add(Style::Good, word)
            },
        )?;
    }
    session.finish().await
}

/// Waits for entry; says what it waits for if that takes too long.
async fn entered(
    context: &Context,
    session: &Session,
    channel: &ChannelInfo,
) -> Result<(), Failure> {
    let name = channel_name(channel);
    let work = session.client.entered(channel.id);
    let Err(failure) = context.within(&format!("entry to {name}"), work).await else {
        return Ok(());
    };
    let now = session.client.channels().await?;
    let now = now.into_iter().find(|one| one.id == channel.id);
    let why = now.and_then(|one| match one.presence {
        Presence::Entering(why) | Presence::Out(why) => why,
        _ => None,
    });
    Err(match why {
        Some(why) => failure.hint(&why),
        None => failure,
    })
}

pub(super) async fn run(context: &Context, command: &ChannelCommand) -> Result<(), Failure> {
    match command {
        ChannelCommand::Remove(args) => remove(context, args).await,
    }
}

async fn remove(context: &Context, args: &RemoveArgs) -> Result<(), Failure> {
    let stay = args.no_wait || context.global.offline;
    let session = context
        .session(if stay { Need::Stored } else { Need::Fresh })
        .await?;
    let channel = session.client.channel(&args.channel).await?;
    let mut members = Vec::new();
    for name in &args.members {
        members.push((name, session.client.find_member(name).await?.id));
    }
    for (_, member) in &members {
        session.client.remove(channel.id, *member).await?;
    }
    for (name, member) in &members {
        if !stay {
            let what = format!("{name} to be out of {}", channel_name(&channel));
            let work = session.client.removed(channel.id, *member);
            context.within(&what, work).await?;
        }
        let state = if stay { "asked" } else { "removed" };
        context.out.emit(
            || {
                json!({
                    "channel": channel.id.to_string(),
                    "member": member.to_string(),
                    "state": state,
                })
            },
            |line| {
                line.add(Style::Bold, name)
                    .plain(": ")
                    .add(Style::Good, state)
            },
        )?;
    }
    session.finish().await
}

pub(super) async fn direct(context: &Context, args: &DirectArgs) -> Result<(), Failure> {
    let need = if context.global.offline {
        Need::Stored
    } else {
        Need::Online
    };
    let session = context.session(need).await?;
    let mut with = Vec::new();
    for name in &args.members {
        with.push(session.client.find_member(name).await?.id);
    }
    let channel = session.client.direct(with).await?;
    if need == Need::Online {
        let work = session.client.entered(channel);
        context.within("the direct channel", work).await?;
    }
    context.out.emit(
        || json!({ "channel": channel.to_string() }),
        |line| line.plain(&channel.to_string()),
    )?;
    context
        .out
        .note(&format!("Next: plenary send {} TEXT", short(&channel)));
    session.finish().await
}
