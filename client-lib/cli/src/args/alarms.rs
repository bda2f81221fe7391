//! Alarms.

use clap::Args;

/// An alarm is kept until somebody puts it away; the same one again only counts.
#[derive(Debug, Args)]
#[command(after_help = alarms_help())]
pub(crate) struct AlarmsArgs {
    /// Put them away: they were dealt with.
    #[arg(long)]
    pub(crate) clear: bool,
}

fn alarms_help() -> String {
    let codes = plenary_client::AlarmKind::ALL
        .iter()
        .map(|kind| format!("  {:<20}{}\n", kind.code(), kind.meaning()));
    format!(
        "Examples:\n  plenary alarms\n  plenary alarms --json | jq -r .code\n  plenary alarms --clear\n\n\
         What each code says that this profile saw, and did:\n{}",
        codes.collect::<String>().trim_end()
    )
}
