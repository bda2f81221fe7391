//! The arguments as typed. One file a group of commands.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use crate::{exit::CODES, output::Color, time};

mod alarms;
mod aside;
mod audit;
mod board;
mod channels;
mod custody;
mod devices;
mod files;
mod handing;
mod helping;
mod messages;
mod network;
mod people;
#[cfg(test)]
mod tests;

pub(crate) use alarms::AlarmsArgs;
pub(crate) use aside::{CheckArgs, ConfirmArgs};
pub(crate) use audit::{AuditArgs, VerifyArgs};
pub(crate) use board::{
    BoardCommand, CleanBreakArgs, HeartbeatArgs, KeygenArgs, NamedKey, PolicyArgs, ReasonArg,
    RecoverCommand, RequestCommand, RootArgs, ShowArgs, SuiteArg, TargetCommand,
};
pub(crate) use channels::{
    AudienceArgs, ChannelCommand, DirectArgs, EnterArgs, RemoveArgs, RuleArg,
};
pub(crate) use custody::{
    CustodyCommand, CustodyDeleteArgs, CustodyExportArgs, ExportSampleArgs, ItemArgs, ReceiptsArgs,
    TimeStampsArgs, WithdrawArgs,
};
pub(crate) use devices::{
    AcceptArgs, DevicesArgs, DevicesCommand, LinkArgs, MakeLinkArgs, NameArgs, RevokeArgs,
    VouchArgs,
};
pub(crate) use files::{GetArgs, SendFileArgs};
pub(crate) use handing::{ForwardArgs, KeptArgs, TermsArgs, TransfersArgs};
pub(crate) use helping::{CompletionsArgs, DoctorArgs, ManArgs};
pub(crate) use messages::{
    MarkArgs, ReaderArgs, ReplyArgs, SearchArgs, SendArgs, TailArgs, TalkArgs,
};
pub(crate) use network::{FoundArgs, NetworkCommand, SubmitArgs};
pub(crate) use people::{
    CapacityArg, InviteArgs, JoinArgs, LedgerCommand, LedgerExportArgs, LogArgs, MembersArgs,
    RequestsArgs, RequestsCommand,
};

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
    /// What you may do with a channel of yours.
    #[command(subcommand)]
    Channel(ChannelCommand),
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
    /// Find messages and files by their words, in what this device holds.
    Search(SearchArgs),
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
    /// Look for what is wrong with this profile or its connection, and what to do.
    Doctor(DoctorArgs),
    /// Print completions for a shell.
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(ManArgs),
}
