//! Verifying again what the profile holds, comparing it with a colleague's, checking proofs.

use std::path::{Path, PathBuf};

use indicatif::ProgressBar;
use plenary_client::{
    AuditedChannel, Compared, ProofError, Proven, ids::ChannelId, is_proof, verify_proof,
};
use serde_json::json;

use crate::{
    args::{AuditArgs, VerifyArgs},
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need, Session},
};

/// Bytes of a file of heads or of a proof: 33 a record, a million records and some.
const MOST: u64 = 256 * 1024 * 1024;

pub(super) async fn run(context: &Context, args: AuditArgs) -> Result<(), Failure> {
    let session = context.session(Need::Stored).await?;
    let done = match (&args.export, &args.compare) {
        (Some(file), _) => export(context, &session, file, &args.channels).await,
        (None, Some(file)) => compare(context, &session, file, &args.out).await,
        (None, None) => audit(context, &session, &args.out).await,
    };
    session.finish().await?;
    done
}

async fn audit(context: &Context, session: &Session, out: &Path) -> Result<(), Failure> {
    let bar = match context.out.is_watched() {
        true => ProgressBar::new(0).with_message("verifying"),
        false => ProgressBar::hidden(),
    };
    let audit = session
        .client
        .audit(|progress| {
            bar.set_length(progress.total);
            bar.set_position(progress.done);
        })
        .await?;
    bar.finish_and_clear();
    context.out.emit(
        || {
            json!({
                "ledger": audit.ledger.0,
                "wrong": audit.ledger_wrong,
                "channels": audit.channels.len(),
            })
        },
        |line| match &audit.ledger_wrong {
            None => line.column(Style::Bold, "ledger", 20).plain(&format!(
                "{} statements verified from ROOT 1",
                audit.ledger.0
            )),
            Some(what) => line.column(Style::Bold, "ledger", 20).add(Style::Bad, what),
        },
    )?;
    let mut wrong = u64::from(audit.ledger_wrong.is_some());
    for one in &audit.channels {
        let name = name(session, one.channel).await?;
        let proof = match &one.proof {
            Some(proof) => Some(write_proof(out, one.channel, proof)?),
            None => None,
        };
        wrong += u64::from(one.wrong.is_some());
        tell(context, &name, one, proof.as_deref())?;
    }
    match wrong {
        0 => Ok(()),
        _ => Err(Failure::trust(
            "the audit found what must not be: see above",
        )),
    }
}

fn tell(
    context: &Context,
    name: &str,
    one: &AuditedChannel,
    proof: Option<&Path>,
) -> Result<(), Failure> {
    context.out.emit(
        || {
            json!({
                "channel": one.channel.to_string(),
                "channel_name": name,
                "records": one.records,
                "stretches": one.stretches,
                "heads": one.heads,
                "vouched": one.vouched.0,
                "messages": one.messages,
                "wrong": one.wrong.as_ref().map(|wrong| &wrong.what),
                "at": one.wrong.as_ref().map(|wrong| wrong.at.0),
                "proof": proof.map(|path| path.display().to_string()),
            })
        },
        |line| {
            let line = line.column(Style::Bold, name, 20).plain(&format!(
                "{} records, {} messages, {} signed heads; vouched for up to {}",
                one.records, one.messages, one.heads, one.vouched.0
            ));
            match &one.wrong {
                None => line,
                Some(wrong) => {
                    let what = format!("  record {}: {}", wrong.at.0, wrong.what);
                    proof_line(line.end().add(Style::Bad, &what), proof)
                }
            }
        },
    )
}

fn proof_line(line: crate::output::Line, proof: Option<&Path>) -> crate::output::Line {
    match proof {
        Some(path) => line
            .end()
            .plain(&format!("  proof written to {}", path.display())),
        None => line,
    }
}

async fn export(
    context: &Context,
    session: &Session,
    file: &Path,
    channels: &[String],
) -> Result<(), Failure> {
    paths::must_be_new(file)?;
    let mut only = Vec::new();
    for name in channels {
        only.push(session.client.channel(name).await?.id);
    }
    let bytes = session.client.export_heads(only).await?;
    paths::write_new_bytes(file, &bytes)?;
    context.out.emit(
        || json!({ "exported": file.display().to_string(), "bytes": bytes.len() }),
        |line| {
            line.plain(&format!(
                "{} bytes written to {}",
                bytes.len(),
                file.display()
            ))
        },
    )
}

