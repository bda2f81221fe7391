//! One's own devices: list, link from the old one, name, revoke, vouch.

use std::time::Duration;

use plenary_client::{
    Client, DeviceChange, DeviceInfo, DeviceNews, Event, LinkCode, PendingLink, Standing,
    ids::{DeviceId, UnixMillis},
};
use serde_json::{Value, json};

use super::show::{short, standing_word};
use crate::{
    args::{AcceptArgs, DevicesCommand, MakeLinkArgs, NameArgs, RevokeArgs, VouchArgs},
    ask::confirmed,
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
    time,
};

/// How long a code lasts, and so how long it makes sense to wait for who asks by it.
const LASTS: Duration = Duration::from_secs(15 * 60);

pub(super) async fn run(context: &Context, command: Option<DevicesCommand>) -> Result<(), Failure> {
    match command {
        None => list(context).await,
        Some(DevicesCommand::Link(args)) => link(context, &args).await,
        Some(DevicesCommand::Requests) => requests(context).await,
        Some(DevicesCommand::Accept(args)) => accept(context, &args).await,
        Some(DevicesCommand::Refuse) => refuse(context).await,
        Some(DevicesCommand::Name(args)) => name(context, &args).await,
        Some(DevicesCommand::Revoke(args)) => revoke(context, &args).await,
        Some(DevicesCommand::Vouch(args)) => vouch(context, &args).await,
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let devices = session.client.devices().await?;
    let called = |id: DeviceId| called(&devices, id);
    let width = devices.iter().map(|one| called(one.id).chars().count());
    let width = width.max().unwrap_or(0).min(40);
    for one in &devices {
        context.out.emit(
            || info_json(one),
            |line| {
                let standing = match one.standing {
                    Standing::Live => Style::Good,
                    _ => Style::Bad,
                };
                let by = one.added_by.map_or("the Board".to_owned(), called);
                let mut line = line
                    .add(Style::Dim, &short(&one.id))
                    .plain("  ")
                    .column(Style::Bold, &called(one.id), width)
                    .add(standing, standing_word(one.standing))
                    .plain(&format!(", added {} by ", time::local(one.added)))
                    .plain(&by);
                if let Some(last) = one.last_message {
                    line = line.plain(&format!(", last message {}", time::local(last)));
                }
                match one.own {
                    true => line.plain(", ").add(Style::Bold, "this one"),
                    false => line,
                }
            },
        )?;
    }
    session.finish().await
}

async fn link(context: &Context, args: &MakeLinkArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let mut events = session.client.events();
    let code = context
        .within("the linking code", session.client.link())
        .await?;
    context
        .out
        .emit(|| code_json(&code), |line| line.plain(&code.code))?;
    context.out.note(
        "Valid for a quarter of an hour, once. On the new device:\n  \
         plenary link 'CODE' --name NAME",
    );
    if args.no_wait {
        context
            .out
            .note("Then here: plenary devices accept 'FINGERPRINT'");
        return session.finish().await;
    }
    context.out.note("Waiting for the new device.");
    let patience = context.global.timeout.unwrap_or(LASTS);
    let wait = async {
        loop {
            match events.next().await {
                Some(Event::LinkRequest(link)) if link == code.link => return Ok(()),
                Some(_) => {}
                None => return Err(Failure::offline("the profile was closed")),
            }
        }
    };
    tokio::time::timeout(patience, wait)
        .await
        .unwrap_or_else(|_| Err(Failure::offline("nobody asked in time: make a new code")))?;
    let open = context
        .within("the request", session.client.link_requests())
        .await?;
    let asked = open.iter().find(|one| one.link == code.link);
    let asked = asked.ok_or_else(|| Failure::not_found("the request does not hold: refused"))?;
    context
        .out
        .emit(|| asked_json(asked), |line| asked_line(line, asked))?;
    match confirmed(
        &context.out,
        "Does the new device show the same digits? Only then type yes: ",
    )
    .await?
    {
        Some(true) => {
            let work = session.client.accept_link(code.link, &asked.fingerprint);
            let linked = context.within("linking", work).await?;
            said_linked(context, &linked)?;
        }
        Some(false) => {
            let work = session.client.refuse_link(code.link);
            context.within("refusing", work).await?;
            context.out.note("Refused. Nothing was changed.");
        }
        None => context.out.note(
            "Not accepted: there is no terminal to ask on. Read the digits on the new device, then\n  \
             plenary devices accept 'FINGERPRINT'",
        ),
    }
    session.finish().await
}

async fn requests(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let open = context
        .within("the requests", session.client.link_requests())
        .await?;
    for one in &open {
        context
            .out
            .emit(|| asked_json(one), |line| asked_line(line, one))?;
    }
    context.out.note(if open.is_empty() {
        "Nobody asks to be linked."
    } else {
        "Read the digits on the new device. Next:\n  \
         plenary devices accept 'FINGERPRINT', or plenary devices refuse"
    });
    session.finish().await
}

async fn accept(context: &Context, args: &AcceptArgs) -> Result<(), Failure> {
    let read = args.fingerprint.concat();
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let read = digits(&read);
    let session = context.session(Need::Online).await?;
    let work = async {
        let open = session.client.link_requests().await?;
        let fits = open.iter().find(|one| digits(&one.fingerprint) == read);
        // With one request only, that one is meant: it is refused if it is another.
        let only = open.first().filter(|_| open.len() == 1);
        match fits.or(only) {
            Some(one) => session
                .client
                .accept_link(one.link, &read)
                .await
                .map_err(Failure::from),
            None => Err(Failure::not_found(
                "nobody with this fingerprint asks to be linked: `plenary devices requests`",
            )),
        }
    };
    let linked = context.within("linking", work).await?;
    said_linked(context, &linked)?;
    session.finish().await
}

async fn refuse(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let work = async {
        let open = session.client.link_requests().await?;
        for one in &open {
            session.client.refuse_link(one.link).await?;
        }
        Ok::<_, Failure>(open)
    };
    for one in context.within("refusing", work).await? {
        context.out.emit(
            || json!({ "refused": one.link.to_string(), "name": one.name }),
            |line| line.plain("Refused ").add(Style::Bold, &one.name),
        )?;
    }
    session.finish().await
}

async fn name(context: &Context, args: &NameArgs) -> Result<(), Failure> {
    let session = context.session(Need::Stored).await?;
    let device = session.client.find_device(&args.device).await?.id;
    session.client.name_device(device, &args.name).await?;
    context.out.emit(
        || json!({ "device": device.to_string(), "name": args.name }),
        |line| {
            line.add(Style::Dim, &short(&device))
                .plain("  ")
                .add(Style::Bold, &args.name)
        },
    )?;
    session.finish().await
}

async fn revoke(context: &Context, args: &RevokeArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let devices = session.client.devices().await?;
    let target = session.client.find_device(&args.device).await?;
    if !target.revocable {
        return Err(Failure::not_allowed(format!(
            "neither device hangs on the other, so only the Board can put it out:\n\
             plenary board request revoke device {} --out FILE",
            target.id
        )));
    }
    let own = session.client.device();
    let falls: Vec<_> = target
        .hanging_on
        .iter()
        .map(|id| called(&devices, *id))
        .collect();
    let mut words = format!("Revoke {}, for ever.", called(&devices, target.id));
    if !falls.is_empty() {
        words = format!("{words}\nWith it fall: {}.", falls.join(", "));
    }
    if target.id == own || target.hanging_on.contains(&own) {
        words = format!(
            "{words}\nThis device is out then, too: the Board must vouch for it before it can do \
             anything again."
        );
    }
    context.out.note(&words);
    if !args.yes {
        match confirmed(&context.out, "Type yes to do it: ").await? {
            Some(true) => {}
            Some(false) => return Err(Failure::usage("nothing was done")),
            None => {
                return Err(Failure::usage(format!(
                    "{words}\nThere is no terminal to ask on: give --yes"
                )));
            }
        }
    }
    let work = session.client.revoke_device(target.id, args.reason.into());
    let fell = context.within("the revocation", work).await?;
    let ids: Vec<_> = fell.iter().map(ToString::to_string).collect();
    context.out.emit(
        || json!({ "revoked": target.id.to_string(), "fell": ids }),
        |line| {
            let line = line
                .add(Style::Good, "Revoked ")
                .add(Style::Bold, &called(&devices, target.id));
            match falls.is_empty() {
                true => line.plain("."),
                false => line.plain(&format!("; with it fell {}.", falls.join(", "))),
            }
        },
    )?;
    if !fell.is_empty() && !fell.contains(&own) {
        context
            .out
            .note("Of those that fell, you still hold some? plenary devices vouch DEVICE");
    }
    session.finish().await
}

async fn vouch(context: &Context, args: &VouchArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let device = session.client.find_device(&args.device).await?;
    let work = session.client.vouch_device(device.id);
    context.within("vouching", work).await?;
    context.out.emit(
        || json!({ "vouched": device.id.to_string() }),
        |line| {
            let name = device.name.clone().unwrap_or_else(|| short(&device.id));
            line.plain("This device vouches for ")
                .add(Style::Bold, &name)
        },
    )?;
    session.finish().await
}

/// What was said of one's devices, in words, with what to do; nothing if there is no news.
pub(crate) async fn tell_news(context: &Context, client: &Client) -> Result<(), Failure> {
    let news = client.device_news().await?;
    let Some(last) = news.last().map(|last| last.seq) else {
        return Ok(());
    };
    let devices = client.devices().await?;
    for one in news {
        context
            .out
            .news("device_news", &news_json(&one), &news_words(&one, &devices));
    }
    Ok(client.device_news_seen(last).await?)
}

fn news_words(news: &DeviceNews, devices: &[DeviceInfo]) -> String {
    let device = called(devices, news.device);
    let by = news
        .by
        .map_or("the Board".to_owned(), |by| called(devices, by));
    let when = time::local(news.time);
    let id = short(&news.device);
    match news.change {
        DeviceChange::Added => format!(
            "A new device of yours, {device} ({id}), was added by {by} on {when}. If this was not \
             you: plenary devices revoke {id}"
        ),
        DeviceChange::Vouched => format!(
            "{by} vouches for your device {device} ({id}) since {when}. If this was not you: plenary \
             devices revoke {id}"
        ),
        DeviceChange::Revoked => format!("Your device {device} was revoked by {by} on {when}."),
        DeviceChange::Suspended => format!("Your device {device} was suspended by {by} on {when}."),
        _ => format!("Your device {device} is in again, by {by}, since {when}."),
    }
}

fn news_json(news: &DeviceNews) -> Value {
    json!({
        "device": news.device.to_string(),
        "change": match news.change {
            DeviceChange::Added => "added",
            DeviceChange::Vouched => "vouched",
            DeviceChange::Revoked => "revoked",
            DeviceChange::Suspended => "suspended",
            DeviceChange::Resumed => "resumed",
            _ => "other",
        },
        "by": news.by.map(|by| by.to_string()),
        "time": time::rfc3339(news.time),
        "ledger": news.seq.0,
    })
}

/// What a device is called; the beginning of its id if it has no name here.
fn called(devices: &[DeviceInfo], id: DeviceId) -> String {
    let found = devices.iter().find(|one| one.id == id);
    let name = found.and_then(|one| one.name.clone());
    name.unwrap_or_else(|| short(&id))
}

fn said_linked(context: &Context, linked: &PendingLink) -> Result<(), Failure> {
    context.out.emit(
        || json!({ "linked": linked.device.to_string(), "name": linked.name }),
        |line| {
            line.add(Style::Good, "Linked ")
                .add(Style::Bold, &linked.name)
                .plain(".")
        },
    )
}

fn code_json(code: &LinkCode) -> Value {
    json!({
        "link": code.link.to_string(),
        "code": code.code,
        "expires": time::rfc3339(code.expires),
    })
}

fn asked_json(asked: &PendingLink) -> Value {
    json!({
        "link": asked.link.to_string(),
        "device": asked.device.to_string(),
        "name": asked.name,
        "fingerprint": asked.fingerprint,
    })
}

fn asked_line(line: Line, asked: &PendingLink) -> Line {
    line.add(Style::Bold, &asked.name)
        .plain(" asks to be a device of yours, with the fingerprint")
        .end()
        .plain("  ")
        .add(Style::Bold, &asked.fingerprint)
}

fn info_json(one: &DeviceInfo) -> Value {
    let moment = |time: UnixMillis| time::rfc3339(time);
    let falls: Vec<_> = one.hanging_on.iter().map(ToString::to_string).collect();
    json!({
        "device": one.id.to_string(),
        "name": one.name,
        "self": one.own,
        "standing": standing_word(one.standing),
        "added": moment(one.added),
        "added_by": one.added_by.map(|by| by.to_string()),
        "last_message": one.last_message.map(moment),
        "fingerprint": one.fingerprint,
        "falls_with_it": falls,
        "revocable": one.revocable,
    })
}
