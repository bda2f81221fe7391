//! The Board's work.

mod clean_break;
mod heartbeat;
mod request;
mod show;
mod tally;

use std::path::{Path, PathBuf};

use plenary_client::{BoardKeyFile, BoardPerson, Holder, RequestFile, fingerprint};
use serde_json::json;

use super::{network::signed, show::count};
use crate::{
    args::{BoardCommand, KeygenArgs, SubmitArgs},
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need},
};

pub(super) async fn run(context: &Context, command: BoardCommand) -> Result<(), Failure> {
    match command {
        BoardCommand::Keygen(args) if args.heartbeat => heartbeat::keygen(context, &args.out),
        BoardCommand::Keygen(args) => keygen(context, &args),
        BoardCommand::Request(command) => request::run(context, command).await,
        BoardCommand::Show(args) => show::run(context, &args).await,
        BoardCommand::Sign(args) => sign(context, &args.key, &args.request, &args.out),
        BoardCommand::Submit(args) => submit(context, &args).await,
        BoardCommand::CleanBreak(args) => clean_break::run(context, args).await,
        BoardCommand::Heartbeat(args) => heartbeat::run(context, &args).await,
    }
}

fn keygen(context: &Context, args: &KeygenArgs) -> Result<(), Failure> {
    let out = args.out.as_path();
    let public_file = public_file(out);
    paths::must_be_new(out)?;
    paths::must_be_new(&public_file)?;
    let passphrase = context.new_board_passphrase()?;
    let (file, key, member, line) = if args.recovery {
        let (file, key) = BoardKeyFile::generate_recovery(&passphrase)?;
        (file, key, None, paths::recovery_line(&key))
    } else {
        let (file, member, key) = BoardKeyFile::generate(args.member, &passphrase)?;
        let line = paths::board_line(&BoardPerson { member, key });
        (file, key, Some(member), line)
    };
    let digits = fingerprint::of_key(&key);
    paths::write_new(out, &file, true)?;
    paths::write_new(&public_file, &format!("{line}\n"), false)?;
    context.out.emit(
        || {
            json!({
                "key": out.display().to_string(),
                "public": public_file.display().to_string(),
                "member": member.map(|member| member.to_string()),
                "public_key": key.to_string(),
                "fingerprint": digits,
            })
        },
        |text| text.plain(&line),
    )?;
    context.out.note(&format!(
        "Fingerprint: {digits}\n\
         Keep {} and its passphrase to yourself, and a copy in a safe; hand over {}.",
        out.display(),
        public_file.display()
    ));
    Ok(())
}

fn public_file(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

fn sign(context: &Context, key: &Path, request: &Path, out: &Path) -> Result<(), Failure> {
    paths::must_be_new(out)?;
    let text = paths::read(request)?;
    let file = paths::read(key)?;
    // Told before a passphrase is asked for in vain; and what is signed is shown to whoever signs.
    let paper = RequestFile::parse(&text)?;
    let (holder, _) = BoardKeyFile::peek(&file)?;
    if context.out.is_watched() {
        show::print(&context.out, &paper.heading(), &paper.words(), None)?;
    }
    let passphrase = context.board_passphrase(&format!("the Board key {}", key.display()))?;
    let signature = BoardKeyFile::sign(&file, &passphrase, &text)?;
    paths::write_new(out, &signature, false)?;
    let name = out.display().to_string();
    let signed = paper.signable(holder);
    let member = match holder {
        Holder::Board(member) => Some(member.to_string()),
        _ => None,
    };
    context.out.emit(
        || json!({ "signature": name, "member": member, "statements": signed }),
        |line| {
            line.plain(&format!(
                "Signed {}. Wrote ",
                count(signed, "statement", "statements")
            ))
            .add(Style::Bold, &name)
        },
    )
}

async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), Failure> {
    let (request, signatures) = signed(args)?;
    tally::must_be_complete(&RequestFile::parse(&request)?, &signatures)?;
    let session = context.session(Need::Online).await?;
    let work = session.client.submit(&request, &signatures);
    let head = context.within("the submission", work).await?;
    context.out.emit(
        || json!({ "ledger": head.seq.0, "hash": head.hash.to_string() }),
        |line| {
            line.add(Style::Good, "In force.")
                .plain(&format!(" The ledger has {} statements.", head.seq.0))
        },
    )?;
    session.finish().await
}
