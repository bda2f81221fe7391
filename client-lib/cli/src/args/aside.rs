//! Arguments of `ledger check` and `ledger confirm`.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary ledger check bob.request bob.alice bob.carol
  plenary ledger check last                          (of the folder of the heartbeat's machine)

Says of each statement whether the ledger has it, lacks it, or has another one in its place: two
different ones of one kind, subject and version are proof of misuse, which is written to a file that
`plenary verify` checks. Until the Board says more, the stricter of the two counts here. A statement
that enough have signed and the ledger lacks was not submitted, or the server withholds it. Ends with
7 if something is amiss.")]
pub(crate) struct CheckArgs {
    /// A request, or a heartbeat.
    pub(crate) file: PathBuf,
    /// The request's signature files.
    pub(crate) signatures: Vec<PathBuf>,
    /// The folder for proof files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
A recovery puts a new Board in force without the old one's signatures; seven days lie between its two
steps so that the old one can object. If this profile has not shown the announcement for so long (it
was away, or is new, or somebody is in a hurry), it seals nothing to anybody whom the new Board let in
until you have made sure: ask somebody you know, by voice.

Example:
  plenary ledger confirm --yes")]
pub(crate) struct ConfirmArgs {
    /// You have asked, and it is right.
    #[arg(long)]
    pub(crate) yes: bool,
}
