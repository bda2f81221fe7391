//! The Board's arguments.

mod heartbeat;
mod request;
mod target;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use plenary_client::ids::MemberId;

pub(crate) use heartbeat::HeartbeatArgs;
pub(crate) use request::*;
pub(crate) use target::*;

use super::SubmitArgs;

const EXAMPLES: &str = "\
How an admission goes:
  plenary requests                                    who asks; compare the fingerprint by voice
  plenary board request admit INVITATION --out r.request
  plenary board show r.request                        each who signs, on a machine of their own
  plenary board sign --key alice.board r.request --out a.sig
  plenary board show r.request --signatures a.sig     who is still to sign
  plenary board submit r.request a.sig b.sig

`keygen`, `show` and `sign` need no profile and no network.";

#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum BoardCommand {
    /// Make a Board key, sealed with a passphrase, and its public half beside it.
    Keygen(KeygenArgs),
    /// Draft a request for the Board to sign.
    #[command(subcommand)]
    Request(RequestCommand),
    /// Show a request in words: what somebody reads before they sign.
    Show(ShowArgs),
    /// Sign everything in a request.
    Sign(SignArgs),
    /// Submit a request with its signature files.
    Submit(SubmitArgs),
    /// Certify that somebody who is out by the ledger is out of the channels, and what they could
    /// read before.
    CleanBreak(CleanBreakArgs),
    /// Vouch that the server's ledger is the newest, on a machine away from the server.
    Heartbeat(HeartbeatArgs),
}

const CLEAN_BREAK: &str = "\
Examples:
  plenary board clean-break 'Carol Clay'                    shows it, in words
  plenary board clean-break 'Carol Clay' --out carol.break  and writes the signed file
  plenary board clean-break --check carol.break             verifies a file; no network needed

The file carries the Board's ledger: whoever knows the network's ROOT 1 can check it. It covers the
channels that this device is in; for the others it says so, and those inside issue their own.
Exit code 9: somebody is still in a channel; try again once the next commit has removed them.";

/// One certificate: issued or checked.
#[derive(Debug, Args)]
#[command(after_help = CLEAN_BREAK)]
pub(crate) struct CleanBreakArgs {
    /// Name, or beginning of the id.
    #[arg(required_unless_present = "check", conflicts_with = "check")]
    pub(crate) member: Option<String>,
    /// Also write the signed certificate here.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) out: Option<PathBuf>,
    /// With the names of files in the certificate; without, their SHA-256 alone.
    #[arg(long, conflicts_with = "check")]
    pub(crate) names: bool,
    /// Verify a certificate instead.
    #[arg(long, value_name = "FILE")]
    pub(crate) check: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArgs {
    /// Where to write the key; the public half goes to FILE.pub.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// For somebody who is a member already: their member id.
    #[arg(long, value_name = "ID")]
    pub(crate) member: Option<MemberId>,
    /// A key of the recovery role instead: it signs recoveries and nothing else.
    #[arg(long, conflicts_with = "member")]
    pub(crate) recovery: bool,
    /// A key of the heartbeat's machine instead: it vouches for the ledger and signs nothing else.
    #[arg(long, conflicts_with_all = ["member", "recovery"])]
    pub(crate) heartbeat: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// The request file; `-`: standard input.
    pub(crate) request: PathBuf,
    /// With the names that this profile knows. Opens the profile.
    #[arg(long)]
    pub(crate) names: bool,
    /// Count signature files: who has signed, who is still to sign. Left empty: nobody has yet.
    #[arg(long, value_name = "SIGNATURE", num_args = 0..)]
    pub(crate) signatures: Option<Vec<PathBuf>>,
}

#[derive(Debug, Args)]
pub(crate) struct SignArgs {
    /// The Board key's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The request file.
    pub(crate) request: PathBuf,
    /// Where to write the signature file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}
