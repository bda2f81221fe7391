//! People: asking to be in, those who are, and what the Board said of them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use plenary_client::{
    Capacity,
    ids::{InvitationId, MemberId},
};

use super::{CheckArgs, ConfirmArgs};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary join 'plenary:...'                                  (asks for name and State)
  plenary join 'plenary:...' --name 'Bob Brown' --state Ruritania --language fr
  plenary join - --name Bob --state Ruritania < invitation.txt
  plenary join 'plenary:...' --name 'Dora Dane' --state Utopia --as expert --expertise malware \\
      --nominated-by 'Prosecutor General of Utopia' --reason 'Reads ransomware for us'
  plenary join --wait          (the request is made already: wait for the Board)
  plenary join 'plenary:...' --member 0a3f... --name Bob --state Ruritania    (all devices lost)

Read the fingerprint to whoever invited you, by telephone: the Board compares it.")]
pub(crate) struct JoinArgs {
    /// The invitation's line; `-` reads it from standard input. Left out: only wait.
    #[arg(required_unless_present = "wait")]
    pub(crate) invitation: Option<String>,
    /// Name, as colleagues will see it. Asked for on a terminal, if left out.
    #[arg(long, requires = "invitation")]
    pub(crate) name: Option<String>,
    /// State or body. Asked for on a terminal, if left out.
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
    /// Write the Board's statements to a file, signatures and all; needs no server.
    Export(LedgerExportArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary ledger export ledger.plenary
  plenary verify ledger.plenary --root1 HASH          (anybody, offline)

It holds what the server holds anyway: no name, no message. When the server was restored from a backup
older than the Board's last statement, this device refuses to talk to it; the operator takes the
missing statements from this file by `plenary-server complete-ledger`.")]
pub(crate) struct LedgerExportArgs {
    /// A new file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
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
