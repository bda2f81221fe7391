//! Founding a network.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
