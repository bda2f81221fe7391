//! Messages: sending and reading them.

use clap::Args;
use plenary_client::{
    Label,
    ids::{Digest, UnixMillis},
};

use crate::time;

/// What a message may carry beside its text.
#[derive(Debug, Args)]
pub(crate) struct MarkArgs {
    /// How far it may travel: TLP:RED, TLP:AMBER+STRICT, TLP:AMBER, TLP:GREEN, TLP:CLEAR.
    #[arg(long, value_name = "TLP")]
    pub(crate) label: Option<Label>,
    /// Queue and return; it goes out with the next connection.
    #[arg(long)]
    pub(crate) no_wait: bool,
    #[command(flatten)]
    pub(crate) audience: ReaderArgs,
}

/// Who must, or may, read it.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ReaderArgs {
    /// Do not ask, on a terminal, whether to send to an audience that is new or has changed.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Send to exactly these readers, or not at all: a digest that `plenary audience` gave.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) audience: Option<Digest>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary send encryption 'Has anyone seen this wallet?' --thread Wallets
  plenary send encryption --label TLP:RED < note.txt
  git log -5 | plenary send metaverse --markdown -

Waits until the message is in the channel's log and read back from there. Before a channel's first
message, and whenever the audience changed since this device's last one there, it says who will
read it; on a terminal it asks. A script sends without being asked; with --audience DIGEST (of
`plenary audience`) it sends to exactly these readers or ends with exit code 5. Of a text from standard input, one line end at the end is left out. A text
too long for a message, from some 60,000 bytes, goes as a file by itself.")]
pub(crate) struct SendArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The text; left out or `-`: standard input.
    pub(crate) text: Option<String>,
    /// The thread, by its title; begins it if there is none.
    #[arg(long, value_name = "TITLE")]
    pub(crate) thread: Option<String>,
    /// The text is Markdown.
    #[arg(long)]
    pub(crate) markdown: bool,
    /// Everybody is asked to acknowledge: a notice, outside the discussion.
    #[arg(long, conflicts_with_all = ["markdown", "thread"])]
    pub(crate) notice: bool,
    #[command(flatten)]
    pub(crate) marks: MarkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary reply encryption 42 'Yes, in March.'
  plenary reply encryption 01f3a9 - < answer.txt

The answer goes to the thread of what it answers.")]
pub(crate) struct ReplyArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// What to answer: its number in the channel, or the beginning of its message id.
    pub(crate) message: String,
    /// The text; left out or `-`: standard input.
    pub(crate) text: Option<String>,
    #[command(flatten)]
    pub(crate) marks: MarkArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary tail
  plenary tail encryption --since 2d
  plenary tail encryption metaverse --follow
  plenary tail encryption --json --since 2026-03-01 | jq -r .text")]
pub(crate) struct TailArgs {
    /// Names, or beginnings of ids; left out: all channels that this device is in.
    #[arg(value_name = "CHANNEL")]
    pub(crate) channels: Vec<String>,
    /// How many of the last; all, with --since.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
    /// From then on: 2h, 3d, 2026-03-01, 2026-03-01T09:30.
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<UnixMillis>,
    /// Only this thread.
    #[arg(long, value_name = "TITLE")]
    pub(crate) thread: Option<String>,
    /// Go on with what comes; reconnects by itself. The profile stays open: to send from here,
    /// use `talk`.
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary talk encryption --thread Wallets

End with Ctrl-D: what was typed is delivered first. On a terminal a line that begins with / is a
command: /help lists them, // sends a line that begins with /. Lines from a pipe are sent as they
are, one by one.")]
pub(crate) struct TalkArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The thread, by its title, that what is typed goes to.
    #[arg(long, value_name = "TITLE")]
    pub(crate) thread: Option<String>,
    /// How far what is typed may travel.
    #[arg(long, value_name = "TLP")]
    pub(crate) label: Option<Label>,
    /// How many of the last messages to show first.
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub(crate) lines: usize,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary search wallet seized
  plenary search 'cold storage' --channel encryption --since 2026-03-01
  plenary search passport --from 'Bob Brown' --json | jq -r .excerpt

Looks through what this device holds: texts, titles of threads, names of files. Every word must be
there, from its beginning on (`wal` finds wallet; a single letter only itself); words held together by
quotes are a phrase, found as it is. Case does not count, nor do accents on Latin letters. The newest come first. What was
edited, taken back or withdrawn since is not found. In scripts without blanks between words, only the
beginning of a run of letters is found.")]
pub(crate) struct SearchArgs {
    /// What to look for.
    #[arg(required = true, value_name = "WORDS")]
    pub(crate) words: Vec<String>,
    /// In this channel only: its name, or the beginning of its id.
    #[arg(long, value_name = "NAME")]
    pub(crate) channel: Option<String>,
    /// By this member only: the name, or the beginning of the id.
    #[arg(long, value_name = "WHO")]
    pub(crate) from: Option<String>,
    /// From then on: 2h, 3d, 2026-03-01, 2026-03-01T09:30.
    #[arg(long, value_name = "DATE", value_parser = time::moment)]
    pub(crate) since: Option<UnixMillis>,
    /// How many at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: u32,
}
