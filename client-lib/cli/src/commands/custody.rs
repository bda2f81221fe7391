//! Custody: receipts, the record, withdrawing, samples.

use std::time::Duration;

use plenary_client::{
    Client, Event, Message, Original, Receipt, Receipts, Stated,
    custody::{Said, Verdict},
    ids::{ChannelId, ItemId, Seq},
};
use serde_json::{Value, json};

use super::{find::find, show::short};
use crate::{
    args::{
        CustodyCommand, CustodyDeleteArgs, CustodyExportArgs, ExportSampleArgs, ItemArgs,
        ReceiptsArgs, VerifyArgs, WithdrawArgs,
    },
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need, Session},
    time,
};

/// How long a command waits until what it states is told.
const TOLD: Duration = Duration::from_secs(10);

pub(super) async fn run(context: &Context, command: CustodyCommand) -> Result<(), Failure> {
    match command {
        CustodyCommand::Show(args) => show(context, &args).await,
        CustodyCommand::Export(args) => export(context, args).await,
        CustodyCommand::Delete(args) => delete(context, args).await,
        CustodyCommand::TimeStamps(args) => super::stamps::run(context, args).await,
    }
}

pub(super) async fn receipts(context: &Context, args: &ReceiptsArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let message = message(&session, &args.item).await?;
    let receipts = session.client.receipts(&message).await?;
    context
        .out
        .emit(|| receipts_json(&receipts), |line| table(line, &receipts))?;
    session.finish().await
}

pub(super) async fn withdraw(context: &Context, args: &WithdrawArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let message = message(&session, &args.item).await?;
    context
        .within("withdrawing", session.client.withdraw(&message))
        .await?;
    told(context, &session.client).await?;
    let receipts = session.client.receipts(&message).await?;
    let had = receipts.recipients.iter().filter(|one| has(one)).count();
    context.out.emit(
        || json!({ "withdrawn": receipts.item.to_string(), "collected_by": had }),
        |line| {
            line.add(Style::Good, "withdrawn")
                .plain(&format!("  {} had collected it", members(had)))
        },
    )?;
    session.finish().await
}

pub(super) async fn export_sample(
    context: &Context,
    args: ExportSampleArgs,
) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let message = message(&session, &args.item).await?;
    std::fs::create_dir_all(&args.out)
        .map_err(|error| Failure::io(&args.out.display().to_string(), &error))?;
    let path = session.client.export_sample(&message, &args.out).await?;
    told(context, &session.client).await?;
    let path = path.display().to_string();
    context.out.emit(
        || json!({ "path": path, "malware": true }),
        |line| {
            line.add(Style::Bad, "IN THE CLEAR")
                .plain("  ")
                .plain(&path)
        },
    )?;
    context
        .out
        .note("The sender says that it CARRIES MALWARE: do not open it.");
    session.finish().await
}

async fn show(context: &Context, args: &ItemArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let message = message(&session, args).await?;
    let record = session.client.custody(&message).await?;
    for stated in &record.statements {
        context.out.emit(
            || stated_json(record.item, stated),
            |line| stated_line(line, stated),
        )?;
    }
    if record.missing > 0 {
        context.out.note(&format!(
            "{} that others refer to did not come here: the record has a gap.",
            super::show::count(record.missing, "statement", "statements")
        ));
    }
    if record.waiting > 0 {
        context
            .out
            .note("What this device stated last is not told yet: it waits for the server.");
    }
    session.finish().await
}

async fn export(context: &Context, args: CustodyExportArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let message = message(&session, &args.item).await?;
    let sample = message.item()?.is_some_and(|item| item.carries_malware());
    if sample && !args.no_original && !args.sample {
        return Err(Failure::usage(
            "the sender says that this file carries malware: --no-original leaves it out of the \
             bundle, --sample puts it there in the clear, under its hash",
        ));
    }
    let original = match (args.original, args.no_original) {
        (Some(file), _) => Original::File(file),
        (None, true) => Original::LeftOut,
        (None, false) => Original::Fetched,
    };
    let transfer = match args.tar {
        true => session
            .client
            .export_custody_packed(&message, &args.out, original)?,
        false => session
            .client
            .export_custody(&message, &args.out, original)?,
    };
    let name = args.out.display().to_string();
    let folder = super::files::watch(context, &name, transfer).await?;
    let root1 = session.client.status().await?.root1.to_string();
    let folder = folder.display().to_string();
    context.out.emit(
        || json!({ "bundle": folder, "root1": root1 }),
        |line| {
            line.add(Style::Good, "written")
                .plain(&format!("  {folder}"))
                .end()
                .plain(&format!("  plenary verify {folder} --root1 {root1}"))
        },
    )?;
    if sample && args.sample {
        context
            .out
            .note("The bundle holds the sample IN THE CLEAR: pack it before you pass it on.");
    }
    session.finish().await
}

