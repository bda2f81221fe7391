//! The command that completes a ledger. See [`plenary_core::complete_ledger`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use plenary_certs::proof::LARGEST;
use plenary_core::complete_ledger;
use serde::Serialize;

use super::{print, there_is_data, with_store};
use crate::config::Config;
use crate::folder::Keys;

#[derive(Serialize)]
struct Completed {
    /// Statements that were missing.
    added: u64,
    /// In all by now.
    statements: u64,
    head: String,
}

/// `complete-ledger`
pub fn complete(config: &Config, path: &Path, json: bool) -> anyhow::Result<()> {
    there_is_data(config)?;
    let _lock = Keys::of(&config.data)?.lock()?;
    let named = || format!("cannot read {}", path.display());
    let mut file = Vec::new();
    let most = LARGEST as u64;
    let read = File::open(path).and_then(|open| open.take(most).read_to_end(&mut file));
    read.with_context(named)?;
    let done = with_store(config, async |store| {
        let done = complete_ledger::complete(store, &file).await;
        done.with_context(|| path.display().to_string())
    })?;
    let completed = Completed {
        added: done.after.seq.0 - done.before.seq.0,
        statements: done.after.seq.0,
        head: done.after.hash.to_string(),
    };
    print(json, &completed, |done| match done.added {
        0 => format!(
            "nothing was missing: the ledger has {} statements",
            done.statements
        ),
        added => format!(
            "{added} statements were missing; the ledger has {} now: start the server, then make a backup",
            done.statements
        ),
    });
    Ok(())
}
