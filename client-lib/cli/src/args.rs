//! The arguments as typed.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use plenary_client::{
    Capacity, EntryRule, Label,
    ids::{Digest, InvitationId, MemberId, UnixMillis},
};

use crate::{exit::CODES, output::Color, time};

mod aside;
mod audit;
mod board;
mod custody;
mod devices;
mod handing;

pub(crate) use aside::{CheckArgs, ConfirmArgs};
pub(crate) use audit::{AuditArgs, VerifyArgs};
pub(crate) use board::{
    BoardCommand, CleanBreakArgs, HeartbeatArgs, KeygenArgs, PolicyArgs, ReasonArg, RecoverCommand,
    RequestCommand, RootArgs, ShowArgs, SuiteArg, TargetCommand,
};
pub(crate) use custody::{
    CustodyCommand, CustodyDeleteArgs, CustodyExportArgs, ExportSampleArgs, ItemArgs, ReceiptsArgs,
    WithdrawArgs,
};
pub(crate) use devices::{
    AcceptArgs, DevicesArgs, DevicesCommand, LinkArgs, MakeLinkArgs, NameArgs, RevokeArgs,
    VouchArgs,
};
pub(crate) use handing::{ForwardArgs, KeptArgs, RateArgs, TermsArgs, TransfersArgs};

const EXAMPLES: &str = "\
Examples:
  plenary join 'plenary:...' --name 'Bob Brown' --state Ruritania --wait
  plenary channels
  plenary enter encryption
  plenary send encryption 'Has anyone seen this wallet?' --thread Wallets
  plenary tail encryption --follow
  plenary reply encryption 42 'Yes, in March.'

To found a network, see `plenary network found --help`.";

/// Discuss by topic and hand over files within a closed network, end-to-end encrypted.
#[derive(Debug, Parser)]
#[command(name = "plenary", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{CODES}"))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Global {
    /// The profile's folder: keys, messages, what waits to be sent. Sealed with a passphrase.
    /// By default plenary/default under the folder for user data.
    #[arg(long, global = true, value_name = "DIR", env = "PLENARY_PROFILE")]
    pub(crate) profile: Option<PathBuf>,

    /// Read the passphrase from this file, one line, which nobody else may read (mode 600).
    /// Otherwise it is asked for on the terminal.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "PLENARY_PASSPHRASE_FILE"
    )]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Print one JSON object a line; errors as {"error": {"code", "message"}} to standard error.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// When to colour.
    #[arg(
        long,
        global = true,
        value_enum,
        default_value = "auto",
        value_name = "WHEN"
    )]
    pub(crate) color: Color,

    /// How long to wait for the server: seconds, or 5m, 1h. What is queued stays queued.
    /// [default: 30s]
    #[arg(long, global = true, value_name = "TIME", value_parser = time::duration)]
    pub(crate) timeout: Option<Duration>,

    /// Do not connect: show what is stored, queue what is sent.
    #[arg(long, global = true)]
    pub(crate) offline: bool,

    /// Log to standard error, such as `info` or `plenary_client=debug`. Never holds a name, a text
    /// or a key.
    #[arg(long, global = true, value_name = "FILTER", env = "PLENARY_LOG")]
    pub(crate) log: Option<String>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Found a network.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Make an invitation: one line to hand over by a safe way. Valid 72 hours, for one person.
    Invite(InviteArgs),
    /// Ask to be admitted with an invitation.
    Join(JoinArgs),
    /// The Board's work: keys, requests, signatures.
    #[command(subcommand)]
    Board(BoardCommand),
    /// Requests for admission that this device can read; countersign one.
    Requests(RequestsArgs),
    /// The members of the network.
    Members(MembersArgs),
    /// What the Board said: the whole ledger in words, or what is new in it.
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Who reads what is sent to a channel: persons, States and bodies, observers, experts.
    #[command(
        after_help = "Exit code and --json: as everywhere; `digest` is for `send --audience`."
    )]
    Audience(AudienceArgs),
    /// The channels of the network.
    Channels,
    /// Enter a channel.
    Enter(EnterArgs),
    /// Found a direct channel: a small private one with some members.
    Direct(DirectArgs),
    /// Your devices: list, link, name, revoke.
    Devices(DevicesArgs),
    /// Make this machine a further device of yours, with a code from the one that you have.
    Link(LinkArgs),
    /// Send a message.
    Send(SendArgs),
    /// Answer a message.
    Reply(ReplyArgs),
    /// Show messages.
    Tail(TailArgs),
    /// Discuss in a channel: shows what comes, sends every line typed.
    Talk(TalkArgs),
    /// Hand files over in a channel.
    SendFile(SendFileArgs),
    /// Fetch a file that was handed over.
    Get(GetArgs),
    /// Hand a file on in another channel, without a second upload.
    Forward(ForwardArgs),
    /// Show or change how long the server keeps a file.
    Kept(KeptArgs),
    /// Show uploads begun and not ended, and the room taken on the server; give one up.
    Transfers(TransfersArgs),
    /// Show how far the recipients of a file are.
    Receipts(ReceiptsArgs),
    /// Take a file back that was handed over.
    Withdraw(WithdrawArgs),
    /// Write a malware sample in the clear, under a neutral name.
    ExportSample(ExportSampleArgs),
    /// Who did what with a file, and when.
    #[command(subcommand)]
    Custody(CustodyCommand),
    /// Connect, send what is queued, read what is new, end.
    Sync,
    /// How this profile is.
    Status,
    /// Show what this profile saw that must not happen; put it away once somebody knows.
    Alarms(AlarmsArgs),
    /// Verify again everything that this profile holds; find out whether the server shows others
    /// something else.
    Audit(AuditArgs),
    /// Check a bundle of custody or a proof file, offline.
    Verify(VerifyArgs),
}

