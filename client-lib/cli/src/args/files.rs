//! Files: handing them over and fetching them.

use std::path::PathBuf;

use clap::Args;
use plenary_client::Label;

use super::{
    handing::{RateArgs, TermsArgs, range},
    messages::ReaderArgs,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary send-file encryption report.pdf --label TLP:AMBER
  plenary send-file encryption disk.img --type application/x-raw-disk-image --malware
  plenary send-file encryption a.csv b.csv --thread Wallets
  plenary send-file encryption case-7/                (a folder: one tar archive, without links)
  pg_dump cases | plenary send-file encryption - --name cases.sql
  plenary send-file encryption report-2.pdf --supersedes 42 --keep 30d
  plenary send-file encryption notes.txt --preview            (its first lines are shown)
  plenary send-file encryption scan.pdf --preview=page1.jpg   (a picture of yours, at most 16 KiB)

Any size: sealed piece by piece, in little memory. One that was stopped goes on where it was when
the same command is given again; what came from standard input by `plenary transfers --resume`. The
SHA-256 printed is that
of the file: compare it, cite it.")]
pub(crate) struct SendFileArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The files; a folder goes as one archive, `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// The name that recipients see, for a single file; needed for `-`.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// In place of the file that this message handed over, which stays.
    #[arg(long, value_name = "MESSAGE")]
    pub(crate) supersedes: Option<String>,
    #[command(flatten)]
    pub(crate) terms: TermsArgs,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
    /// How far they may travel.
    #[arg(long, value_name = "TLP")]
    pub(crate) label: Option<Label>,
    /// The thread, by its title.
    #[arg(long, value_name = "TITLE")]
    pub(crate) thread: Option<String>,
    /// The media type, as recipients are told.
    #[arg(
        long = "type",
        value_name = "TYPE",
        default_value = "application/octet-stream"
    )]
    pub(crate) media_type: String,
    /// They carry malware: evidence, not to be opened by accident.
    #[arg(long)]
    pub(crate) malware: bool,
    /// Show everybody in the channel the first lines of a text, or this text or picture (PNG, JPEG,
    /// WebP; at most 16 KiB), before they fetch the file.
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        conflicts_with = "malware"
    )]
    pub(crate) preview: Option<Option<PathBuf>>,
    #[command(flatten)]
    pub(crate) audience: ReaderArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary get encryption 42
  plenary get encryption 42 --into evidence
  plenary get encryption 42 --unpack                  (a folder that was handed over)
  plenary get encryption 42 --stdout | tar t
  plenary get encryption 42 --range 0-511 > boot.img  (the first 512 bytes, and no more fetched)
  plenary get encryption 42 --preview                 (what its sender shows of it; nothing fetched)

Nothing is ever fetched by itself.
A file appears under its name only when it was verified whole; nothing is overwritten. One that was
stopped goes on where it was when the same command is given again. One whose sender says that it
carries malware stays sealed in the profile: see `plenary export-sample --help`. That it was
collected and verified is signed and told in the channel: see `plenary receipts --help`.")]
pub(crate) struct GetArgs {
    /// Name, or beginning of the id.
    pub(crate) channel: String,
    /// The message that hands it over: its number in the channel, or the beginning of its id.
    pub(crate) message: String,
    /// The folder to put it in; made if absent.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) into: PathBuf,
    /// Unpack a folder: relative names only, nothing outside, no links, nothing overwritten.
    #[arg(long)]
    pub(crate) unpack: bool,
    /// Write to standard output. What came counts only if the command ends with 0.
    #[arg(long, conflicts_with_all = ["unpack", "json"])]
    pub(crate) stdout: bool,
    /// Only these bytes, to standard output: 0-1023, or 1024- to the end.
    #[arg(long, value_name = "FIRST-LAST", value_parser = range, conflicts_with_all = ["unpack", "json"])]
    pub(crate) range: Option<std::ops::Range<u64>>,
    /// Only the preview that came with the message: a text is printed, a picture put in the folder.
    #[arg(long, conflicts_with_all = ["unpack", "stdout", "range"])]
    pub(crate) preview: bool,
    #[command(flatten)]
    pub(crate) rate: RateArgs,
}
