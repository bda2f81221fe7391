//! Somebody who never saw the network checks a bundle of custody, in a process of their own.

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use plenary_client::custody::verify;

/// First argument by which a program that brings the checker along runs it:
/// `check-bundle FOLDER ROOT1`.
pub const CHECK: &str = "check-bundle";

/// Runs the checker: says how many statements hold, or what is wrong.
pub fn check(arguments: &[String]) -> ExitCode {
    let [folder, root1] = arguments else {
        eprintln!("usage: {CHECK} FOLDER ROOT1");
        return ExitCode::from(2);
    };
    let Ok(root1) = root1.parse() else {
        eprintln!("{root1}: no hash");
        return ExitCode::from(2);
    };
    match verify(Path::new(folder), Some(&root1), None) {
        Ok(found) => {
            println!("{} {}", found.statements.len(), found.sha256);
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("{fault}");
            ExitCode::from(7)
        }
    }
}

/// Has a bundle checked by `program` with an empty home and nothing in its environment: whether it
/// holds, and what was said.
///
/// # Errors
/// When it cannot be started.
pub fn checked(program: &Path, home: &Path, bundle: &Path, root1: &str) -> Result<(bool, String)> {
    let run = Command::new(program)
        .arg(CHECK)
        .arg(bundle)
        .arg(root1)
        .env_clear()
        .env("HOME", home)
        .current_dir(home)
        .output()
        .context("the checker does not start")?;
    Ok((
        run.status.success(),
        String::from_utf8_lossy(&run.stdout).trim().to_owned(),
    ))
}