/// An alarm is kept until somebody puts it away; the same one again only counts.
#[derive(Debug, Args)]
#[command(after_help = alarms_help())]
pub(crate) struct AlarmsArgs {
    /// Put them away: they were dealt with.
    #[arg(long)]
    pub(crate) clear: bool,
}

fn alarms_help() -> String {
    let codes = plenary_client::AlarmKind::ALL
        .iter()
        .map(|kind| format!("  {:<20}{}\n", kind.code(), kind.meaning()));
    format!(
        "Examples:\n  plenary alarms\n  plenary alarms --json | jq -r .code\n  plenary alarms --clear\n\n\
         What each code says that this profile saw, and did:\n{}",
        codes.collect::<String>().trim_end()
    )
}

const FOUND_EXAMPLES: &str = "\
From an empty folder to a network, with a Board of three of whom two sign:

  The server's first start has written founder.json. Three people make their keys, each on a
  machine of their own, and hand over the .pub file:
    plenary board keygen --out alice.board
  The founder, who is the first of the Board:
    plenary network found --founder founder.json --board alice.board.pub \\
      --board bob.board.pub --board carol.board.pub --name 'Alice' --state Utopia \\
      --channel encryption --channel metaverse --out founding.request
  Two of the three:
    plenary board show founding.request
    plenary board sign --key alice.board founding.request --out a.sig
  The founder again:
    plenary network submit founding.request a.sig b.sig
    plenary invite";

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Make the founder's profile and the request that the Board signs.
    #[command(after_help = FOUND_EXAMPLES)]
    Found(FoundArgs),
    /// Submit the founding with the Board's signature files.
    Submit(SubmitArgs),
}

