//! Passphrases: from the terminal without echo, or from a file that nobody else may read.
//!
//! Never from an argument or an environment variable: other processes see those.

use std::{fs::File, io::Read, path::Path};

use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::exit::Failure;

/// Bytes of a passphrase file.
const MOST: u64 = 4096;

/// Asks for a passphrase that exists, or reads it from `file`.
pub(crate) fn passphrase(file: Option<&Path>, what: &str) -> Result<SecretString, Failure> {
    match file {
        Some(file) => from_file(file),
        None => ask(&format!("Passphrase of {what}: ")),
    }
}

/// Asks for a new passphrase, twice, or reads it from `file`.
pub(crate) fn new_passphrase(file: Option<&Path>, what: &str) -> Result<SecretString, Failure> {
    if let Some(file) = file {
        return from_file(file);
    }
    let first = prompt(&format!("New passphrase for {what}: "))?;
    let again = prompt("The same again: ")?;
    if *first != *again {
        return Err(Failure::usage(
            "the two passphrases differ: nothing was done",
        ));
    }
    secret(&first)
}

fn ask(prompt_text: &str) -> Result<SecretString, Failure> {
    secret(&prompt(prompt_text)?)
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .map_err(|error| {
            Failure::usage(format!(
                "no terminal to ask for the passphrase on ({error}): use --passphrase-file"
            ))
        })
}

fn from_file(path: &Path) -> Result<SecretString, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::io(&name, &error))?;
    private(&file, &name)?;
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize + 1));
    file.take(MOST + 1)
        .read_to_string(&mut text)
        .map_err(|error| Failure::io(&name, &error))?;
    if text.len() as u64 > MOST {
        return Err(Failure::usage(format!(
            "{name}: a passphrase file has one line of at most {MOST} bytes"
        )));
    }
    // One line end belongs to the file, not to the passphrase.
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.contains('\n') {
        return Err(Failure::usage(format!("{name}: more than one line")));
    }
    secret(line)
}

fn secret(text: &str) -> Result<SecretString, Failure> {
    if text.is_empty() {
        return Err(Failure::usage("an empty passphrase protects nothing"));
    }
    Ok(SecretString::from(text))
}

/// Checked on the open file, so that it cannot be changed in between. A pipe passes.
#[cfg(unix)]
fn private(file: &File, name: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt;

    let meta = file.metadata().map_err(|error| Failure::io(name, &error))?;
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Failure::usage(format!(
            "{name} has mode {mode:03o}, so others may read or change it: run chmod 600 on it"
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &File, _: &str) -> Result<(), Failure> {
    Ok(())
}
