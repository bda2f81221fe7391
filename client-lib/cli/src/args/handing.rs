//! Arguments about handing files on, keeping them on the server, and how fast they may go.

use std::ops::Range;

use clap::Args;
use plenary_client::ids::UnixMillis;

use super::{ItemArgs, ReaderArgs};
use crate::time;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary forward encryption 42 metaverse

The server lets those in the other channel fetch what it has; no byte goes up again. The label that
the file was handed over with stays, and must be allowed there.")]
pub(crate) struct ForwardArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
    /// The channel to hand it on in: name, or beginning of the id.
    pub(crate) to: String,
    #[command(flatten)]
    pub(crate) audience: ReaderArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary kept encryption 42                 how long, and who has collected it
  plenary kept encryption 42 --until 180d
  plenary kept encryption 42 --hold          nothing removes it until --release

Changes are for the member who handed it over. What recipients have is theirs: this is about the
sealed copy on the server.")]
pub(crate) struct KeptArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
    /// Keep it until then: 90d, 2027-06-30.
    #[arg(long, value_name = "TIME", value_parser = time::ahead)]
    pub(crate) until: Option<UnixMillis>,
    /// Let nothing remove it.
    #[arg(long, conflicts_with = "release")]
    pub(crate) hold: bool,
    /// Let it go when it is due.
    #[arg(long)]
    pub(crate) release: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary transfers                          what was begun and not ended, and the room taken
  plenary transfers --cancel 01f3a9c2        gives one up: an upload's room on the server, a
                                             download's part on this disk
  plenary transfers --resume 01f3a9c2        goes on with an upload

Stopping `send-file` or `get` (Ctrl-C) pauses it, and the same command goes on, in a folder from the
part that lies there. A folder sent as one item, and standard input, are first put aside whole, sealed:
stopped before that they begin anew, later they are listed here. A folder goes on by the same command,
too, if nothing in it changed; what came from standard input by --resume.")]
pub(crate) struct TransfersArgs {
    /// Give up the upload or download whose item begins so.
    #[arg(long, value_name = "ITEM")]
    pub(crate) cancel: Option<String>,
    /// Go on with the upload whose item begins so, as it was meant.
    #[arg(long, value_name = "ITEM", conflicts_with = "cancel")]
    pub(crate) resume: Option<String>,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
}

/// How long the server keeps a file.
#[derive(Debug, Args)]
pub(crate) struct TermsArgs {
    /// Have the server keep it until then: 30d, 2027-06-30. [default: what the operator set, 90d]
    #[arg(long, value_name = "TIME", value_parser = time::ahead)]
    pub(crate) keep: Option<UnixMillis>,
    /// Have the server remove it when so many other members have collected it.
    #[arg(long, value_name = "N")]
    pub(crate) purge_after: Option<u32>,
    /// Have the server remove it when all who are in the channel now have collected it.
    #[arg(long)]
    pub(crate) purge_when_collected: bool,
}

/// How fast.
#[derive(Debug, Args)]
pub(crate) struct RateArgs {
    /// Bytes a second at most: 500K, 2M. [default: what the line carries]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) limit_rate: Option<u64>,
}

/// A rate as typed: bytes, or with K, M, G for 1,024 times as many each.
fn rate(text: &str) -> Result<u64, String> {
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1u64),
    };
    digits
        .and_then(|digits| digits.parse::<u64>().ok())
        .and_then(|number| number.checked_mul(factor))
        .filter(|rate| *rate > 0)
        .ok_or_else(|| "give bytes a second, such as 500K or 2M".to_owned())
}

/// Bytes as typed: `0-1023` with both ends, `1024-` to the end.
pub(super) fn range(text: &str) -> Result<Range<u64>, String> {
    let wrong =
        || "give the first and the last byte, such as 0-1023, or 1024- to the end".to_owned();
    let (first, last) = text.split_once('-').ok_or_else(wrong)?;
    let first: u64 = first.parse().map_err(|_| wrong())?;
    let end = match last {
        "" => u64::MAX,
        last => last
            .parse::<u64>()
            .ok()
            .and_then(|last| last.checked_add(1))
            .ok_or_else(wrong)?,
    };
    match first < end {
        true => Ok(first..end),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_ranges_as_typed() {
        assert_eq!(rate("1"), Ok(1));
        assert_eq!(rate("500K"), Ok(512_000));
        assert_eq!(rate("2m"), Ok(2 << 20));
        for wrong in ["", "K", "0", "-1", "2T", "99999999999G", "1.5M"] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
        assert_eq!(range("0-1023"), Ok(0..1024));
        assert_eq!(range("5-5"), Ok(5..6));
        assert_eq!(range("7-"), Ok(7..u64::MAX));
        for wrong in ["", "-", "5", "-5", "5-4", "a-b", "1-2-3"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
