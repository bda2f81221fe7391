//! The ledger in words.

use plenary_client::{Client, Notice, ids::LedgerSeq};
use serde_json::{Value, json};

use super::aside;
use crate::{
    args::{LedgerCommand, LedgerExportArgs, LogArgs},
    exit::Failure,
    output::{Line, Style},
    paths,
    session::{Context, Need},
    time,
};

/// Statements read at a time.
const PAGE: usize = 256;

pub(super) async fn run(context: &Context, command: &LedgerCommand) -> Result<(), Failure> {
    match command {
        LedgerCommand::Log(args) => log(context, args).await,
        LedgerCommand::Check(args) => aside::check(context, args).await,
        LedgerCommand::Confirm(args) => aside::confirm(context, args).await,
        LedgerCommand::Export(args) => export(context, args).await,
    }
}

async fn export(context: &Context, args: &LedgerExportArgs) -> Result<(), Failure> {
    paths::must_be_new(&args.file)?;
    let session = context.session(Need::Stored).await?;
    let bytes = session.client.ledger_file().await?;
    session.finish().await?;
    paths::write_new_bytes(&args.file, &bytes)?;
    let file = args.file.display().to_string();
    context.out.emit(
        || json!({ "file": file, "bytes": bytes.len() }),
        |line| line.plain(&format!("Written to {file}.")),
    )
}

async fn log(context: &Context, args: &LogArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let from = match args.new {
        true => session.client.notices_read().await?,
        false => LedgerSeq(0),
    };
    let mut notices = all_after(&session.client, from).await?;
    let end = notices.last().map(|last| last.seq);
    if let Some(lines) = args.lines {
        notices.drain(..notices.len().saturating_sub(lines));
    }
    print(context, &notices, args.full)?;
    match end {
        Some(end) if args.new => session.client.read_notices(end).await?,
        None => context.out.note("Nothing new."),
        Some(_) => {}
    }
    session.finish().await
}

/// Everything after a position.
pub(super) async fn all_after(client: &Client, after: LedgerSeq) -> Result<Vec<Notice>, Failure> {
    let mut all: Vec<Notice> = Vec::new();
    loop {
        let after = all.last().map_or(after, |last| last.seq);
        let page = client.notices(after, PAGE).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

pub(super) fn print(context: &Context, notices: &[Notice], full: bool) -> Result<(), Failure> {
    for notice in notices {
        context
            .out
            .emit(|| value(notice), |line| show(line, notice, full))?;
    }
    Ok(())
}

/// One notice, as a line for people; all of it if `full`.
pub(super) fn show(mut line: Line, notice: &Notice, full: bool) -> Line {
    line = line
        .add(Style::Dim, &time::local(notice.time))
        .plain("  ")
        .column(Style::Dim, &format!("#{}", notice.seq.0), 5)
        .plain(&notice.words.headline);
    if full {
        for detail in notice.words.details.iter().chain(&notice.words.filed) {
            line = line.end().plain("    ").plain(detail);
        }
        line = line.end().plain("    ").plain(&signed(notice));
    } else {
        line = line.add(Style::Dim, &format!(" {}", signed(notice)));
    }
    line
}

fn signed(notice: &Notice) -> String {
    let names: Vec<_> = notice.signers.iter().map(|one| one.name.as_str()).collect();
    format!("Signed: {}.", names.join("; "))
}

fn value(notice: &Notice) -> Value {
    let signers = notice.signers.iter().map(|one| {
        json!({
            "member": one.member.map(|member| member.to_string()),
            "name": one.name,
        })
    });
    json!({
        "seq": notice.seq.0,
        "time": time::rfc3339(notice.time),
        "kind": notice.kind.to_string(),
        "subject": notice.subject.to_string(),
        "headline": notice.words.headline,
        "details": notice.words.details,
        "filed": notice.words.filed,
        "signers": signers.collect::<Vec<_>>(),
    })
}
