//! What may be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const EXAMPLES: &str = "\
Examples:
  plenary-server --listen 0.0.0.0:7443 --name plenary.example.org --data /var/lib/plenary
  plenary-server --check-config --config /etc/plenary/plenary-server.toml
  plenary-server backup-key --out backup.key           (on a machine that stays offline)
  plenary-server backup --to /mnt/backups --key backup.key.pub
  plenary-server admin status";

/// The Plenary server: stores and forwards what it cannot read.
///
/// Without arguments it runs on port 7443 with its data in ./plenary-data, which it makes at the
/// first start. SIGTERM and SIGINT end it: connections are told when to come back, and what is
/// accepted is on disk. SIGHUP and `admin reload` read configuration and certificate again. Every
/// value of the configuration may also come from the environment: limits.connections as
/// PLENARY_SERVER_LIMITS__CONNECTIONS. Exit codes: 0 ended as asked, 1 failed, 2 wrong arguments or
/// configuration.
#[derive(Debug, Parser)]
#[command(name = "plenary-server", version, after_help = EXAMPLES)]
#[command(
    args_conflicts_with_subcommands = false,
    subcommand_negates_reqs = true
)]
pub(crate) struct Arguments {
    /// Configuration file; ./plenary-server.toml where it exists
    #[arg(long, short, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,

    /// Folder for everything the server keeps
    #[arg(long, value_name = "FOLDER", global = true)]
    pub(crate) data: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) serve: Serve,

    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What only a server that is to run takes.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Check the configuration and exit; nothing is written
    #[arg(long)]
    pub(crate) check_config: bool,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) listen: Option<SocketAddr>,

    /// Name or IP address for the TLS certificate; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    pub(crate) names: Vec<String>,

    /// What members are told to connect to
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) address: Option<String>,

    /// What to log: off, error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
}

/// What is done beside running.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the key that opens backups
    BackupKey(BackupKeyArgs),
    /// Make a backup of everything, while the server runs or while it does not
    Backup(BackupArgs),
    /// Check that a backup is whole
    VerifyBackup(VerifyArgs),
    /// Make a data folder of a backup
    Restore(RestoreArgs),
    /// Write the store anew, while no server runs: gives back the room of what was dropped
    ///
    /// It is also the step from one store version to the next. The new store is made beside the old
    /// one, which needs as much free space again, verified whole, and put in its place; a crash at any
    /// moment leaves one of the two in use, never none.
    Rebuild {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Give the ledger the Board's statements that it lacks, while no server runs
    ///
    /// After the restore of a backup older than the Board's last word: devices that have read what the
    /// Board said since do not talk to a server that lacks it. One of their members, best one of the
    /// Board, hands over what `plenary ledger export FILE` writes, which needs no server. Every
    /// statement is verified by its signatures: whoever made the file need not be trusted.
    CompleteLedger {
        /// What `plenary ledger export` wrote
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show the server's identity key, or replace it
    #[command(subcommand)]
    Key(KeyCommand),
    /// Operate the running server
    Admin(AdminArgs),
    /// Look for what is wrong, or soon will be: configuration, folder, disk, certificate, backups
    Doctor(DoctorArgs),
    /// Print completions for a shell
    #[command(hide = true)]
    Completions {
        /// Which
        shell: clap_complete::Shell,
    },
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// A folder for them
        #[arg(long, value_name = "FOLDER")]
        out: PathBuf,
    },
}