async fn compare(
    context: &Context,
    session: &Session,
    file: &Path,
    out: &Path,
) -> Result<(), Failure> {
    let bytes = paths::read_bytes(file, MOST)?;
    let all = session.client.compare_heads(&bytes).await?;
    let mut lied = false;
    for one in &all {
        let name = name(session, one.channel).await?;
        let proof = match &one.proof {
            Some(proof) => Some(write_proof(out, one.channel, proof)?),
            None => None,
        };
        lied |= one.differs.is_some() || proof.is_some();
        compared(context, &name, one, proof.as_deref())?;
    }
    if all.is_empty() {
        context.out.note("No channel that both have read.");
    }
    match lied {
        false => Ok(()),
        true => Err(Failure::trust(
            "the server showed two logs of one channel: see above, and tell the Board",
        )),
    }
}

fn compared(
    context: &Context,
    name: &str,
    one: &Compared,
    proof: Option<&Path>,
) -> Result<(), Failure> {
    context.out.emit(
        || {
            json!({
                "channel": one.channel.to_string(),
                "channel_name": name,
                "shared": one.shared,
                "differs": one.differs.map(|seq| seq.0),
                "proof": proof.map(|path| path.display().to_string()),
            })
        },
        |line| {
            let line = line
                .column(Style::Bold, name, 20)
                .plain(&format!("{} positions compared", one.shared));
            match (one.differs, proof) {
                (None, None) => line.plain(": the same"),
                (Some(seq), None) => line.end().add(
                    Style::Bad,
                    &format!(
                        "  differs from record {} on; nothing that the server signed for both \
                         covers it yet: sync, export and compare again",
                        seq.0
                    ),
                ),
                (seq, proof) => {
                    let from =
                        seq.map_or_else(String::new, |seq| format!(" from record {}", seq.0));
                    let what = format!("  the server signed two logs{from}");
                    proof_line(line.end().add(Style::Bad, &what), proof)
                }
            }
        },
    )
}

pub(super) async fn verify(context: &Context, args: VerifyArgs) -> Result<(), Failure> {
    // A folder is a bundle, or nothing.
    if args.file.is_dir() || plenary_client::custody::is_bundle(&args.file) {
        return super::custody::verify(context, &args).await;
    }
    let bytes = paths::read_bytes(&args.file, MOST)?;
    // Another kind of file is another arm.
    if !is_proof(&bytes) {
        return Err(Failure::usage(format!(
            "{} is no file that can be verified: give what `plenary audit` or `plenary custody export` wrote",
            args.file.display()
        )));
    }
    let root1 = match args.root1 {
        Some(root1) => root1,
        None => {
            let session = context.session(Need::Stored).await?;
            let root1 = session.client.status().await?.root1;
            session.finish().await?;
            root1
        }
    };
    let proven: Proven = verify_proof(&bytes, root1)
        .map_err(|error: ProofError| Failure::trust(format!("it proves nothing: {error}")))?;
    context.out.emit(
        || json!({ "proven": proven.kind(), "words": proven.to_string() }),
        |line| {
            line.add(Style::Good, "It holds.")
                .end()
                .block(&proven.to_string())
        },
    )
}

fn write_proof(out: &Path, channel: ChannelId, proof: &[u8]) -> Result<PathBuf, Failure> {
    let id = channel.to_string();
    let short = id.get(..8).unwrap_or(&id);
    // An earlier proof stays as it is.
    let names = std::iter::once(format!("proof-{short}.plenary"))
        .chain((2..100).map(|number| format!("proof-{short}-{number}.plenary")));
    for name in names {
        let path = out.join(name);
        if paths::must_be_new(&path).is_ok() {
            paths::write_new_bytes(&path, proof)?;
            return Ok(path);
        }
    }
    Err(Failure::usage(format!(
        "{} is full of proofs: choose another folder by --out",
        out.display()
    )))
}

async fn name(session: &Session, channel: ChannelId) -> Result<String, Failure> {
    let all = session.client.channels().await?;
    let known = all.into_iter().find(|one| one.id == channel);
    let name = known.and_then(|one| one.name);
    Ok(name.unwrap_or_else(|| channel.to_string().chars().take(8).collect()))
}
