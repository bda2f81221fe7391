//! Arguments about files handed over: receipts, custody, samples.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// A file that a message hands over.
#[derive(Debug, Args)]
pub(crate) struct ItemArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The message that hands the file over: its number in the channel, or the beginning of its id.
    pub(crate) message: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary receipts encryption 42

offered    could read the message
collected  all sealed bytes came
verified   they are the file that was sent, by its SHA-256

Each is signed by the recipient's device. `plenary custody show` has the statements.")]
pub(crate) struct ReceiptsArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary withdraw encryption 42

Says so in the channel, then has the server remove the sealed bytes. Whoever collected the file
before keeps it. Only by the member who handed it over, on any of their devices.")]
pub(crate) struct WithdrawArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary get malware 42
  plenary export-sample malware 42 --out quarantine

A file whose sender says that it carries malware stays sealed in the profile's folder. This writes
it in the clear as SHA256.sample, without the right to be executed, and records it as exported.")]
pub(crate) struct ExportSampleArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
    /// The folder to put it in; made if absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
}

const CUSTODY_EXAMPLES: &str = "\
Examples:
  plenary custody show encryption 42
  plenary custody export encryption 42 --out evidence-42
  plenary custody export encryption 42 --out record-42 --no-original
  plenary verify evidence-42
  plenary custody delete encryption 42 --file image.dd

What is stated, each by the acting device's signature, with the time by its clock and by the server's:
  deposited  the file was sealed and handed over
  collected  all sealed bytes came
  verified   they are the file that was sent; it is in the clear now, unless it is a malware sample
  exported   a further copy in the clear was made: fetched again, a sample opened, a bundle written
  withdrawn  the sender took the offer back
  deleted    a device removed the copies that its client knew of";

/// Who did what with a file, and when, in a form that stands without the network.
#[derive(Debug, Subcommand)]
#[command(after_help = CUSTODY_EXAMPLES)]
pub(crate) enum CustodyCommand {
    /// Show every statement about a file.
    #[command(after_help = CUSTODY_EXAMPLES)]
    Show(ItemArgs),
    /// Write a bundle that a court can check: the file, every statement, the Board's ledger, a page.
    #[command(after_help = EXPORT_EXAMPLES)]
    Export(CustodyExportArgs),
    /// Remove this device's copies of a file, and record that.
    #[command(after_help = CUSTODY_EXAMPLES)]
    Delete(CustodyDeleteArgs),
    /// Have what this profile states stamped by a time-stamping service; or show by which.
    #[command(name = "time-stamps", after_help = STAMPS_EXAMPLES)]
    TimeStamps(TimeStampsArgs),
}

const STAMPS_EXAMPLES: &str = "\
Examples:
  plenary custody time-stamps --service http://tsa.example/tsr --ca authority.pem
  plenary custody time-stamps --service https://tsa.internal/tsr --ca authority.pem --https-ca ca.pem
  plenary custody time-stamps
  plenary custody time-stamps --off
  plenary verify evidence-42 --root1 HASH --tsa-ca authority.pem

The service (RFC 3161) is asked from this machine, not through the server, once for each statement; it
learns a digest that tells nothing, and this machine's address. If it cannot be reached the statement
goes out without a stamp, and that is said. Give the authority's certificate: with it, a token that
leads elsewhere is not taken, and bundles carry it.";

#[derive(Debug, Args)]
pub(crate) struct TimeStampsArgs {
    /// Its address, http:// or https:// (checked against this system's certificates).
    #[arg(long, value_name = "URL")]
    pub(crate) service: Option<String>,
    /// Certificates (PEM) of the authorities that vouch for it.
    #[arg(long, value_name = "FILE", requires = "service")]
    pub(crate) ca: Option<PathBuf>,
    /// Certificates (PEM) of the authority that the https:// address must lead to, in place of this
    /// system's: for a service within an organisation.
    #[arg(long, value_name = "FILE", requires = "service")]
    pub(crate) https_ca: Option<PathBuf>,
    /// Ask none any more.
    #[arg(long, conflicts_with = "service")]
    pub(crate) off: bool,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  plenary custody export encryption 42 --out evidence-42
  plenary custody export encryption 42 --out evidence-42 --original image.dd
  plenary custody export encryption 42 --out record-42 --no-original
  plenary verify evidence-42 --root1 HASH
  plenary custody export encryption 42 --tar --out evidence-42.tar    (one file, to be mailed)
  plenary verify evidence-42.tar --root1 HASH

A folder in the BagIt layout (RFC 8493). With the original, the item's key is in it: so whoever checks
it can seal the file again and compare with what the server countersigned. Without the original the
key is left out; digest and order then rest on the statements. Names of all who acted are in it.

Of a file that carries malware, say which: --no-original, or --sample, which puts it in the clear into
data/original as SHA256.sample, without the right to be executed: no program opens that by itself, but a
scanner may take it away, and the bundle is whole no more. Pack such a bundle before you pass it on.";

#[derive(Debug, Args)]
pub(crate) struct CustodyExportArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
    /// The folder to write, with --tar the file; must not exist.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// One file: the folder as a tar archive, which `verify` reads as it is.
    #[arg(long)]
    pub(crate) tar: bool,
    /// Take the original from this file; its SHA-256 must be the item's. Otherwise it is fetched.
    #[arg(long, value_name = "FILE", conflicts_with = "no_original")]
    pub(crate) original: Option<PathBuf>,
    /// Leave the original and its key out.
    #[arg(long)]
    pub(crate) no_original: bool,
    /// Put a malware sample into the bundle in the clear; asked for by name, never by default.
    #[arg(long, conflicts_with = "no_original")]
    pub(crate) sample: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CustodyDeleteArgs {
    #[command(flatten)]
    pub(crate) item: ItemArgs,
    /// A copy in the clear to be removed, too; refused unless its SHA-256 is the item's.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}
