//! A member or a device; a Board or a part of it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use plenary_client::{
    Kind,
    ids::{DeviceId, PublicKey},
};

use super::OutArgs;

/// Whom a statement is about.
#[derive(Debug, Subcommand)]
pub(crate) enum TargetCommand<A: Args> {
    /// A member, with all devices.
    Member {
        /// Name, or beginning of the id.
        member: String,
        #[command(flatten)]
        more: A,
    },
    /// One device, and those that it alone vouched for.
    Device {
        /// Its id, as `plenary members --json` lists it.
        device: DeviceId,
        #[command(flatten)]
        more: A,
    },
}

impl<A: Args> TargetCommand<A> {
    /// What is said beside whom it is about.
    pub(crate) fn more(&self) -> &A {
        match self {
            Self::Member { more, .. } | Self::Device { more, .. } => more,
        }
    }
}

const ROOT_EXAMPLES: &str = "\
Examples:
  plenary board request root --replace alice2.board.pub --out root.request
  plenary board request root --remove 'Bob Brown' --add dora.board.pub --out root.request
  plenary board request root --threshold suspend=1 --out root.request
  plenary board request root --add-heartbeat beat.key.pub --out root.request
  plenary board request root --out root.request     (the same Board: ends an announced recovery)

The people of the old Board sign, and those of the new one: `plenary board show --signatures` says
who is still to sign. A file that ends in .pub is what `plenary board keygen` writes beside a key.";

/// Another Board. What is not named stays.
#[derive(Debug, Args)]
#[command(after_help = ROOT_EXAMPLES)]
pub(crate) struct RootArgs {
    /// Somebody who comes, or a further key of somebody who is there; may be repeated.
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) add: Vec<PathBuf>,
    /// Somebody who goes: a name, or the beginning of an id; may be repeated.
    #[arg(long, value_name = "MEMBER")]
    pub(crate) remove: Vec<String>,
    /// The new key of somebody who is there: their former keys go; may be repeated.
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) replace: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArgs,
    /// All thresholds as they are by default for that many people.
    #[arg(long)]
    pub(crate) default_thresholds: bool,
    /// The public half of a heartbeat key that comes; may be repeated.
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) add_heartbeat: Vec<PathBuf>,
    /// A heartbeat key that goes: the file of its public half or, if that is lost, the key as
    /// `plenary ledger log --full` shows it; may be repeated.
    #[arg(long, value_name = "FILE.pub|KEY", value_parser = NamedKey::parse)]
    pub(crate) remove_heartbeat: Vec<NamedKey>,
    #[command(flatten)]
    pub(crate) out: OutArgs,
}

/// A key by its file or as digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NamedKey {
    /// The file of its public half.
    File(PathBuf),
    /// The key.
    Key(PublicKey),
}

impl NamedKey {
    fn parse(text: &str) -> Result<Self, std::convert::Infallible> {
        Ok(match text.parse() {
            Ok(key) => Self::Key(key),
            Err(_) => Self::File(text.into()),
        })
    }
}

/// How many people must sign.
#[derive(Debug, Args)]
pub(crate) struct ThresholdArgs {
    /// How many people must sign a kind, as in admit=3; may be repeated. The kinds: root, policy,
    /// server, admit, device, channel, grant, revoke, resume, suspend.
    #[arg(long = "threshold", value_name = "KIND=N", value_parser = threshold)]
    pub(crate) thresholds: Vec<(Kind, u8)>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecoverCommand {
    /// The first step: announce the new Board. Every member is told; the old Board may end it by
    /// any ROOT for seven days.
    Announce {
        /// The public half of a Board key of the new Board; may be repeated.
        #[arg(long, value_name = "FILE.pub", required = true)]
        board: Vec<PathBuf>,
        #[command(flatten)]
        thresholds: ThresholdArgs,
        /// The public half of a heartbeat key of the new Board; may be repeated. By default those
        /// that there are.
        #[arg(long = "heartbeat-key", value_name = "FILE.pub")]
        heartbeat: Vec<PathBuf>,
        #[command(flatten)]
        out: OutArgs,
    },
    /// The second step, at least seven days later: put it in force.
    Complete {
        #[command(flatten)]
        out: OutArgs,
    },
}

impl RecoverCommand {
    /// Where the request goes.
    pub(crate) fn out(&self) -> &OutArgs {
        match self {
            Self::Announce { out, .. } | Self::Complete { out } => out,
        }
    }
}

fn threshold(text: &str) -> Result<(Kind, u8), String> {
    let (kind, number) = text.split_once('=').ok_or("give KIND=N, such as admit=3")?;
    let kind = Kind::ALL
        .into_iter()
        .filter(|one| *one != Kind::Recover)
        .find(|one| one.to_string().eq_ignore_ascii_case(kind))
        .ok_or_else(|| format!("{kind:?} is no kind that the Board signs"))?;
    let number = number
        .parse()
        .map_err(|_| format!("{number:?} is no number of people"))?;
    Ok((kind, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_digits_or_a_file() {
        let digits = "0a".repeat(32);
        assert_eq!(
            NamedKey::parse(&digits),
            Ok(NamedKey::Key(PublicKey([10; 32])))
        );
        for file in ["beat.key.pub", &digits[1..]] {
            assert_eq!(NamedKey::parse(file), Ok(NamedKey::File(file.into())));
        }
    }

    #[test]
    fn thresholds_as_typed() {
        assert_eq!(threshold("admit=3"), Ok((Kind::Admit, 3)));
        assert_eq!(threshold("SUSPEND=1"), Ok((Kind::Suspend, 1)));
        for wrong in ["admit", "recover=1", "admit=x", "admit=256", "vote=1"] {
            assert!(threshold(wrong).is_err(), "{wrong}");
        }
    }
}
