//! Custody: receipts, the record, withdrawing, samples.

use std::time::Duration;

use plenary_client::{
    Client, Event, Message, Receipt, Receipts, Stated,
    ids::{ChannelId, ItemId, Seq},
};
use serde_json::{Value, json};

use super::{find::find, show::short};
use crate::{
    args::{
        CustodyCommand, CustodyDeleteArgs, ExportSampleArgs, ItemArgs, ReceiptsArgs, WithdrawArgs,
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
        CustodyCommand::Delete(args) => delete(context, args).await,
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
    line.add(Style::Dim, &time::local(stated.time))
        .plain("  ")
        .column(Style::Bold, stated.act.word(), 9)
        .column(Style::Plain, &name, 20)
        .column(Style::Dim, &format!("device {}", short(&stated.device)), 15)
        .add(Style::Dim, &server)
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
        "id": stated.id.to_string(),
    })
}
