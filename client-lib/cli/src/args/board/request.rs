//! What the Board can be asked for.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use plenary_client::{
    Label, Reason,
    ids::{DeviceId, InvitationId, PublicKey, UnixMillis},
};

use super::{RecoverCommand, RootArgs, TargetCommand};
use crate::{
    args::{CapacityArg, RuleArg},
    time,
};

const UNTIL: &str =
    "Until then: 90d, 2027-06-30, or a time. By default without an end, an expert for a year";

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Admit those who asked by these invitations.
    Admit {
        /// As `plenary requests` lists them.
        #[arg(required = true, value_name = "INVITATION")]
        invitations: Vec<InvitationId>,
        #[arg(long, value_name = "TIME", value_parser = time::ahead, help = UNTIL)]
        until: Option<UnixMillis>,
        /// Even if no contact point has countersigned; the request says so to who signs.
        #[arg(long)]
        uncountersigned: bool,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Look at admissions again: they stand from now on, or until a new end.
    Renew {
        /// Names, or beginnings of ids.
        #[arg(required = true, value_name = "MEMBER")]
        members: Vec<String>,
        #[arg(long, value_name = "TIME", value_parser = time::ahead, help = UNTIL)]
        until: Option<UnixMillis>,
        /// As what, if not as before.
        #[arg(long = "as", value_enum, value_name = "CAPACITY")]
        capacity: Option<CapacityArg>,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Take back a member who has lost all devices and asked again (plenary join --member): accepts
    /// the new device, revokes all others. Grants and channels stay theirs.
    Readmit {
        /// As `plenary requests` lists it.
        invitation: InvitationId,
        /// Even if no contact point has countersigned; the request says so to who signs.
        #[arg(long)]
        uncountersigned: bool,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Vouch for a device that the ledger knows: the one that linked it was revoked, and it is in
    /// honest hands.
    Vouch {
        /// Its id, as `plenary members --json` lists it.
        device: DeviceId,
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
    /// Change a channel's name, purpose or ceiling. Its entry rule stays for ever.
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
    ChangeChannel {
        /// Name, or beginning of the id.
        channel: String,
        /// Its new name.
        #[arg(long, group = "change")]
        name: Option<String>,
        /// What it is for from now on.
        #[arg(long, group = "change")]
        purpose: Option<String>,
        /// The most restrictive label that may be discussed there.
        #[arg(long, value_name = "TLP", group = "change")]
        ceiling: Option<Label>,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Let members into a channel.
    Grant(EntryArgs),
    /// Take grants back: nobody adds these members again, and whichever member is online removes
    /// them.
    Withdraw(EntryArgs),
    /// Give a channel to another owner, for instance because its owner left. All else stays.
    Reassign {
        /// Name, or beginning of the id.
        channel: String,
        /// Who adds members from now on: a name, or the beginning of an id.
        owner: String,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Put somebody out until the Board says otherwise: fewer must sign, it works at once.
    Suspend {
        /// A member, or one device.
        #[command(subcommand)]
        target: TargetCommand<WhyArgs>,
    },
    /// Let somebody in again who was suspended.
    Resume {
        /// A member, or one device.
        #[command(subcommand)]
        target: TargetCommand<OutArgs>,
    },
    /// Put somebody out, for ever.
    Revoke {
        /// A member, or one device.
        #[command(subcommand)]
        target: TargetCommand<WhyArgs>,
    },
    /// Change the Board: its people, keys and thresholds.
    Root(RootArgs),
    /// Put a new Board in force without the old one. The recovery role signs, twice.
    #[command(subcommand)]
    Recover(RecoverCommand),
    /// Change the network's policy.
    #[command(group(clap::ArgGroup::new("change").required(true).multiple(true)))]
    Policy {
        #[command(flatten)]
        change: PolicyArgs,
        #[command(flatten)]
        out: OutArgs,
    },
    /// Tell all members that the server has another identity key.
    Server {
        /// The new key, as `plenary-server` prints it.
        key: PublicKey,
        #[command(flatten)]
        out: OutArgs,
    },
}

impl RequestCommand {
    /// Where the request goes.
    pub(crate) fn out(&self) -> &Path {
        let out = match self {
            Self::Admit { out, .. }
            | Self::Renew { out, .. }
            | Self::Readmit { out, .. }
            | Self::Vouch { out, .. }
            | Self::Channel { out, .. }
            | Self::ChangeChannel { out, .. }
            | Self::Reassign { out, .. }
            | Self::Policy { out, .. }
            | Self::Server { out, .. } => out,
            Self::Grant(entry) | Self::Withdraw(entry) => &entry.out,
            Self::Suspend { target } | Self::Revoke { target } => &target.more().out,
            Self::Resume { target } => target.more(),
            Self::Root(root) => &root.out,
            Self::Recover(recover) => recover.out(),
        };
        &out.out
    }
}

/// Members and a channel.
#[derive(Debug, Args)]
pub(crate) struct EntryArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// Names, or beginnings of ids.
    #[arg(required = true, value_name = "MEMBER")]
    pub(crate) members: Vec<String>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
}

/// What is new in the policy.
#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// The cipher suite of new channels.
    #[arg(long, value_enum, group = "change")]
    pub(crate) suite: Option<SuiteArg>,
    /// Days that the server keeps a channel's log.
    #[arg(long, value_name = "DAYS", group = "change")]
    pub(crate) retention_days: Option<u16>,
    /// Days of silence after which a device leaves its channels.
    #[arg(long, value_name = "DAYS", group = "change")]
    pub(crate) idle_days: Option<u16>,
    /// Days that clients go on sending without a fresh heartbeat.
    #[arg(long, value_name = "DAYS", group = "change")]
    pub(crate) heartbeat_grace_days: Option<u16>,
    /// Days after which a member's admission is looked at again; 0 for never.
    #[arg(long, value_name = "DAYS", group = "change")]
    pub(crate) revalidation_days: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SuiteArg {
    /// X-Wing: ML-KEM-768 and X25519.
    Hybrid,
    /// X25519 alone.
    Classical,
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
