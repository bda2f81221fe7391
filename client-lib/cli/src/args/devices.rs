//! The arguments about one's own devices.

use clap::{Args, Subcommand};

use super::ReasonArg;

const EXAMPLES: &str = "\
Examples:
  plenary devices
  plenary devices link                       on the old device: makes a code, waits, compares
  plenary link 'plenary-link:...' --name phone      on the new one
  plenary devices name 3f2a office
  plenary devices revoke phone --reason lost

A device is found by its name or by the beginning of its id. Names stay on the device where they
were given; a new device is told those that the one that links it knows.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DevicesArgs {
    /// Left out: list them.
    #[command(subcommand)]
    pub(crate) command: Option<DevicesCommand>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DevicesCommand {
    /// Link a further device: make a code, wait for who asks by it, compare, accept.
    Link(MakeLinkArgs),
    /// Who asks to be linked by this device's codes.
    Requests,
    /// Accept who asks, by the fingerprint as the new device shows it.
    Accept(AcceptArgs),
    /// Refuse everybody who asks to be linked now.
    Refuse,
    /// Call a device so, on this device only.
    Name(NameArgs),
    /// Put a device out, for ever, with all that hang on it.
    Revoke(RevokeArgs),
    /// Vouch anew for a device that fell with another.
    Vouch(VouchArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary devices link
  plenary devices link --no-wait             then: plenary devices accept 'FINGERPRINT'

The code is valid for a quarter of an hour, once. Whoever has it may ask, and nothing more: what
counts is that both screens show the same fingerprint. Without a terminal to answer on, nobody is
accepted here: use `plenary devices accept`.")]
pub(crate) struct MakeLinkArgs {
    /// Print the code and end.
    #[arg(long)]
    pub(crate) no_wait: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary devices accept '17038 39743 25579 12832 54497 06433 93502 91675'

Read the digits from the new device, not from here. If they are not those of who asked, that
request is refused: another machine came with your code.")]
pub(crate) struct AcceptArgs {
    /// The fingerprint as the new device shows it; spaces do not matter.
    #[arg(required = true, value_name = "FINGERPRINT", num_args = 1..)]
    pub(crate) fingerprint: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// Name, or beginning of the id.
    pub(crate) device: String,
    /// The new name.
    pub(crate) name: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary devices revoke phone --reason lost
  plenary devices revoke 3f2a --yes

At once and for ever: the device is cut off, and whatever is sent afterwards is not sealed to it.
Those that it linked fall with it, until another of your devices vouches for them
(plenary devices vouch). If you put out the device that linked this one, this one falls too, and the
Board must vouch for it. Two devices by the Board cannot put out each other: the Board does.")]
pub(crate) struct RevokeArgs {
    /// Name, or beginning of the id.
    pub(crate) device: String,
    /// Why; the ledger says it to everybody.
    #[arg(long, value_enum, default_value = "unstated")]
    pub(crate) reason: ReasonArg,
    /// Do not ask again.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VouchArgs {
    /// Name, or beginning of the id.
    pub(crate) device: String,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary link 'plenary-link:...' --name phone
  plenary link - --name phone < code.txt
  plenary link                    (the request is made already: wait for the other device)

On the device that you have: plenary devices link. Both show a fingerprint: accept there only if it
is the same.")]
pub(crate) struct LinkArgs {
    /// The linking code; `-` reads it from standard input. Left out: only wait.
    pub(crate) code: Option<String>,
    /// What you call this device.
    #[arg(long, default_value = "new device", requires = "code")]
    pub(crate) name: String,
    /// Do not wait until the other device has accepted.
    #[arg(long)]
    pub(crate) no_wait: bool,
}
