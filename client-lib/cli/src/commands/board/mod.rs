//! The Board's work.

mod request;

use std::path::{Path, PathBuf};

use plenary_client::{BoardKeyFile, BoardPerson};
use serde_json::json;

use super::{network::signed, show::count};
use crate::{
    args::{BoardCommand, SubmitArgs},
    exit::Failure,
    output::{Output, Style},
    paths,
    session::{Context, Need},
};

pub(super) async fn run(context: &Context, command: BoardCommand) -> Result<(), Failure> {
    match command {
        BoardCommand::Keygen(args) => keygen(context, &args.out, args.member),
        BoardCommand::Request(command) => request::run(context, command).await,
        BoardCommand::Show(args) => show(context, &args.request, args.names).await,
        BoardCommand::Sign(args) => sign(context, &args.key, &args.request, &args.out),
        BoardCommand::Submit(args) => submit(context, &args).await,
    }
}

fn keygen(
    context: &Context,
    out: &Path,
    member: Option<plenary_client::ids::MemberId>,
) -> Result<(), Failure> {
    let public_file = public_file(out);
    paths::must_be_new(out)?;
    paths::must_be_new(&public_file)?;
    let passphrase = context.new_board_passphrase()?;
    let (file, member, key) = BoardKeyFile::generate(member, &passphrase)?;
    let line = paths::board_line(&BoardPerson { member, key });
    paths::write_new(out, &file, true)?;
    paths::write_new(&public_file, &format!("{line}\n"), false)?;
    context.out.emit(
        || {
            json!({
                "key": out.display().to_string(),
                "public": public_file.display().to_string(),
                "member": member.to_string(),
                "public_key": key.to_string(),
            })
        },
        |text| text.plain(&line),
    )?;
    context.out.note(&format!(
        "Keep {} and its passphrase to yourself, and a copy in a safe; hand over {}.",
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

async fn show(context: &Context, request: &Path, names: bool) -> Result<(), Failure> {
    let text = paths::read(request)?;
    if !names {
        return print_words(&context.out, &BoardKeyFile::describe(&text)?, None);
    }
    let session = context.session(Need::Stored).await?;
    let words = session.client.describe(&text).await?;
    print_words(&context.out, &words, None)?;
    session.finish().await
}

fn print_words(out: &Output, words: &[String], file: Option<&str>) -> Result<(), Failure> {
    out.emit(
        || match file {
            Some(file) => json!({ "request": file, "statements": words }),
            None => json!({ "statements": words }),
        },
        |mut line| {
            for (index, statement) in words.iter().enumerate() {
                if index > 0 {
                    line = line.end();
                }
                line = line
                    .add(Style::Bold, &format!("{}. ", index + 1))
                    .block(statement);
            }
            line
        },
    )
}

fn sign(context: &Context, key: &Path, request: &Path, out: &Path) -> Result<(), Failure> {
    paths::must_be_new(out)?;
    let text = paths::read(request)?;
    let file = paths::read(key)?;
    // Told before a passphrase is asked for in vain; and what is signed is shown to whoever signs.
    let words = BoardKeyFile::describe(&text)?;
    let (member, _) = BoardKeyFile::peek(&file)?;
    if context.out.is_watched() {
        print_words(&context.out, &words, None)?;
    }
    let passphrase = context.board_passphrase(&format!("the Board key {}", key.display()))?;
    let signature = BoardKeyFile::sign(&file, &passphrase, &text)?;
    paths::write_new(out, &signature, false)?;
    let name = out.display().to_string();
    let what = count(words.len(), "statement", "statements");
    context.out.emit(
        || json!({ "signature": name, "member": member.to_string(), "statements": words.len() }),
        |line| {
            line.plain(&format!("Signed {what}. Wrote "))
                .add(Style::Bold, &name)
        },
    )
}

async fn submit(context: &Context, args: &SubmitArgs) -> Result<(), Failure> {
    let (request, signatures) = signed(args)?;
    BoardKeyFile::describe(&request)?;
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
