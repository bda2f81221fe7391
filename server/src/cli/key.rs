//! The commands about the server's identity key. See [`plenary_core::server_key`].

use std::path::PathBuf;

use anyhow::{Context, bail};
use bytes::Bytes;
use plenary_certs::board::{Request, SignatureFile, combine};
use plenary_core::server_key;
use plenary_proto::ids::PublicKey;
use serde::Serialize;

use super::arguments::KeyCommand;
use super::{print, there_is_data, with_store};
use crate::config::Config;
use crate::folder::{FolderError, Keys};

/// All in hex.
#[derive(Serialize)]
struct Known {
    in_use: Option<String>,
    in_ledger: Option<String>,
    next: Option<String>,
}

#[derive(Serialize)]
struct Next {
    key: String,
}

#[derive(Serialize)]
struct Replaced {
    key: String,
    statement: u64,
}

/// `key`
pub fn run(config: &Config, command: &KeyCommand) -> anyhow::Result<()> {
    there_is_data(config)?;
    let keys = Keys::of(&config.data)?;
    match command {
        KeyCommand::Show { json } => show(config, &keys, *json),
        KeyCommand::Next { json } => next(&keys, *json),
        KeyCommand::Replace {
            request,
            signatures,
            json,
        } => {
            let statement = statement(request, signatures)?;
            replace(config, &keys, &statement, *json)
        }
    }
}

fn show(config: &Config, keys: &Keys, json: bool) -> anyhow::Result<()> {
    let in_ledger = match keys.lock() {
        Ok(_lock) => with_store(config, async |store| Ok(server_key::stated(store).await?))?,
        // It would not run with another one.
        Err(FolderError::Locked(_)) => keys.current()?,
        Err(error) => return Err(error.into()),
    };
    let text = |key: Option<PublicKey>| key.map(|key| key.to_string());
    let known = Known {
        in_use: text(keys.current()?),
        in_ledger: text(in_ledger),
        next: text(keys.next()?),
    };
    print(json, &known, |known| {
        let line = |name: &str, key: &Option<String>, none: &str| {
            format!("{name:<11}{}", key.as_deref().unwrap_or(none))
        };
        [
            line("in use", &known.in_use, "lost (server.key is missing)"),
            line("in ledger", &known.in_ledger, "none yet"),
            line("next", &known.next, "none made"),
        ]
        .join("\n")
    });
    Ok(())
}

fn next(keys: &Keys, json: bool) -> anyhow::Result<()> {
    let key = keys.make_next()?.to_string();
    print(json, &Next { key }, |made| {
        format!(
            "next key  {}\nHave the Board name it: plenary board request server {} --out server.request",
            made.key, made.key
        )
    });
    Ok(())
}

fn replace(config: &Config, keys: &Keys, signed: &Bytes, json: bool) -> anyhow::Result<()> {
    let _lock = keys.lock()?;
    let made = keys.next()?;
    // Again, after all was done or a crash after the ledger had it.
    let Some(own) = made.or(keys.current()?) else {
        bail!("there is no key to put in use: make one with `plenary-server key next`");
    };
    let head = with_store(config, async |store| {
        Ok(server_key::replace(store, signed, own).await?)
    })?;
    if made.is_some() {
        keys.promote()?;
    }
    let replaced = Replaced {
        key: own.to_string(),
        statement: head.seq.0,
    };
    print(json, &replaced, |replaced| {
        format!(
            "the server's key is {} now, by statement {} of the ledger: start the server, then make a backup",
            replaced.key, replaced.statement
        )
    });
    Ok(())
}

/// The one statement of a request, with its signatures.
fn statement(request: &PathBuf, signatures: &[PathBuf]) -> anyhow::Result<Bytes> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
    };
    let parsed = Request::parse(&read(request)?).with_context(|| request.display().to_string())?;
    let mut files = Vec::with_capacity(signatures.len());
    for path in signatures {
        let file = SignatureFile::parse(&read(path)?);
        files.push(file.with_context(|| path.display().to_string())?);
    }
    let mut statements = combine(&parsed, &files)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(one), true) => Ok(one.into()),
        _ => bail!(
            "{} holds more than one statement: draft the server's key by itself",
            request.display()
        ),
    }
}