const REPLACING: &str = "\
Replacing the key, because somebody may have it or because it is lost:
  plenary-server key next                                    (makes one, prints its public half)
  plenary board request server KEY --out server.request      (the Board's people sign that file)
  plenary-server key replace server.request SIGNATURE...     (while no server runs)
then start the server. Members meet the new key with the Board's word for it and do nothing. What the
old key countersigned stays verified by it. Make a backup afterwards: older ones hold the old key.";

/// What is done with the server's identity key.
#[derive(Debug, Subcommand)]
#[command(after_help = REPLACING)]
pub(crate) enum KeyCommand {
    /// Print the key in use, the one that the Board's ledger names, and the one made to follow
    Show {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Make the key that is to follow, or print it again; nothing changes yet
    #[command(after_help = REPLACING)]
    Next {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Put the following key in use, by the Board's signatures
    #[command(after_help = REPLACING)]
    Replace {
        /// The Board's request that names the key
        #[arg(value_name = "REQUEST")]
        request: PathBuf,
        /// The signature files of the Board's people
        #[arg(value_name = "SIGNATURE", required = true)]
        signatures: Vec<PathBuf>,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary-server doctor --config /etc/plenary/plenary-server.toml
  plenary-server doctor --json | jq -r 'select(.verdict != \"good\") | .what'

Run it as the server's user or root. It changes nothing, works whether the server runs or not, and says
for each thing what to do. Exit codes: 0 nothing is wrong (warnings aside), 1 something is, 2 the
configuration cannot even be read.")]
pub(crate) struct DoctorArgs {
    /// Print one JSON object a line
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example, on a machine that stays offline:
  plenary-server backup-key --out backup.key
Carry backup.key.pub to the server; keep backup.key in two safe places. Whoever has it reads what the
server has, its keys included (no content: that is sealed to the members); who has lost it has no
backups.")]
pub(crate) struct BackupKeyArgs {
    /// The secret half; the public one gets the same name with .pub
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary-server backup --to /mnt/backups --key /etc/plenary/backup.key.pub
  plenary-server backup                     (folder and key from [backup] in the configuration)
  plenary-server backup --keep 30 --json

The running server is asked by its admin socket, as its own user or root, and goes on serving; while
none runs, the data folder is read. A further backup into the same folder copies new items only, and
one that broke off goes on with the items that it lacks. Uploads that are under way are not in it:
their senders begin them again after a restore.")]
pub(crate) struct BackupArgs {
    /// The folder for backups; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    pub(crate) to: Option<PathBuf>,
    /// The public half of the backup key
    #[arg(long, value_name = "FILE.pub")]
    pub(crate) key: Option<PathBuf>,
    /// How many snapshots to keep; 0 keeps all
    #[arg(long, value_name = "N")]
    pub(crate) keep: Option<usize>,
    /// Leave the items' bytes out: for items that lie in S3 and are kept safe there
    #[arg(long)]
    pub(crate) without_items: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary-server verify-backup /mnt/backups                      (is the medium good?)
  plenary-server verify-backup /mnt/backups --key backup.key     (does everything open?)

Without --key every file is read and compared with the manifest: it finds what the medium did. With
the secret key, where that may be, everything is opened, and so nothing can have been exchanged.")]
pub(crate) struct VerifyArgs {
    /// The folder that `backup` wrote to
    pub(crate) folder: PathBuf,
    /// Which snapshot; by default the newest
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
    /// The secret half of the backup key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  plenary-server restore /mnt/backups --key backup.key --data /var/lib/plenary

The data folder must not exist or be empty: nothing is ever restored over data. It is there only if
everything verified, down to the hash chain of each channel. Never run the old server again beside
the restored one. Members who saw more than the backup holds are told that the server went back; see
the operator's guide for what to say to them.")]
pub(crate) struct RestoreArgs {
    /// The folder that `backup` wrote to
    pub(crate) folder: PathBuf,
    /// The secret half of the backup key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Which snapshot; by default the newest
    #[arg(long, value_name = "NAME")]
    pub(crate) snapshot: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  plenary-server admin status
  plenary-server admin reload && echo taken
  plenary-server admin sessions --json | jq '.sessions[].purpose'
  plenary-server admin stop --back-in 300

The server is found by its admin socket: give --config or --data as the server has them. It serves
its own user and root. Exit codes: 0 done, 1 refused or not reachable, 2 wrong arguments.")]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    pub(crate) command: AdminCommand,
    /// Print one JSON object
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What operators may have done.
#[derive(Debug, Subcommand)]
pub(crate) enum AdminCommand {
    /// How the server is
    Status,
    /// Read configuration and certificate again; exit code 1 if they were not taken
    ///
    /// All of it is taken, or nothing. What is in force at once and what waits for a restart is
    /// said. Connections stand, with the certificate that they began with.
    Reload,
    /// The certificates served and how long they last
    Certificates,
    /// Limits on items, and what is used of them, by member
    Quotas,
    /// Who is connected, by pseudonym
    Sessions,
    /// End connections: one, or all of a device; their clients come back by themselves
    ///
    /// To shut somebody out, the Board suspends or revokes; an operator cannot.
    Drop {
        /// A connection's number, as `sessions` lists it
        #[arg(required_unless_present = "device", conflicts_with = "device")]
        connection: Option<u64>,
        /// A device, by the beginning of its id
        #[arg(long, value_name = "ID")]
        device: Option<String>,
    },
    /// Drop records past their retention and remove items that are due, now
    Trim,
    /// Read everything back, now and at full speed; exit code 1 if something is damaged
    Scrub,
    /// Keep an item, whatever its lease says, until it is released
    Hold {
        /// The item's id
        item: String,
    },
    /// End the hold of an item
    Release {
        /// The item's id
        item: String,
    },
    /// Write the store's export, unsealed: the way to another engine. For backups see `backup`
    Export {
        /// A new file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// End the server; tell clients when to come back
    Stop {
        /// Seconds until it is back; clients wait a minute at most
        #[arg(long, value_name = "SECONDS")]
        back_in: Option<u64>,
    },
}
