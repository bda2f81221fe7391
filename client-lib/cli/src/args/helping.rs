//! Arguments of what helps: doctor, completions, manual pages.

use std::path::PathBuf;

use clap::Args;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary doctor
  plenary doctor --json | jq -r 'select(.verdict != \"good\") | .what'

Changes nothing that was not changed by connecting. Exit codes: 0 nothing is wrong (warnings aside),
5 something is, 6 the server is not reached, 7 there are alarms; the others as everywhere.")]
pub(crate) struct DoctorArgs {}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// Which shell.
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// A folder for the pages.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}
