//! Channels: entering them, founding direct ones, who reads there.

use clap::{Args, Subcommand, ValueEnum};
use plenary_client::EntryRule;

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

/// What a channel's owner may do with it.
#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Put members out of a closed or direct channel of yours.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary channel remove metaverse 'Bob Brown'
  plenary channel remove 01f3a9 'Bob Brown' 'Dora Dean'

They read nothing that is sent after it. Whom the Board let in by GRANT comes in again only when it
grants anew; whose grant the Board takes back (plenary board request withdraw) is removed by
whichever member is online, without this. An open channel anybody may enter again by themselves.")]
pub(crate) struct RemoveArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// Names, or beginnings of ids of at least four digits.
    #[arg(required = true, value_name = "MEMBER")]
    pub(crate) members: Vec<String>,
    /// Ask only; it is done with a later connection.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

/// A channel's readers.
#[derive(Debug, Args)]
pub(crate) struct AudienceArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
}