/// Who somebody is. Colleagues see it; the server never does.
#[derive(Debug, Args)]
pub(crate) struct PersonArgs {
    /// Name, as colleagues will see it.
    #[arg(long)]
    pub(crate) name: String,
    /// State or body.
    #[arg(long)]
    pub(crate) state: String,
    /// A language spoken; may be repeated.
    #[arg(long = "language", value_name = "LANGUAGE")]
    pub(crate) languages: Vec<String>,
    /// A field of expertise; may be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(crate) expertise: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FoundArgs {
    /// The founder.json that the server wrote on its first start.
    #[arg(long, value_name = "FILE")]
    pub(crate) founder: PathBuf,
    /// The public half of a Board key; once for each person, the founder first.
    #[arg(long, value_name = "FILE.pub", required = true)]
    pub(crate) board: Vec<PathBuf>,
    /// The public half of a heartbeat key, of a machine that will vouch for the Board's ledger; may
    /// be repeated. Without any there are no heartbeats; the Board may name one later.
    #[arg(long = "heartbeat-key", value_name = "FILE.pub")]
    pub(crate) heartbeat_keys: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) person: PersonArgs,
    /// An open channel to begin with, as NAME or NAME=PURPOSE; may be repeated.
    #[arg(long = "channel", value_name = "NAME")]
    pub(crate) channels: Vec<String>,
    /// The public half of a recovery key; may be repeated. Those who hold them can put a new Board
    /// in force if the old one is lost. Said now or never.
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) recovery: Vec<PathBuf>,
    /// How many recovery keys must sign. By default more than half.
    #[arg(long, value_name = "N", requires = "recovery")]
    pub(crate) recovery_threshold: Option<u8>,
    /// Where to write the request file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// The request file.
    pub(crate) request: PathBuf,
    /// The signature files.
    #[arg(required = true)]
    pub(crate) signatures: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary join 'plenary:...' --name 'Bob Brown' --state Ruritania --language fr
  plenary join - --name Bob --state Ruritania < invitation.txt
  plenary join 'plenary:...' --name 'Dora Dane' --state Utopia --as expert --expertise malware \\
      --nominated-by 'Prosecutor General of Utopia' --reason 'Reads ransomware for us'
  plenary join --wait          (the request is made already: wait for the Board)
  plenary join 'plenary:...' --member 0a3f... --name Bob --state Ruritania    (all devices lost)

Read the fingerprint to whoever invited you, by telephone: the Board compares it.")]
pub(crate) struct JoinArgs {
    /// The invitation's line; `-` reads it from standard input. Left out: only wait.
    #[arg(requires_all = ["name", "state"], required_unless_present = "wait")]
    pub(crate) invitation: Option<String>,
    /// Name, as colleagues will see it.
    #[arg(long, requires = "invitation")]
    pub(crate) name: Option<String>,
    /// State or body.
    #[arg(long, requires = "invitation")]
    pub(crate) state: Option<String>,
    /// A language spoken; may be repeated.
    #[arg(long = "language", value_name = "LANGUAGE")]
    pub(crate) languages: Vec<String>,
    /// A field of expertise; may be repeated.
    #[arg(long, value_name = "FIELD")]
    pub(crate) expertise: Vec<String>,
    /// As what.
    #[arg(
        long = "as",
        value_enum,
        value_name = "CAPACITY",
        default_value = "member"
    )]
    pub(crate) capacity: CapacityArg,
    /// The authority that nominates.
    #[arg(long, value_name = "AUTHORITY", default_value = "")]
    pub(crate) nominated_by: String,
    /// Why.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// For somebody on the Board: the public half of their Board key.
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) board_key: Option<PathBuf>,
    /// For a member who has lost all devices: their member id, as a colleague reads it from
    /// `plenary members --json`. The Board looks at them again; the place, grants and channels stay.
    #[arg(long, value_name = "ID", conflicts_with = "board_key")]
    pub(crate) member: Option<MemberId>,
    /// Wait until the Board has decided; for ever, unless --timeout is given.
    #[arg(long)]
    pub(crate) wait: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CapacityArg {
    Member,
    Expert,
    Observer,
}

