//! Channels: entering them, founding direct ones, who reads there.

use clap::{Args, ValueEnum};
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

/// A channel's readers.
#[derive(Debug, Args)]
pub(crate) struct AudienceArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
}
