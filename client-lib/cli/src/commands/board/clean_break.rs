//! The certificate of a clean break.

use std::path::Path;

use plenary_client::clean_break::CleanBreak;
use serde_json::{Value, json};

use crate::{
    args::CleanBreakArgs,
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need, Session},
};

/// Bytes of a certificate: a ledger of 10,000 statements has 4.2 MB.
const MOST: u64 = 256 << 20;

pub(super) async fn run(context: &Context, args: CleanBreakArgs) -> Result<(), Failure> {
    match (args.member, args.check) {
        (Some(member), _) => issue(context, &member, args.out.as_deref(), args.names).await,
        (None, Some(file)) => check(context, &file).await,
        (None, None) => Err(Failure::usage("give a member, or --check FILE")),
    }
}

async fn issue(
    context: &Context,
    member: &str,
    out: Option<&Path>,
    names: bool,
) -> Result<(), Failure> {
    if let Some(out) = out {
        paths::must_be_new(out)?;
    }
    let session = context.session(Need::Online).await?;
    let work = async {
        let member = session.client.find_member(member).await?.id;
        Ok::<_, Failure>(session.client.clean_break(member, names).await?)
    };
    let made = context.within("the certificate", work).await?;
    if let Some(out) = out {
        paths::write_new_bytes(out, &made.file)?;
    }
    print(context, &made.said, &made.words, out)?;
    finish(session, &made.said).await
}

async fn check(context: &Context, path: &Path) -> Result<(), Failure> {
    let file = paths::read_bytes(path, MOST)?;
    let session = context.session(Need::Stored).await?;
    let (said, words) = session.client.check_clean_break(file).await?;
    print(context, &said, &words, Some(path))?;
    finish(session, &said).await
}

async fn finish(session: Session, said: &CleanBreak) -> Result<(), Failure> {
    session.finish().await?;
    match said.is_complete() {
        true => Ok(()),
        false => Err(Failure::pending(format!(
            "devices still in a channel: {}; whoever is online there removes them",
            said.pending.len()
        ))),
    }
}

fn print(
    context: &Context,
    said: &CleanBreak,
    words: &[String],
    file: Option<&Path>,
) -> Result<(), Failure> {
    context.out.emit(
        || value(said, file),
        |mut line| {
            for (index, text) in words.iter().enumerate() {
                if index > 0 {
                    line = line.end();
                }
                let style = match text.starts_with("PENDING") || text.starts_with("NOT") {
                    true => Style::Bad,
                    false => Style::Plain,
                };
                line = line.add(style, text);
            }
            line
        },
    )
}

fn value(said: &CleanBreak, file: Option<&Path>) -> Value {
    json!({
        "file": file.map(|file| file.display().to_string()),
        "network": said.network.to_string(),
        "issuer": said.issuer.to_string(),
        "issued": said.issued.0,
        "ledger": said.ledger.seq.0,
        "member": said.member.to_string(),
        "statement": { "seq": said.statement.seq.0, "hash": said.statement.hash.to_string() },
        "since": said.since.0,
        "complete": said.is_complete(),
        "gone": said.gone.iter().map(|gone| json!({
            "channel": gone.channel.to_string(),
            "device": gone.device.to_string(),
            "entered": gone.entered.map(|seq| seq.0),
            "last_record": gone.removal.seq.0.saturating_sub(1),
            "epoch": gone.epoch.0,
            "removal": gone.removal.seq.0,
            "hash": gone.removal.hash.to_string(),
            "time": gone.time.0,
            "by": gone.by.to_string(),
            "ledger": gone.basis.0,
            "signed": gone.signed.is_some(),
        })).collect::<Vec<_>>(),
        "pending": said.pending.iter().map(|(channel, device)| json!({
            "channel": channel.to_string(),
            "device": device.to_string(),
        })).collect::<Vec<_>>(),
        "unexamined": said.unexamined.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "exposure": said.exposure.iter().map(|one| json!({
            "channel": one.channel.to_string(),
            "after": one.after.0,
            "through": one.through.0,
            "whole": one.whole,
            "messages": one.messages,
            "items": one.items.iter().map(|item| json!({
                "sha256": item.sha256.to_string(),
                "name": item.name,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}
