//! Arguments of `board heartbeat`.

use std::{path::PathBuf, time::Duration};

use clap::Args;

use crate::time;

/// A heartbeat is good for 72 hours: less often would leave no room for an outage.
const LEAST_OFTEN: Duration = Duration::from_secs(36 * 3600);

#[derive(Debug, Args)]
#[command(after_help = "\
How a heartbeat's machine is set up, away from the server:
  plenary board keygen --heartbeat --out beat.key
  plenary network found ... --heartbeat-key beat.key.pub      (or later: board request root)
  plenary --profile machine join 'plenary:...' ...            a device of its own, in no channel
  plenary --profile machine board heartbeat --key beat.key --folder beat --every 12h

Whoever submits for the Board puts the same request and signature files into beat/drop. The machine
submits them, too, and signs nothing while the server's ledger lacks one of them: it says which, and
ends with 7, or with --every goes on trying. For 72 hours after the last heartbeat members work on;
then nobody new is added, TLP:RED waits, and after the policy's grace everything does.

One copy of the key on one machine. After a loss make a new key; never restore the folder.")]
pub(crate) struct HeartbeatArgs {
    /// The heartbeat key's file.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// The machine's own folder: its copy of the ledger, statements, the last heartbeat. Made if
    /// absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// Where the Board's files come. [default: drop in the machine's folder]
    #[arg(long = "drop", value_name = "DIR")]
    pub(crate) drop_folder: Option<PathBuf>,
    /// Go on for ever, so often; outages are waited out. Left out: once.
    #[arg(long, value_name = "TIME", value_parser = often)]
    pub(crate) every: Option<Duration>,
    /// The passphrase of the key, if it is another than the profile's: one line, mode 600.
    #[arg(long, value_name = "FILE")]
    pub(crate) key_passphrase_file: Option<PathBuf>,
}

fn often(text: &str) -> Result<Duration, String> {
    let every = time::duration(text)?;
    if every.is_zero() || every > LEAST_OFTEN {
        return Err(
            "give more than nothing and at most 36h: a heartbeat is good for 72h".to_owned(),
        );
    }
    Ok(every)
}
