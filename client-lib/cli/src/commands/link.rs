//! Linking, on the new device.

use std::{path::Path, time::Duration};

use plenary_client::{Builder, Linking};
use serde_json::json;
use tokio::time::Instant;

use super::join::spinner;
use crate::{args::LinkArgs, exit::Failure, output::Style, paths, session::Context};

/// How often to ask whether the other device has accepted.
const ASK: Duration = Duration::from_secs(1);

/// How long to wait for it when nothing is said: as long as its answer is kept.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

pub(super) async fn run(context: &Context, args: LinkArgs) -> Result<(), Failure> {
    let (profile, fingerprint) = match args.code {
        Some(code) => {
            let code = match code.as_str() {
                "-" => paths::read(Path::new("-"))?,
                _ => code,
            };
            let profile = context.new_profile()?;
            let asked = profile.link(code.trim(), &args.name);
            let fingerprint = context.within("the request to be linked", asked).await?;
            (profile, fingerprint)
        }
        None => {
            let profile = context.profile()?;
            let fingerprint = profile.fingerprint()?;
            (profile, fingerprint)
        }
    };
    context.out.emit(
        || json!({ "fingerprint": fingerprint }),
        |line| {
            line.plain("This device's fingerprint: ")
                .add(Style::Bold, &fingerprint)
        },
    )?;
    context
        .out
        .note("Accept on the other device, if it shows the same digits.");
    if args.no_wait {
        context.out.note("Then here: plenary link");
        return Ok(());
    }
    accepted(context, &profile).await
}

async fn accepted(context: &Context, profile: &Builder) -> Result<(), Failure> {
    let end = Instant::now() + context.global.timeout.unwrap_or(PATIENCE);
    let spinner = spinner(context, "Waiting for the other device");
    let linking = loop {
        let asked = profile.linked().await;
        let late = Instant::now() >= end;
        match asked {
            Ok(Linking::Waiting) if late => {
                return Err(Failure::offline(
                    "the other device has not accepted yet: `plenary link` waits on",
                ));
            }
            Ok(Linking::Waiting) => {}
            Ok(decided) => break decided,
            Err(error) if error.is_retryable() && !late => {}
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ASK.min(end - Instant::now())).await;
    };
    spinner.finish_and_clear();
    if linking != Linking::Linked {
        return Err(Failure::not_allowed(
            "it was refused on the other device: make a new code there, and link into a new folder",
        ));
    }
    context.out.emit(
        || json!({ "linked": true }),
        |line| line.add(Style::Good, "Linked."),
    )?;
    context
        .out
        .note("Open channels are entered by themselves. Next: plenary sync; plenary channels");
    Ok(())
}
