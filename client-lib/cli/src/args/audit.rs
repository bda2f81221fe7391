//! Arguments of `audit` and `verify`.

use std::path::PathBuf;

use clap::Args;
use plenary_client::ids::Digest;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary audit
  plenary audit --export heads.alice          (hand it to a colleague, or take theirs)
  plenary audit --compare heads.bob
  plenary verify proof-1f3a9c20.plenary --root1 HASH

Without options everything that this profile holds is verified again: the Board's ledger from ROOT 1,
every head that the server signed, the chain of every log, every message's signature.

A server can show two members two different logs. Each then finds its own in order; comparing what the
server signed for both shows it, and leaves a proof file that anybody can check.")]
pub(crate) struct AuditArgs {
    /// Write what the server showed and signed here to a file for a colleague to compare: positions,
    /// hashes and signatures, nothing of what was said.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
    /// Compare with what a colleague exported.
    #[arg(long, value_name = "FILE", conflicts_with = "export")]
    pub(crate) compare: Option<PathBuf>,
    /// Export these channels only; by default all of the ledger's, and no direct one.
    #[arg(long = "channel", value_name = "CHANNEL", requires = "export")]
    pub(crate) channels: Vec<String>,
    /// The folder for proof files.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary verify proof-1f3a9c20.plenary --root1 HASH
  plenary --profile alice verify proof-1f3a9c20.plenary
  plenary verify evidence-42 --root1 HASH     (a bundle of `plenary custody export`)
  plenary verify evidence-42.tar --root1 HASH (the same as one file; unpacked in $TMPDIR)

Needs no network and, with --root1, no profile: whoever holds the file and the hash of the network's
ROOT 1 (`plenary status` shows it to members) can check it. Of a bundle everything is checked, the
checksums, every signature, the file itself; without --root1 the hash to be compared is printed.
A bundle may hold the authorities that its exporter trusts to tell the time, data/authorities.pem:
compare it with what the authority publishes before you name it with --tsa-ca.
Ends with 7 and the first thing that is wrong.")]
pub(crate) struct VerifyArgs {
    /// The proof file, or the bundle: its folder, or the tar archive of it.
    pub(crate) file: PathBuf,
    /// The hash of the network's ROOT 1, from somebody you trust; left out: for a proof
    /// the profile's.
    #[arg(long, value_name = "HASH")]
    pub(crate) root1: Option<Digest>,
    /// Of a bundle: certificates (PEM) of authorities that you trust to tell the time. Every time
    /// stamp must lead to one of them; without this, none is checked against an authority.
    #[arg(long, value_name = "FILE")]
    pub(crate) tsa_ca: Option<PathBuf>,
}
