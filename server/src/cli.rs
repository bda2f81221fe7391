//! The command line of `plenary-server`, also for a program that brings the server along.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::Subscriber;

use crate::config::{Config, LogFormat, LogOverride, Overrides};
use crate::run::run;

/// Wrong arguments or configuration. 1 is any other failure.
const USAGE: u8 = 2;

/// The Plenary server: stores and forwards what it cannot read.
///
/// Without arguments it runs on port 7443 with its data in ./plenary-data, which it makes at the
/// first start. SIGTERM and SIGINT end it: connections are told and what is accepted is on disk.
/// SIGHUP reads a certificate that was issued elsewhere again. Exit codes: 0 ended as asked,
/// 1 failed, 2 wrong arguments or configuration.
#[derive(Debug, Parser)]
#[command(name = "plenary-server", version)]
struct Arguments {
    /// Configuration file; ./plenary-server.toml where it exists
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Check the configuration and exit; nothing is written
    #[arg(long)]
    check_config: bool,

    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// Folder for everything the server keeps
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,

    /// Name or IP address for the TLS certificate; may be repeated
    #[arg(long = "name", value_name = "NAME")]
    names: Vec<String>,

    /// What members are told to connect to
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,

    /// What to log: off, error, warn, info, debug, trace, or directives
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
}

/// The whole program, with the arguments of this process.
pub fn main() -> ExitCode {
    main_with(std::env::args_os())
}

/// The whole program; the first argument is the program's name.
pub fn main_with(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let asked = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            let _ = error.print();
            return ExitCode::from(if asked { 0 } else { USAGE });
        }
    };
    let overrides = Overrides {
        listen: arguments.listen,
        names: arguments.names,
        address: arguments.address,
        data: arguments.data,
        log: arguments.log.map(|filter| LogOverride { filter }),
    };
    let config = match Config::load(arguments.config.as_deref(), &overrides) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("plenary-server: configuration: {error}");
            return ExitCode::from(USAGE);
        }
    };
    if arguments.check_config {
        println!("plenary-server: the configuration is valid");
        return ExitCode::SUCCESS;
    }
    match start(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("plenary-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start(config: &Config) -> anyhow::Result<()> {
    log(config)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(config))
}

/// Logs to standard error. The `log` crate's records are not taken up on purpose: at its most
/// verbose, tungstenite puts whole messages there.
fn log(config: &Config) -> anyhow::Result<()> {
    let builder = Subscriber::builder()
        .with_env_filter(EnvFilter::try_new(&config.log.filter)?)
        .with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            tracing::subscriber::set_global_default(builder.with_ansi(ansi).finish())?;
        }
        LogFormat::Json => tracing::subscriber::set_global_default(builder.json().finish())?,
    }
    Ok(())
}
