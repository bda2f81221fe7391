//! Joining: the request for admission, and waiting for the Board.

use std::{path::Path, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use plenary_client::{Admission, Builder, Joining, Person};
use serde_json::json;
use tokio::time::Instant;

use crate::{args::JoinArgs, ask, exit::Failure, output::Style, paths, session::Context};

/// How often to ask whether the Board has decided.
const ASK: Duration = Duration::from_secs(3);

pub(super) async fn run(context: &Context, args: JoinArgs) -> Result<(), Failure> {
    let wait = args.wait;
    let profile = match args.invitation.clone() {
        Some(invitation) => ask(context, invitation, args).await?,
        None => {
            let profile = context.profile()?;
            tell(context, &profile.fingerprint()?)?;
            profile
        }
    };
    if wait {
        decided(context, &profile).await
    } else {
        context
            .out
            .note("Next: the Board admits you; `plenary join --wait` waits for it.");
        Ok(())
    }
}

async fn ask(context: &Context, invitation: String, args: JoinArgs) -> Result<Builder, Failure> {
    let invitation = if invitation == "-" {
        paths::read(Path::new("-"))?
    } else {
        invitation
    };
    let name = ask::unless_given(&context.out, args.name, "name", "Your name").await?;
    let state = ask::unless_given(&context.out, args.state, "state", "Your State or body").await?;
    let board_key = args.board_key.as_deref();
    let member = board_key
        .map(paths::board_person)
        .transpose()?
        .map(|person| person.member)
        .or(args.member);
    let joining = Joining {
        invitation: invitation.trim().to_owned(),
        person: Person {
            name,
            state,
            languages: args.languages,
            expertise: args.expertise,
        },
        capacity: args.capacity.into(),
        nominated_by: args.nominated_by,
        reason: args.reason,
        member,
    };
    let profile = context.new_profile()?;
    let fingerprint = context
        .within("the request for admission", profile.join(&joining))
        .await
        .map_err(|failure| match failure.exit {
            6 => failure.hint("the profile is made: `plenary join --wait` hands the request in"),
            _ => failure,
        })?;
    tell(context, &fingerprint)?;
    Ok(profile)
}

fn tell(context: &Context, fingerprint: &str) -> Result<(), Failure> {
    context.out.emit(
        || json!({ "fingerprint": fingerprint }),
        |line| {
            line.plain("Your fingerprint: ")
                .add(Style::Bold, fingerprint)
        },
    )?;
    context
        .out
        .note("Read it to whoever invited you, by telephone: the Board compares it.");
    Ok(())
}

/// Waits for the Board. People decide: without a timeout, for ever.
async fn decided(context: &Context, profile: &Builder) -> Result<(), Failure> {
    let end = context
        .global
        .timeout
        .map(|patience| Instant::now() + patience);
    let spinner = spinner(context, "Waiting for the Board");
    let admission = loop {
        let asked = profile.admission().await;
        let late = end.is_some_and(|end| Instant::now() >= end);
        match asked {
            Ok(Admission::Waiting) if late => {
                return Err(Failure::offline("the Board has not decided yet"));
            }
            Ok(Admission::Waiting) => {}
            Ok(decided) => break decided,
            Err(error) if error.is_retryable() && !late => {}
            Err(error) => return Err(error.into()),
        }
        let nap = end.map_or(ASK, |end| ASK.min(end - Instant::now()));
        tokio::time::sleep(nap).await;
    };
    spinner.finish_and_clear();
    if admission == Admission::Admitted {
        context.out.emit(
            || json!({ "admission": "admitted" }),
            |line| line.add(Style::Good, "Admitted."),
        )?;
        context
            .out
            .note("Next: plenary channels; plenary enter CHANNEL");
        Ok(())
    } else {
        Err(Failure::not_allowed(
            "the request was closed without an admission: ask whoever invited you",
        ))
    }
}

/// Turns while somebody elsewhere decides.
pub(super) fn spinner(context: &Context, what: &'static str) -> ProgressBar {
    if !context.out.is_watched() {
        context.out.note(what);
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::new_spinner().with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
        spinner.set_style(style);
    }
    spinner.enable_steady_tick(Duration::from_millis(120));
    spinner
}