/// Checks a bundle: needs no profile and no network.
pub(super) async fn verify(context: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    let (folder, root1) = (args.file.clone(), args.root1);
    let authorities = super::stamps::authorities(args.tsa_ca.as_deref())?;
    let checked = tokio::task::spawn_blocking(move || {
        plenary_client::custody::verify(&folder, root1.as_ref(), authorities.as_ref())
    });
    let found = match checked.await {
        Ok(Ok(found)) => found,
        Ok(Err(fault)) => return Err(Failure::trust(format!("WRONG: {fault}"))),
        Err(_) => return Err(Failure::trust("the check was stopped")),
    };
    let pinned = args.root1.is_some();
    context.out.emit(
        || verdict_json(&found, pinned),
        |line| verdict(line, &found),
    )?;
    if !pinned {
        context.out.note(&format!(
            "All of it rests on ROOT 1: compare {} with what the network's Board publishes.",
            found.root1
        ));
    }
    if let Some(what) = super::stamps::unbacked(&found) {
        context.out.note(&what);
    }
    if !found.page {
        context
            .out
            .note("data/record.html is of another version of this program: it was not compared.");
    }
    if !found.missing.is_empty() {
        context.out.note(&format!(
            "NOT WHOLE: {} that others refer to is not in the bundle.",
            super::show::count(found.missing.len(), "statement", "statements")
        ));
    }
    Ok(())
}

fn verdict(line: Line, found: &Verdict) -> Line {
    let sender = found.sender.map(|member| short(&member));
    let sender = found.sender_name.clone().or(sender);
    let mut line = line
        .add(Style::Good, "It holds.")
        .end()
        .add(Style::Bold, &found.name)
        .plain(&format!("  {} bytes, ", found.size))
        .plain(match found.original {
            true => "in the bundle",
            false => "not in the bundle",
        })
        .end()
        .plain(&format!("sha256   {}", found.sha256))
        .end()
        .plain("sent by  ")
        .plain(&sender.unwrap_or_default())
        .end()
        .plain(&format!("network  {}", found.network))
        .end()
        .plain(&format!("ROOT 1   {}", found.root1));
    for said in &found.statements {
        line = said_line(line.end(), said);
    }
    line
}

fn said_line(line: Line, said: &Said) -> Line {
    let name = said.name.clone().unwrap_or_else(|| short(&said.member));
    let server = match said.server_time {
        Some(time) => format!("server {}", time::local(time)),
        None => "not countersigned".to_owned(),
    };
    let line = line
        .add(Style::Dim, &time::local(said.time))
        .plain("  ")
        .column(Style::Bold, said.act.word(), 9)
        .column(Style::Plain, &name, 20)
        .add(Style::Dim, &server);
    super::stamps::shown(line, said)
}

fn verdict_json(found: &Verdict, pinned: bool) -> Value {
    let statements: Vec<_> = found
        .statements
        .iter()
        .map(|said| {
            json!({
                "act": said.act.word(),
                "member": said.member.to_string(),
                "name": said.name,
                "device": said.device.to_string(),
                "time": time::rfc3339(said.time),
                "server_time": said.server_time.map(time::rfc3339),
                "time_stamps": super::stamps::json(said),
                "id": said.id.to_string(),
            })
        })
        .collect();
    let missing: Vec<_> = found.missing.iter().map(ToString::to_string).collect();
    json!({
        "verified": "custody",
        "network": found.network.to_string(),
        "root1": found.root1.to_string(),
        "root1_given": pinned,
        "item": found.item.to_string(),
        "name": found.name,
        "size": found.size,
        "sha256": found.sha256.to_string(),
        "root": found.root.to_string(),
        "original": found.original,
        "sender": found.sender.map(|member| member.to_string()),
        "sender_name": found.sender_name,
        "statements": statements,
        "missing": missing,
        "page": found.page,
    })
}

async fn delete(context: &Context, args: CustodyDeleteArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let message = message(&session, &args.item).await?;
    let file = args.file.as_ref().map(|file| file.display().to_string());
    session.client.delete_copies(&message, args.file).await?;
    told(context, &session.client).await?;
    context.out.emit(
        || json!({ "deleted": file }),
        |line| line.add(Style::Good, "deleted").plain("  and recorded"),
    )?;
    session.finish().await
}

/// The message that somebody means.
pub(super) async fn message(session: &Session, args: &ItemArgs) -> Result<Message, Failure> {
    let channel = session.client.channel(&args.channel).await?;
    find(&session.client, channel.id, &args.message).await
}

/// Waits a little until what was stated is in the channel's log.
pub(super) async fn told(context: &Context, client: &Client) -> Result<(), Failure> {
    if context.global.offline {
        return Ok(());
    }
    let patience = TOLD.min(context.patience());
    if !client.custody_told(patience).await? {
        context
            .out
            .note("Recorded here; the others hear of it with the next connection.");
    }
    Ok(())
}

