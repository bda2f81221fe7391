//! Lines as typed: texts to send, and on a terminal commands.

use std::{
    io::{BufRead, Read},
    path::PathBuf,
};

use plenary_client::Label;
use tokio::sync::mpsc;

use crate::exit::Failure;

/// What `/help` says.
pub(super) const HELP: &str = "\
/reply NUMBER TEXT   answer a message, in its thread
/thread [TITLE]      what follows goes to this thread; without TITLE, to none
/label [TLP]         what follows carries this label; without TLP, none
/file PATH           hand a file over
/get NUMBER [DIR]    fetch the file that a message hands over
/who                 who reads this
/quit                end, as Ctrl-D
//TEXT               send a line that begins with /";

/// Lines typed ahead of the outbox.
const AHEAD: usize = 64;

/// Longest line in bytes; what a message holds is less.
const LINE: usize = 64 * 1024;

/// What a line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Typed {
    Nothing,
    Text(String),
    Reply(String, String),
    File(PathBuf),
    Get(String, PathBuf),
    Thread(Option<String>),
    Label(Option<Label>),
    Who,
    Help,
    End,
}

impl Typed {
    /// Reads a line; where no commands are expected all is text.
    pub(super) fn parse(line: &str, commands: bool) -> Result<Self, Failure> {
        let command = match line.strip_prefix('/').filter(|_| commands) {
            None if line.is_empty() => return Ok(Self::Nothing),
            None => return Ok(Self::Text(line.to_owned())),
            Some(rest) if rest.starts_with('/') => return Ok(Self::Text(rest.to_owned())),
            Some(command) => command,
        };
        let (word, rest) = cut(command);
        let some = (!rest.is_empty()).then(|| rest.to_owned());
        let needs = |what: &str| Failure::usage(format!("/{word} needs {what}"));
        Ok(match word {
            "reply" => match cut(rest) {
                (_, "") => return Err(needs("a message's number and a text")),
                (number, text) => Self::Reply(number.to_owned(), text.to_owned()),
            },
            "file" => Self::File(some.ok_or_else(|| needs("a path"))?.into()),
            "get" => match cut(rest) {
                ("", _) => return Err(needs("a message's number")),
                (number, "") => Self::Get(number.to_owned(), ".".into()),
                (number, folder) => Self::Get(number.to_owned(), folder.into()),
            },
            "thread" => Self::Thread(some),
            "label" => Self::Label(
                some.map(|label| label.parse())
                    .transpose()
                    .map_err(|error| Failure::usage(format!("{error}")))?,
            ),
            "who" => Self::Who,
            "help" => Self::Help,
            "quit" => Self::End,
            _ => {
                return Err(Failure::usage(format!(
                    "no command /{word}: /help lists them, //{word} sends it"
                )));
            }
        })
    }
}

/// The first word and what follows it.
fn cut(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim_start())
}

/// Lines of standard input. A thread of its own: a read from a terminal cannot be called off.
pub(super) fn lines() -> mpsc::Receiver<Result<String, Failure>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let line = match line(&mut stdin) {
                Ok(Some(line)) => Ok(line),
                Ok(None) => return,
                Err(failure) => Err(failure),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

fn line(from: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut bytes = Vec::new();
    from.take(LINE as u64 + 1)
        .read_until(b'\n', &mut bytes)
        .map_err(|error| Failure::io("standard input", &error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > LINE {
        return Err(Failure::usage(format!("a line has at most {LINE} bytes")));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::usage("standard input is no UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_text() {
        let mut input = "one\r\n\ntwo".as_bytes();
        assert_eq!(line(&mut input), Ok(Some("one".to_owned())));
        assert_eq!(line(&mut input), Ok(Some(String::new())));
        assert_eq!(line(&mut input), Ok(Some("two".to_owned())));
        assert_eq!(line(&mut input), Ok(None));
        assert!(line(&mut &[0xff, b'\n'][..]).is_err());
        assert!(line(&mut "x".repeat(LINE + 1).as_bytes()).is_err());
        assert!(line(&mut "x".repeat(LINE).as_bytes()).is_ok());
    }

    #[test]
    fn commands_are_read_on_a_terminal_only() {
        let text = |text: &str| Typed::Text(text.to_owned());
        for (typed, meant) in [
            ("", Typed::Nothing),
            ("hello /who", text("hello /who")),
            ("//who", text("/who")),
            (" /who", text(" /who")),
            ("/who", Typed::Who),
            ("/quit ", Typed::End),
            (
                "/reply 42  two words ",
                Typed::Reply("42".to_owned(), "two words".to_owned()),
            ),
            ("/file my report.pdf", Typed::File("my report.pdf".into())),
            ("/get 7", Typed::Get("7".to_owned(), ".".into())),
            ("/get 7 a b", Typed::Get("7".to_owned(), "a b".into())),
            ("/thread", Typed::Thread(None)),
            (
                "/thread Old wallets",
                Typed::Thread(Some("Old wallets".to_owned())),
            ),
            ("/label red", Typed::Label(Some(Label::Red))),
        ] {
            assert_eq!(Typed::parse(typed, true), Ok(meant), "{typed}");
            if !typed.is_empty() {
                assert_eq!(Typed::parse(typed, false), Ok(text(typed)), "{typed}");
            }
        }
        for wrong in [
            "/",
            "/reply 42",
            "/reply",
            "/file",
            "/get",
            "/label pink",
            "/etc/passwd",
        ] {
            assert!(Typed::parse(wrong, true).is_err(), "{wrong}");
        }
    }
}
