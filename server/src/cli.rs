//! The command line of `plenary-server`, also for a program that brings the server along.

mod admin;
mod arguments;
mod backup;
mod doctor;
mod key;
mod ledger;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;

use self::arguments::{Arguments, Command};
use crate::admin::SetFilter;
use crate::config::{Config, ConfigError, LogFormat, LogOverride, Overrides};
use crate::rebuild::store_in;
use crate::run::{Start, run};
use crate::store::{EmbeddedStore, StoreOptions};

/// Wrong arguments or configuration. 1 is any other failure.
const USAGE: u8 = 2;
const NAME: &str = "plenary-server";

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
    match command(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(config) = error.downcast_ref::<ConfigError>() {
                eprintln!("plenary-server: configuration: {config}");
                return ExitCode::from(USAGE);
            }
            eprintln!("plenary-server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments {
        config: file,
        data,
        serve,
        command,
    } = arguments;
    let overrides = Overrides {
        listen: serve.listen,
        names: serve.names,
        address: serve.address,
        data,
        log: serve.log.map(|filter| LogOverride { filter }),
    };
    // A relative name must mean the same at a reload.
    let file = file.map(std::path::absolute).transpose()?;
    let load = move || Config::load(file.as_deref(), &overrides);
    match command {
        None if serve.check_config => {
            load()?;
            println!("plenary-server: the configuration is valid");
            Ok(())
        }
        None => start(Box::new(load)),
        Some(Command::BackupKey(args)) => backup::key(&args),
        Some(Command::Backup(args)) => backup::make(&load()?, &args),
        Some(Command::VerifyBackup(args)) => backup::verify(&args),
        Some(Command::Restore(args)) => backup::restore(&load()?, &args),
        Some(Command::Rebuild { json }) => backup::rebuild(&load()?, json),
        Some(Command::CompleteLedger { file, json }) => ledger::complete(&load()?, &file, json),
        Some(Command::Key(command)) => key::run(&load()?, &command),
        Some(Command::Admin(args)) => admin::run(&load()?, args),
        Some(Command::Doctor(args)) => doctor::run(&load()?, &args),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(
                shell,
                &mut Arguments::command(),
                NAME,
                &mut std::io::stdout(),
            );
            Ok(())
        }
        Some(Command::Man { out }) => {
            std::fs::create_dir_all(&out)?;
            Ok(clap_mangen::generate_to(Arguments::command(), out)?)
        }
    }
}

fn start(load: crate::admin::Loader) -> anyhow::Result<()> {
    let config = load()?;
    let set_filter = log(&config)?;
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run(Start {
            config,
            load,
            set_filter,
        }))
}

/// For commands on a data folder.
fn there_is_data(config: &Config) -> anyhow::Result<()> {
    anyhow::ensure!(
        config.data.is_dir(),
        "{} is no data folder: give --config or --data as the server has them",
        config.data.display()
    );
    Ok(())
}

/// For commands on a store, which has work of its own beside them.
fn one_worker() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// Runs something on the store of a data folder, which must be locked. The store is closed again.
fn with_store<T>(
    config: &Config,
    work: impl AsyncFnOnce(&EmbeddedStore) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let path = store_in(&config.data)?;
    let runtime = one_worker()?;
    let inside = runtime.enter();
    let store = EmbeddedStore::open(&path, StoreOptions::default())?;
    drop(inside);
    let done = runtime.block_on(work(&store));
    store.close()?;
    done
}

/// Prints for people, or one JSON object.
fn print<T: serde::Serialize>(json: bool, value: &T, words: impl FnOnce(&T) -> String) {
    let text = match json {
        true => serde_json::to_string(value).unwrap_or_default(),
        false => words(value),
    };
    println!("{text}");
}

/// Logs to standard error. The `log` crate's records are not taken up on purpose: at its most
/// verbose, tungstenite puts whole messages there.
fn log(config: &Config) -> anyhow::Result<SetFilter> {
    let (filter, handle) = reload::Layer::new(EnvFilter::try_new(&config.log.filter)?);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let subscriber = tracing_subscriber::registry().with(filter);
    match config.log.format {
        LogFormat::Text => {
            let lines = lines.with_ansi(std::io::stderr().is_terminal());
            tracing::subscriber::set_global_default(subscriber.with(lines))?;
        }
        LogFormat::Json => tracing::subscriber::set_global_default(subscriber.with(lines.json()))?,
    }
    Ok(Box::new(move |filter| {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        handle.reload(filter).map_err(|error| error.to_string())
    }))
}
