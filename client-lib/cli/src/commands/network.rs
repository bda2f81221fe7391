//! Founding a network.

use std::path::Path;

use plenary_client::{Founding, NewChannel, Person};
use serde::Deserialize;
use serde_json::json;

use crate::{
    args::{FoundArgs, NetworkCommand, SubmitArgs},
    exit::Failure,
    output::Style,
    paths,
    session::Context,
};

/// What the server's first start leaves for the founder. Address and pin are in the invitation.
#[derive(Deserialize)]
struct Founder {
    server_key: String,
    invitation: Option<String>,
}

pub(super) async fn run(context: &Context, command: NetworkCommand) -> Result<(), Failure> {
    match command {
        NetworkCommand::Found(args) => found(context, &args),
        NetworkCommand::Submit(args) => submit(context, &args).await,
    }
}

fn found(context: &Context, args: &FoundArgs) -> Result<(), Failure> {
    paths::must_be_new(&args.out)?;
    let founding = founding(args)?;
    let text = context.new_profile()?.found(&founding)?;
    paths::write_new(&args.out, &text, false)?;
    let out = args.out.display().to_string();
    context.out.emit(
        || json!({ "request": out, "board": founding.board.len() }),
        |line| {
            line.plain("The profile is made. Wrote ")
                .add(Style::Bold, &out)
        },
    )?;
    context.out.note(&format!(
        "Next: the Board reads and signs it (plenary board show, plenary board sign); then\n  \
         plenary network submit {out} SIGNATURE..."
    ));
    Ok(())
}

fn founding(args: &FoundArgs) -> Result<Founding, Failure> {
    let founder = founder(&args.founder)?;
    let name = args.founder.display();
    let invitation = founder.invitation.ok_or_else(|| {
        Failure::usage(format!(
            "{name} holds no invitation: the network is founded already, or the server must be \
             started once more to renew it"
        ))
    })?;
    let server_key = founder
        .server_key
        .parse()
        .map_err(|error| Failure::usage(format!("{name}: the server's key: {error}")))?;
    let board = args
        .board
        .iter()
        .map(|path| paths::board_person(path))
        .collect::<Result<_, _>>()?;
    let recovery: Vec<_> = args
        .recovery
        .iter()
        .map(|path| paths::recovery_key(path))
        .collect::<Result<_, _>>()?;
    Ok(Founding {
        invitation,
        server_key,
        board,
        heartbeat: args
            .heartbeat_keys
            .iter()
            .map(|path| paths::heartbeat_key(path))
            .collect::<Result<_, _>>()?,
        person: Person {
            name: args.person.name.clone(),
            state: args.person.state.clone(),
            languages: args.person.languages.clone(),
            expertise: args.person.expertise.clone(),
        },
        channels: args.channels.iter().map(|text| channel(text)).collect(),
        recovery_threshold: args
            .recovery_threshold
            .unwrap_or_else(|| Founding::recovery_threshold(recovery.len())),
        recovery,
    })
}

fn founder(path: &Path) -> Result<Founder, Failure> {
    serde_json::from_str(&paths::read(path)?).map_err(|error| {
        Failure::usage(format!(
            "{}: not the founder.json that a Plenary server writes: {error}",
            path.display()
        ))
    })
}

/// `NAME` or `NAME=PURPOSE`. A purpose must say something; the name does for a start.
fn channel(text: &str) -> NewChannel {
    let (name, purpose) = text.split_once('=').unwrap_or((text, text));
    NewChannel::open(name.trim(), purpose.trim())
}

async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), Failure> {
    let (request, signatures) = signed(args)?;
    let profile = context.profile()?;
    context
        .within(
            "the founding",
            profile.submit_founding(&request, &signatures),
        )
        .await?;
    context.out.emit(
        || json!({ "founded": true }),
        |line| line.add(Style::Good, "The network is founded."),
    )?;
    context
        .out
        .note("Next: plenary invite; plenary channels; plenary enter CHANNEL");
    Ok(())
}

/// A request and its signature files.
pub(super) fn signed(args: &SubmitArgs) -> Result<(String, Vec<String>), Failure> {
    let request = paths::read(&args.request)?;
    let signatures = args
        .signatures
        .iter()
        .map(|path| paths::read(path))
        .collect::<Result<_, _>>()?;
    Ok((request, signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_as_typed() {
        let plain = channel("encryption");
        assert_eq!(
            (&*plain.name, &*plain.purpose),
            ("encryption", "encryption")
        );
        let full = channel("encryption = Lawful access; E=mc2");
        assert_eq!(
            (&*full.name, &*full.purpose),
            ("encryption", "Lawful access; E=mc2")
        );
    }
}
