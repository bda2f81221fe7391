//! What is printed: lines for people or JSON lines for programs, never both.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use plenary_client::Label;
use serde_json::{Value, json};

use crate::{clean, exit::Failure};

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set or TERM is dumb.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Label(Label),
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "1;31",
            // The colours of TLP 2.0, on black as it asks for.
            Self::Label(Label::Red) => "1;91;40",
            Self::Label(Label::Amber | Label::AmberStrict) => "1;93;40",
            Self::Label(Label::Green) => "1;92;40",
            Self::Label(Label::Clear) => "1;97;40",
        }
    }
}

/// Where output goes and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    color: bool,
    /// Standard error is a terminal: somebody watches.
    watched: bool,
}

/// A line for people, built of pieces that are made safe one by one.
#[derive(Debug)]
pub(crate) struct Line {
    color: bool,
    text: String,
}

impl Output {
    pub(crate) fn new(json: bool, color: Color) -> Self {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                std::io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                    && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
            }
        };
        Self {
            json,
            color: color && !json,
            watched: std::io::stderr().is_terminal(),
        }
    }

    /// Somebody watches the terminal, so progress and remarks make sense.
    pub(crate) fn is_watched(&self) -> bool {
        self.watched && !self.json
    }

    /// An empty line to build.
    pub(crate) fn line(&self) -> Line {
        Line {
            color: self.color,
            text: String::new(),
        }
    }

    /// Prints a result: `value` as JSON, or `human`.
    pub(crate) fn emit(
        &self,
        value: impl FnOnce() -> Value,
        human: impl FnOnce(Line) -> Line,
    ) -> Result<(), Failure> {
        let text = if self.json {
            clean::json(&value().to_string())
        } else {
            human(self.line()).text
        };
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "{text}")
            .and_then(|()| stdout.flush())
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::BrokenPipe => Failure::reader_gone(),
                _ => Failure::io("standard output", &error),
            })
    }

    /// A remark beside the result, to standard error, for people only.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            to_stderr(&clean::lines(text).collect::<Vec<_>>().join("\n"));
        }
    }

    /// Something that must be seen, to standard error.
    pub(crate) fn alarm(&self, channel: Option<&str>, code: &str, what: &str) {
        if self.json {
            let value = json!({ "alarm": { "code": code, "channel": channel, "what": what } });
            to_stderr(&clean::json(&value.to_string()));
        } else {
            let place = channel.map(|channel| format!(" in {channel}"));
            let place = clean::line(&place.unwrap_or_default());
            to_stderr(&format!("ALARM {code}{place}: {}", clean::line(what)));
        }
    }

    /// Something that its reader should know and may have to act upon, to standard error.
    pub(crate) fn news(&self, what: &str, value: &Value, words: &str) {
        if self.json {
            to_stderr(&clean::json(&json!({ what: value }).to_string()));
        } else {
            to_stderr(&format!("NEWS {}", clean::line(words)));
        }
    }

    /// The failure that ends the command, to standard error.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            let value = json!({ "error": { "code": failure.code, "message": failure.message } });
            to_stderr(&clean::json(&value.to_string()));
        } else {
            let mut lines = clean::lines(&failure.message);
            to_stderr(&format!("plenary: {}", lines.next().unwrap_or_default()));
            lines.for_each(|line| to_stderr(&format!("  {line}")));
        }
    }
}

impl Line {
    /// Adds a piece.
    pub(crate) fn add(mut self, style: Style, text: &str) -> Self {
        let text = clean::line(text);
        match style.code() {
            code if self.color && !code.is_empty() && !text.is_empty() => {
                self.text.push_str(&format!("\x1b[{code}m{text}\x1b[0m"));
            }
            _ => self.text.push_str(&text),
        }
        self
    }

    /// Adds a piece as it is.
    pub(crate) fn plain(self, text: &str) -> Self {
        self.add(Style::Plain, text)
    }

    /// Adds a label in its colour.
    pub(crate) fn label(self, label: Label) -> Self {
        self.add(Style::Label(label), &label.to_string())
    }

    /// Adds a piece padded to a column.
    pub(crate) fn column(self, style: Style, text: &str, width: usize) -> Self {
        let padding = width.saturating_sub(clean::line(text).chars().count());
        self.add(style, text).plain(&" ".repeat(padding + 2))
    }

    /// Adds a text of several lines. Those after the first are marked, so that no text can pass
    /// for a line of ours.
    pub(crate) fn block(mut self, text: &str) -> Self {
        for (index, line) in clean::lines(text).enumerate() {
            if index > 0 {
                self.text.push_str("\n    | ");
            }
            self.text.push_str(&line);
        }
        self
    }

    /// Ends the line and begins another.
    pub(crate) fn end(mut self) -> Self {
        self.text.push('\n');
        self
    }
}

/// Nothing can be done if standard error is gone.
fn to_stderr(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(color: bool) -> Output {
        Output {
            json: false,
            color,
            watched: false,
        }
    }

    #[test]
    fn a_text_cannot_pass_for_another_line() {
        let forged = "hello\n2026-01-01 00:00:00  #9  Alice: pay \x1b[8mnow";
        let line = output(true).line().add(Style::Bold, "Bob").block(forged);
        let mut printed = line.text.lines();
        assert_eq!(printed.next(), Some("\x1b[1mBob\x1b[0mhello"));
        assert_eq!(
            printed.next(),
            Some("    | 2026-01-01 00:00:00  #9  Alice: pay <001b>[8mnow")
        );
        assert_eq!(printed.next(), None);
    }

    #[test]
    fn no_colour_when_told() {
        let line = output(false)
            .line()
            .label(Label::Red)
            .column(Style::Good, "é", 3);
        assert_eq!(line.plain("|").text, "TLP:REDé    |");
    }
}
