//! Files and folders: where profiles lie, and reading and writing the small files of the Board.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    path::{Path, PathBuf},
};

use plenary_client::{BoardPerson, ids::PublicKey};

use crate::exit::Failure;

/// Bytes of a request, signature, key or founder's file. A request of 1,000 statements is smaller.
const MOST: u64 = 8 << 20;

/// Begins the line that says a Board key's public half.
const BOARD_PERSON: &str = "board-person";

/// Begins the line that says a recovery key's public half.
const RECOVERY_KEY: &str = "recovery-key";

/// Begins the line that says a heartbeat key's public half.
const HEARTBEAT_KEY: &str = "heartbeat-key";

/// Where a profile lies when nothing is said.
pub(crate) fn default_profile() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    // As the XDG base directory specification has it: a relative path is ignored.
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .or_else(|| absolute("LOCALAPPDATA"))
        .map(|data| data.join("plenary").join("default"))
        .ok_or_else(|| Failure::usage("no home folder is known: give --profile DIR"))
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        return read_from(std::io::stdin().lock(), "standard input", MOST);
    }
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::io(&name, &error))?;
    read_from(file, &name, MOST)
}

/// Text of at most so many bytes.
pub(crate) fn read_from(from: impl Read, name: &str, most: u64) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(name, &error))?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("{name} has more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{name} is no UTF-8 text")))
}

/// The bytes of a file, at most so many.
pub(crate) fn read_bytes(path: &Path, most: u64) -> Result<Vec<u8>, Failure> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| Failure::io(&name, &error))?;
    let mut bytes = Vec::new();
    file.take(most + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Failure::io(&name, &error))?;
    if bytes.len() as u64 > most {
        return Err(Failure::usage(format!("{name} has more than {most} bytes")));
    }
    Ok(bytes)
}

/// Writes a new file, on disk when this returns; never over one that exists.
pub(crate) fn write_new(path: &Path, text: &str, secret: bool) -> Result<(), Failure> {
    write(path, text.as_bytes(), secret)
}

/// The same for what is no text and no secret.
pub(crate) fn write_new_bytes(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    write(path, bytes, false)
}

fn write(path: &Path, bytes: &[u8], secret: bool) -> Result<(), Failure> {
    let name = path.display().to_string();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    if secret {
        only_mine(&mut options);
    }
    let written = options.open(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Failure::usage(format!("{name} exists: choose another name"))
        }
        std::io::ErrorKind::NotFound => {
            Failure::not_found(format!("{name}: there is no such folder"))
        }
        _ => Failure::io(&name, &error),
    })
}

/// Refuses early what [`write_new`] would refuse after the work.
pub(crate) fn must_be_new(path: &Path) -> Result<(), Failure> {
    if path.symlink_metadata().is_ok() {
        return Err(Failure::usage(format!(
            "{} exists: choose another name",
            path.display()
        )));
    }
    Ok(())
}

/// The line of a Board key's public half.
pub(crate) fn board_line(person: &BoardPerson) -> String {
    format!("{BOARD_PERSON} {} {}", person.member, person.key)
}

/// The line of a recovery key's public half.
pub(crate) fn recovery_line(key: &PublicKey) -> String {
    format!("{RECOVERY_KEY} {key}")
}

/// Reads the public half of a recovery key from its file.
pub(crate) fn recovery_key(path: &Path) -> Result<PublicKey, Failure> {
    nobody_s_key(path, RECOVERY_KEY, "recovery")
}

/// Reads the public half of a Board key from its file.
pub(crate) fn board_person(path: &Path) -> Result<BoardPerson, Failure> {
    let text = read(path)?;
    parse_board_line(&text).ok_or_else(|| {
        Failure::usage(format!(
            "{}: not the public half of a Board key, which is one line \
             \"{BOARD_PERSON} MEMBER KEY\"; `plenary board keygen` writes it beside the key",
            path.display()
        ))
    })
}

/// The line of a heartbeat key's public half.
pub(crate) fn heartbeat_line(key: &PublicKey) -> String {
    format!("{HEARTBEAT_KEY} {key}")
}

/// Reads the public half of a heartbeat key from its file.
pub(crate) fn heartbeat_key(path: &Path) -> Result<PublicKey, Failure> {
    nobody_s_key(path, HEARTBEAT_KEY, "heartbeat")
}

/// Reads the public half of a key that is nobody's: the word that its line begins with, and what it
/// is for.
fn nobody_s_key(path: &Path, word: &str, purpose: &str) -> Result<PublicKey, Failure> {
    let text = read(path)?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next().map(str::parse), words.next()) {
        (Some(first), Some(Ok(key)), None) if first == word => Ok(key),
        _ => Err(Failure::usage(format!(
            "{}: not the public half of a {purpose} key, which is one line \"{word} KEY\"; \
             `plenary board keygen --{purpose}` writes it beside the key",
            path.display()
        ))),
    }
}

fn parse_board_line(text: &str) -> Option<BoardPerson> {
    let mut words = text.split_whitespace();
    let person = (
        words.next()?,
        words.next()?.parse().ok()?,
        words.next()?.parse().ok()?,
    );
    match (person, words.next()) {
        ((BOARD_PERSON, member, key), None) => Some(BoardPerson { member, key }),
        _ => None,
    }
}

#[cfg(unix)]
fn only_mine(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;

    options.mode(0o600);
}

#[cfg(not(unix))]
fn only_mine(_: &mut OpenOptions) {}

#[cfg(test)]
mod tests {
    use super::*;
    use plenary_client::ids::MemberId;

    #[test]
    fn the_board_line_round_trips() {
        let person = BoardPerson {
            member: MemberId([0xab; 16]),
            key: PublicKey([7; 32]),
        };
        let line = board_line(&person);
        assert_eq!(parse_board_line(&line), Some(person));
        assert_eq!(parse_board_line(&format!("{line}\n")), Some(person));
        for wrong in [
            "".to_owned(),
            line.replace("board-person", "person"),
            format!("{line} more"),
            line[..line.len() - 1].to_owned(),
        ] {
            assert_eq!(parse_board_line(&wrong), None, "{wrong}");
        }
    }
}
