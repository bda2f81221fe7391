//! The Board's ledger, held against what came by another way.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use plenary_client::{Aside, Checked, Recovery};
use serde_json::json;

use crate::{
    args::{CheckArgs, ConfirmArgs},
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need},
};

pub(super) async fn check(context: &Context, args: &CheckArgs) -> Result<(), Failure> {
    let file = paths::read(&args.file)?;
    let signatures = args
        .signatures
        .iter()
        .map(|path| paths::read(path))
        .collect::<Result<_, _>>()?;
    let session = context.session(Need::Fresh).await?;
    let all = session.client.check_ledger(file, signatures).await?;
    let mut amiss = false;
    for one in all {
        amiss |= tell(context, args, one)?;
    }
    session.finish().await?;
    match amiss {
        true => Err(Failure::trust(
            "the ledger here is not what the file says: see above",
        )),
        false => Ok(()),
    }
}

/// Says how a statement stands; whether something is amiss.
fn tell(context: &Context, args: &CheckArgs, one: Checked) -> Result<bool, Failure> {
    let file = args.file.display().to_string();
    let Checked::Statement { words, aside } = one else {
        context.out.emit(
            || json!({ "file": file, "heartbeat": true }),
            |line| line.plain("Taken in; `plenary status` says what it vouches for."),
        )?;
        return Ok(false);
    };
    let mut value = json!({ "file": file, "statement": words });
    let (verdict, amiss) = match aside {
        Aside::Known(seq) => {
            value["known"] = seq.0.into();
            (format!("In the ledger at {}.", seq.0), false)
        }
        Aside::Missing(id) => {
            value["missing"] = id.to_string().into();
            let what = "Not in the ledger: nobody submitted it, or the server withholds it. \
                        `plenary board submit` submits it.";
            (what.to_owned(), true)
        }
        Aside::Misuse { words, proof } => {
            let path = write_proof(&args.out, &proof)?;
            let name = path.display().to_string();
            let said = words.join("\n");
            value["misuse"] = words.into();
            value["proof"] = name.clone().into();
            let what = format!("Another one is in its place; proof of misuse in {name}:\n{said}");
            (what, true)
        }
        Aside::Refused(why) => {
            value["refused"] = why.clone().into();
            (format!("Does not count: {why}."), true)
        }
        other => (format!("{other:?}"), true),
    };
    context.out.emit(
        || value,
        |line| {
            let style = if amiss { Style::Bad } else { Style::Good };
            let (first, rest) = verdict.split_once('\n').unwrap_or((&verdict, ""));
            let statement = words.lines().next().unwrap_or_default();
            let line = line.add(Style::Bold, statement).end().add(style, first);
            match rest {
                "" => line,
                rest => line.end().block(rest),
            }
        },
    )?;
    Ok(amiss)
}

/// A new file; one that holds the same proof is left.
fn write_proof(folder: &Path, proof: &[u8]) -> Result<PathBuf, Failure> {
    for number in 1..10_000 {
        let path = folder.join(format!("misuse-{number}.plenary"));
        if std::fs::read(&path).is_ok_and(|held| held == proof) {
            return Ok(path);
        }
        let failed = |error: std::io::Error| Failure::io(&path.display().to_string(), &error);
        match std::fs::File::create_new(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
            Ok(mut file) => {
                file.write_all(proof)
                    .and_then(|()| file.sync_all())
                    .map_err(failed)?;
                return Ok(path);
            }
        }
    }
    Err(Failure::usage(
        "no name is left for a proof: choose another folder",
    ))
}

pub(super) async fn confirm(context: &Context, args: &ConfirmArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let recovery = session.client.status().await?.recovery;
    if !matches!(recovery, Some(Recovery::Unconfirmed { .. })) {
        session.finish().await?;
        return Err(Failure::not_found("no recovery waits to be confirmed"));
    }
    if !args.yes {
        session.finish().await?;
        return Err(Failure::usage(
            "a recovery replaced the Board. Ask somebody you know on it, by voice, whether that is \
             right; then give this command again with --yes",
        ));
    }
    let at = session.client.confirm_recovery().await?;
    context.out.emit(
        || json!({ "confirmed": at.map(|at| at.0) }),
        |line| {
            line.add(Style::Good, "Confirmed.")
                .plain(" Whom the new Board let in is sealed to.")
        },
    )?;
    session.finish().await
}