/// A line for the sender when a recipient states something about a file of theirs.
pub(super) async fn heard(context: &Context, client: &Client, event: &Event) {
    let Event::Custody {
        channel,
        item,
        device,
        act,
    } = event
    else {
        return;
    };
    if *device == client.device() {
        return;
    }
    let Ok(Some((message, stated))) = of_mine(client, *channel, *item).await else {
        return;
    };
    let last = stated
        .into_iter()
        .rev()
        .find(|one| one.device == *device && one.act == *act);
    if let (Some(last), Ok(Some(manifest))) = (last, message.item()) {
        let who = last.name.unwrap_or_else(|| short(&last.member));
        context.out.note(&format!(
            "({who} {act} #{} {})",
            message.seq.0,
            manifest.name()
        ));
    }
}

/// The message by which this member handed an item over, and what was stated of it.
async fn of_mine(
    client: &Client,
    channel: ChannelId,
    item: ItemId,
) -> Result<Option<(Message, Vec<Stated>)>, Failure> {
    let Some(seq) = client.handed_over_at(channel, item).await? else {
        return Ok(None);
    };
    let found = client
        .messages(channel, Seq(seq.0.saturating_sub(1)), 1)
        .await?;
    let Some(message) = found.into_iter().next() else {
        return Ok(None);
    };
    if message.member != client.member() {
        return Ok(None);
    }
    let record = client.custody(&message).await?;
    Ok(Some((message, record.statements)))
}

fn has(receipt: &Receipt) -> bool {
    receipt.collected.is_some() && receipt.deleted.is_none()
}

fn members(count: usize) -> String {
    super::show::count(count, "member", "members")
}

/// In one word, how far a recipient is.
fn state(receipt: &Receipt) -> &'static str {
    match receipt {
        Receipt {
            deleted: Some(_), ..
        } => "deleted",
        Receipt {
            exported: Some(_), ..
        } => "exported",
        Receipt {
            verified: Some(_), ..
        } => "verified",
        Receipt {
            collected: Some(_), ..
        } => "collected",
        _ => "offered",
    }
}

fn table(line: Line, receipts: &Receipts) -> Line {
    let mut line = line.add(Style::Bold, &receipts.name);
    if let Some(stated) = &receipts.withdrawn {
        line = line
            .plain("  ")
            .add(Style::Bad, "withdrawn")
            .plain(&format!(" {}", time::local(stated.time)));
    }
    for one in &receipts.recipients {
        let name = one.name.clone().unwrap_or_else(|| short(&one.member));
        let style = match one.verified {
            Some(_) => Style::Good,
            None => Style::Plain,
        };
        let last = [&one.deleted, &one.exported, &one.verified, &one.collected];
        let last = last.into_iter().flatten().next();
        let when = last.map(|stated| time::local(stated.time));
        line = line
            .end()
            .column(style, state(one), 9)
            .column(Style::Plain, &name, 24)
            .plain(&when.unwrap_or_default());
    }
    line
}

fn receipts_json(receipts: &Receipts) -> Value {
    let when = |stated: &Option<Stated>| {
        stated.as_ref().map(|stated| {
            json!({
                "time": time::rfc3339(stated.time),
                "server_time": stated.server_time.map(time::rfc3339),
                "device": stated.device.to_string(),
                "id": stated.id.to_string(),
            })
        })
    };
    let recipients: Vec<_> = receipts
        .recipients
        .iter()
        .map(|one| {
            json!({
                "member": one.member.to_string(),
                "name": one.name,
                "state": state(one),
                "offered": one.offered,
                "collected": when(&one.collected),
                "verified": when(&one.verified),
                "exported": when(&one.exported),
                "deleted": when(&one.deleted),
            })
        })
        .collect();
    json!({
        "item": receipts.item.to_string(),
        "name": receipts.name,
        "deposited": when(&receipts.deposited),
        "withdrawn": when(&receipts.withdrawn),
        "recipients": recipients,
    })
}

fn stated_line(line: Line, stated: &Stated) -> Line {
    let name = stated.name.clone().unwrap_or_else(|| short(&stated.member));
    let server = match stated.server_time {
        Some(time) => format!("server {}", time::local(time)),
        None => "not countersigned".to_owned(),
    };
    let stamped = stated
        .stamp_time
        .map(|time| format!("  stamped {}", time::local(time)));
    let stamped = stamped.unwrap_or_default();
    line.add(Style::Dim, &time::local(stated.time))
        .plain("  ")
        .column(Style::Bold, stated.act.word(), 9)
        .column(Style::Plain, &name, 20)
        .column(Style::Dim, &format!("device {}", short(&stated.device)), 15)
        .add(Style::Dim, &server)
        .add(Style::Dim, &stamped)
}

fn stated_json(item: ItemId, stated: &Stated) -> Value {
    json!({
        "item": item.to_string(),
        "act": stated.act.word(),
        "member": stated.member.to_string(),
        "name": stated.name,
        "device": stated.device.to_string(),
        "time": time::rfc3339(stated.time),
        "server_time": stated.server_time.map(time::rfc3339),
        "stamp_time": stated.stamp_time.map(time::rfc3339),
        "id": stated.id.to_string(),
    })
}