impl From<CapacityArg> for Capacity {
    fn from(capacity: CapacityArg) -> Self {
        match capacity {
            CapacityArg::Member => Self::Member,
            CapacityArg::Expert => Self::Expert,
            CapacityArg::Observer => Self::Observer,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RuleArg {
    /// Every member may enter.
    Open,
    /// Whom the Board grants entry or the owner adds.
    Granted,
}

impl From<RuleArg> for EntryRule {
    fn from(rule: RuleArg) -> Self {
        match rule {
            RuleArg::Open => Self::Open,
            RuleArg::Granted => Self::Granted,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct MembersArgs {
    /// Past and suspended ones, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only those who read this channel.
    #[arg(long, value_name = "CHANNEL")]
    pub(crate) channel: Option<String>,
    /// Who was admitted since the notices were read (`plenary ledger log --new`), and by whom.
    #[arg(long, conflicts_with_all = ["all", "channel", "due"])]
    pub(crate) new: bool,
    /// Only those whose admission is to be looked at again, or ends, within 30 days.
    #[arg(long)]
    pub(crate) due: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary invite
  plenary invite --contact 'Cleo Cook'

A contact point countersigns the request: it says that it knows who asks. That is a member of the
same State or body, or whom the invitation names: you, unless --contact names another. They and
the people of the Board can read the request that comes by the invitation; the server cannot.")]
pub(crate) struct InviteArgs {
    /// Who is to countersign: a name, or the beginning of an id. By default you.
    #[arg(long, value_name = "MEMBER")]
    pub(crate) contact: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary requests
  plenary requests countersign INVITATION    (a contact point: the fingerprint was compared by voice)
  plenary board request admit INVITATION --out r.request")]
pub(crate) struct RequestsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<RequestsCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestsCommand {
    /// Say that you know who asks and have compared the fingerprint. The Board reads it with the
    /// request.
    Countersign {
        /// As `plenary requests` lists it.
        invitation: InvitationId,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// Every statement in words, with its time and its signers by name.
    Log(LogArgs),
    /// Hold what came from the Board by another way than the server against this profile's ledger.
    Check(CheckArgs),
    /// Say that the Board which a recovery put in force is the right one.
    Confirm(ConfirmArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary ledger log
  plenary ledger log --new                       (what you have not read; it is read then)
  plenary ledger log --full -n 1
  plenary ledger log --json | jq -r .headline")]
pub(crate) struct LogArgs {
    /// Only what was not read before; from then on it counts as read.
    #[arg(long)]
    pub(crate) new: bool,
    /// Every field of each statement.
    #[arg(long)]
    pub(crate) full: bool,
    /// How many of the last.
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<usize>,
}

#[derive(Debug, Args)]
pub(crate) struct EnterArgs {
    /// Names, or beginnings of ids of at least four digits.
    #[arg(required = true, value_name = "CHANNEL")]
    pub(crate) channels: Vec<String>,
    /// Ask only; entry follows with a later connection.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DirectArgs {
    /// Names, or beginnings of ids of at least four digits.
    #[arg(required = true, value_name = "MEMBER")]
    pub(crate) members: Vec<String>,
}

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
  plenary send-file encryption report.pdf --label TLP:AMBER
  plenary send-file encryption disk.img --type application/x-raw-disk-image --malware
  plenary send-file encryption a.csv b.csv --thread Wallets
  plenary send-file encryption case-7/                (a folder: one tar archive, without links)
  pg_dump cases | plenary send-file encryption - --name cases.sql
  plenary send-file encryption report-2.pdf --supersedes 42 --keep 30d

Any size: sealed piece by piece, in little memory. One that was stopped goes on where it was when
the same command is given again; a folder and standard input begin anew. The SHA-256 printed is that
of the file: compare it, cite it.")]
pub(crate) struct SendFileArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The files; a folder goes as one archive, `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The name that recipients see, for a single file; needed for `-`.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// In place of the file that this message handed over, which stays.
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) supersedes: Option<String>,
    #[command(flatten)]
    pub(crate) terms: TermsArgs,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
    /// How far they may travel.
    #[arg(long, value_name = "TLP")]
    pub(crate) label: Option<Label>,
    /// The thread, by its title.
    #[arg(long, value_name = "TITLE")]
    pub(crate) thread: Option<String>,
    /// The media type, as recipients are told.
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "application/octet-stream"
    )]
    pub(crate) media_type: String,
    /// They carry malware: evidence, not to be opened by accident.
    #[arg(long)]
    pub(crate) malware: bool,
    #[command(flatten)]
    pub(crate) audience: ReaderArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary get encryption 42
  plenary get encryption 42 --into evidence
  plenary get encryption 42 --unpack                  (a folder that was handed over)
  plenary get encryption 42 --stdout | tar t
  plenary get encryption 42 --range 0-511 > boot.img  (the first 512 bytes, and no more fetched)

A file appears under its name only when it was verified whole; nothing is overwritten. One that was
stopped goes on where it was when the same command is given again. One whose sender says that it
carries malware stays sealed in the profile: see `plenary export-sample --help`. That it was
collected and verified is signed and told in the channel: see `plenary receipts --help`.")]
pub(crate) struct GetArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The message that hands it over: its number in the channel, or the beginning of its id.
    pub(crate) message: String,
    /// The folder to put it in; made if absent.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,
    /// Unpack a folder: relative names only, nothing outside, no links, nothing overwritten.
    #[arg(long)]
    pub(crate) unpack: bool,
    /// Write to standard output. What came counts only if the command ends with 0.
    #[arg(long, conflicts_with_all = ["unpack", "json"])]
    pub(crate) stdout: bool,
    /// Only these bytes, to standard output: 0-1023, or 1024- to the end.
    #[arg(long, value_name = "FIRST-LAST", value_parser = handing::range, conflicts_with_all = ["unpack", "json"])]
    pub(crate) range: Option<std::ops::Range<u64>>,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    /// The words of a line as a shell would part them.
    fn words(line: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut quoted = false;
        for letter in line.chars() {
            match letter {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                '#' if !quoted && words.last().is_some_and(String::is_empty) => break,
                letter => words.last_mut().unwrap().push(letter),
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    /// Every `plenary` line of the shell examples in a text.
    fn examples(text: &str) -> Vec<Vec<String>> {
        let blocks = text.split("```sh\n").skip(1);
        let blocks = blocks.map(|block| block.split("```").next().unwrap().replace("\\\n", " "));
        let lines: Vec<_> = blocks
            .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let commands = lines.iter().filter(|line| line.starts_with("plenary "));
        commands.map(|line| words(line)).collect()
    }

    #[test]
    fn every_command_of_runbook_and_readme_is_one() {
        for (name, text, least) in [
            ("RUNBOOK.md", include_str!("../../../certs/RUNBOOK.md"), 50),
            ("README.md", include_str!("../../../README.md"), 20),
        ] {
            let examples = examples(text);
            assert!(examples.len() >= least, "{name} has {}", examples.len());
            for words in examples {
                let typed = words.iter().map(|word| match word.as_str() {
                    "INVITATION" | "MEMBER" | "DEVICE" => "00112233445566778899aabbccddeeff",
                    "KEY" | "HASH" => {
                        "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
                    }
                    word => word,
                });
                if let Err(error) = Cli::try_parse_from(typed) {
                    panic!("{name}: {}: {error}", words.join(" "));
                }
            }
        }
    }

    #[test]
    fn no_option_takes_a_passphrase() {
        fn walk(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                assert!(
                    !name.contains("passphrase") || name.ends_with("passphrase_file"),
                    "{name}"
                );
            }
            command.get_subcommands().for_each(walk);
        }
        walk(&Cli::command());
    }
}

/// A channel's readers.
#[derive(Debug, Args)]
pub(crate) struct AudienceArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
}
