//! What the Board can be asked for.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use plenary_client::{
    Label, Reason,
    ids::{DeviceId, InvitationId},
};

use crate::args::RuleArg;

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Admit those who asked by these invitations.
    Admit {
        /// As `plenary requests` lists them.
        #[arg(required = true, value_name = "INVITATION")]
        invitations: Vec<InvitationId>,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Open a channel, owned by this member.
    Channel {
        /// Its name.
        name: String,
        /// What it is for.
        #[arg(long)]
        purpose: Option<String>,
        /// Who may enter.
        #[arg(long, value_enum, default_value = "open")]
        rule: RuleArg,
        /// The most restrictive label that may be discussed there.
        #[arg(long, value_name = "TLP", default_value = "TLP:AMBER")]
        ceiling: Label,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Let members into a channel.
    Grant {
        /// Name, or beginning of the id.
        channel: String,
        /// Names, or beginnings of ids.
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Give a channel to another owner, for instance because its owner left. All else stays.
    Reassign {
        /// Name, or beginning of the id.
        channel: String,
        /// Who adds members from now on: a name, or the beginning of an id.
        owner: String,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Put somebody out, for ever.
    Revoke {
        /// A member, or one device.
        #[command(subcommand)]
        target: RevokeTarget,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RevokeTarget {
    /// A member, with all devices.
    Member {
        /// Name, or beginning of the id.
        member: String,
        #[command(flatten)]
        why: WhyArgs,
    },
    /// One device, and those that it vouched for.
    Device {
        /// Its id, as `plenary members --json` lists it.
        device: DeviceId,
        #[command(flatten)]
        why: WhyArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Why; the ledger says it to everybody.
    #[arg(long, value_enum, default_value = "unstated")]
    pub(crate) reason: ReasonArg,
    #[command(flatten)]
    pub(crate) out: OutArgs,
}

/// Where a request goes.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutArgs {
    /// Where to write the request file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReasonArg {
    /// Left the office or the network.
    Left,
    /// A device was lost.
    Lost,
    /// A key was, or may have been, in other hands.
    Compromised,
    /// Replaced by another device.
    Replaced,
    /// Against the rules.
    Misuse,
    /// The Board does not say.
    Unstated,
}

impl From<ReasonArg> for Reason {
    fn from(reason: ReasonArg) -> Self {
        match reason {
            ReasonArg::Left => Self::Left,
            ReasonArg::Lost => Self::Lost,
            ReasonArg::Compromised => Self::Compromised,
            ReasonArg::Replaced => Self::Replaced,
            ReasonArg::Misuse => Self::Misuse,
            ReasonArg::Unstated => Self::Unstated,
        }
    }
}
