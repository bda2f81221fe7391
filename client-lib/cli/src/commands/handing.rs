//! Files handed on, kept on the server, begun and not ended.

use indicatif::HumanBytes;
use plenary_client::{Client, DownloadBegun, Kept, UploadBegun};
use serde_json::json;

use super::{
    audience::{before_sending, sent_to},
    files::handed_over,
    find::find,
    send::{allowed, delivered},
    show::count,
};
use crate::{
    args::{ForwardArgs, KeptArgs, TransfersArgs},
    exit::Failure,
    output::Style,
    session::{Context, Need},
    time,
};

pub(super) async fn forward(context: &Context, args: &ForwardArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let client = &session.client;
    let channel = client.channel(&args.item.channel).await?;
    let to = client.channel(&args.to).await?;
    let message = find(client, channel.id, &args.item.message).await?;
    let item = message.item()?.ok_or_else(|| {
        Failure::not_found(format!("message #{} hands over no file", message.seq.0))
    })?;
    allowed(&to, item.label())?;
    let readers = before_sending(context, client, &to, &args.audience).await?;
    let outgoing = context
        .within("handing on", client.forward(&message, to.id))
        .await?;
    let seq = delivered(context, &outgoing).await?;
    sent_to(client, &to, readers.as_ref()).await?;
    context.out.emit(
        || json!({ "item": item.item().to_string(), "channel": to.id.to_string(), "seq": seq.0 }),
        |line| {
            line.add(Style::Good, "handed on")
                .plain(&format!(" #{}  ", seq.0))
                .plain(item.name())
        },
    )?;
    session.finish().await
}

pub(super) async fn kept(context: &Context, args: &KeptArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let client = &session.client;
    let channel = client.channel(&args.item.channel).await?;
    let message = find(client, channel.id, &args.item.message).await?;
    let hold = match (args.hold, args.release) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    };
    if args.until.is_some() || hold.is_some() {
        let keep = client.keep(&message, args.until, hold);
        context.within("asking the server", keep).await?;
    }
    let kept = context
        .within("asking the server", client.kept(&message))
        .await?;
    context.out.emit(
        || {
            json!({
                "keep_until": kept.keep_until.0,
                "held": kept.held,
                "collected": kept.collected.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "wanted": kept.wanted,
                "purge_after": kept.collectors,
            })
        },
        |line| line.plain(&told(&kept)),
    )?;
    session.finish().await
}

fn told(kept: &Kept) -> String {
    let until = time::local(kept.keep_until);
    let mut told = match kept.held {
        true => format!("held; due {until}"),
        false => format!("kept until {until}"),
    };
    told += &format!(
        "; collected by {}",
        count(kept.collected.len(), "member", "members")
    );
    if kept.wanted > 0 {
        told += &format!(", goes when all of {} have", kept.wanted);
    }
    if kept.collectors > 0 {
        told += &format!(", goes when {} have", kept.collectors);
    }
    told
}

pub(super) async fn transfers(context: &Context, args: &TransfersArgs) -> Result<(), Failure> {
    let need = match context.global.offline {
        true => Need::Stored,
        false => Need::Online,
    };
    let session = context.session(need).await?;
    let client = &session.client;
    let (up, down) = (
        client.uploads_begun().await?,
        client.downloads_begun().await?,
    );
    if let Some(which) = &args.cancel {
        give_up(context, client, which, &up, &down).await?;
        return session.finish().await;
    }
    if let Some(which) = &args.resume {
        client.limit_rate(args.rate.limit_rate);
        let upload = the_one(&up, which)?;
        let transfer = client.resume_upload(upload.item).await?;
        handed_over(context, client, upload.channel, &upload.name, transfer).await?;
        super::custody::told(context, client).await?;
        return session.finish().await;
    }
    for upload in &up {
        let channel = upload.channel.to_string();
        context.out.emit(
            || {
                json!({
                    "item": upload.item.to_string(),
                    "way": "up",
                    "channel": channel,
                    "file": upload.path.as_ref().map(|path| path.display().to_string()),
                    "name": upload.name,
                    "size": upload.size,
                    "state": "begun",
                })
            },
            |line| {
                line.plain(&upload.item.to_string()[..8])
                    .plain("  up    ")
                    .plain(&what(upload))
                    .plain(&format!("  {}", HumanBytes(upload.size)))
            },
        )?;
    }
    for download in &down {
        let channel = download.channel.to_string();
        context.out.emit(
            || {
                json!({
                    "item": download.item.to_string(),
                    "way": "down",
                    "channel": channel,
                    "seq": download.seq.0,
                    "file": download.name,
                    "size": download.size,
                    "done": download.done,
                    "part": download.part.display().to_string(),
                    "state": "begun",
                })
            },
            |line| {
                let (done, size) = (HumanBytes(download.done), HumanBytes(download.size));
                line.plain(&download.item.to_string()[..8])
                    .plain("  down  ")
                    .plain(&download.name)
                    .plain(&format!("  {done} of {size}  #{}", download.seq.0))
            },
        )?;
    }
    if !context.global.offline {
        let usage = context.within("asking the server", client.usage()).await?;
        context.out.emit(
            || json!({ "used": usage.used, "quota": usage.quota, "largest": usage.largest }),
            |line| {
                let quota = match usage.quota {
                    0 => String::new(),
                    quota => format!(" of {}", HumanBytes(quota)),
                };
                line.plain(&format!(
                    "{}{quota} taken on the server",
                    HumanBytes(usage.used)
                ))
            },
        )?;
    }
    session.finish().await
}

/// What an upload is of: a file or folder, or the name under which something came down a pipe.
fn what(upload: &UploadBegun) -> String {
    match &upload.path {
        Some(path) => path.display().to_string(),
        None => format!("- ({})", upload.name),
    }
}

/// The upload whose item begins so.
fn the_one<'a>(up: &'a [UploadBegun], which: &str) -> Result<&'a UploadBegun, Failure> {
    let mut of = up
        .iter()
        .filter(|one| one.item.to_string().starts_with(which));
    match (of.next(), of.next()) {
        (Some(upload), None) => Ok(upload),
        _ => Err(Failure::not_found(format!(
            "no upload, or several, begin with {which}"
        ))),
    }
}

/// Gives up the one transfer whose item begins so; a download in all folders.
async fn give_up(
    context: &Context,
    client: &Client,
    which: &str,
    up: &[UploadBegun],
    down: &[DownloadBegun],
) -> Result<(), Failure> {
    let up = up.iter().map(|one| (one.item, what(one)));
    let down = down.iter().map(|one| (one.item, one.name.clone()));
    let mut of: Vec<_> = (up.map(|one| (true, one)))
        .chain(down.map(|one| (false, one)))
        .filter(|(_, (item, _))| item.to_string().starts_with(which))
        .collect();
    of.dedup_by_key(|(up, (item, _))| (*up, *item));
    let [(up, (item, name))] = of.as_slice() else {
        return Err(Failure::not_found(format!(
            "no transfer, or several, begin with {which}"
        )));
    };
    match up {
        true => client.cancel_upload(*item).await?,
        false => client.cancel_download(*item).await?,
    }
    context.out.emit(
        || json!({ "item": item.to_string(), "state": "cancelled" }),
        |line| line.plain(&format!("{name} is given up")),
    )
}
