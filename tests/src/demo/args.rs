//! The command line of the demo.

use std::path::PathBuf;

use clap::Parser;

/// Plays the main job on a real server and checks that everybody read the same.
///
/// Starts a server process in a fresh folder, founds a network with a Board of three, admits
/// members, opens three channels, plays a discussion through real clients over TLS, hands over a
/// file, revokes one member and shows that what follows is closed to it. Exit code 0 only if every
/// check held, 1 otherwise, 2 for wrong arguments.
#[derive(Debug, Clone, Default, Parser)]
#[command(name = "plenary-demo", version)]
pub struct Args {
    /// A discussion to play, as JSON lines (author, thread, title, labels, text) instead of the
    /// built-in one
    #[arg(long, value_name = "FILE")]
    pub corpus: Option<PathBuf>,

    /// Members; fewer than the discussion has authors: the later ones are left out; more: the rest
    /// only reads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(5..=500))]
    pub members: Option<u16>,

    /// Messages to play, from the beginning
    #[arg(long, value_name = "N")]
    pub messages: Option<usize>,

    /// Instead: back a busy server up, restore it elsewhere, compare entry by entry; --messages is
    /// how many are sent meanwhile at the least
    #[arg(long, conflicts_with_all = ["corpus", "members", "keep"])]
    pub backup_drill: bool,

    /// Leave server and profiles standing; print the commands to go on by hand
    #[arg(long)]
    pub keep: bool,

    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,

    /// What the server logs: off, error, warn, info, debug, trace
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log: String,
}
