//! The `plenary` command: arguments in, one command, an exit code out.
//!
//! ```text
//! args --> Context --> commands/GROUP.rs --> plenary_client
//!                            |
//!                        output.rs (lines for people, or JSON) and exit.rs (how it ended)
//! ```
#![forbid(unsafe_code)]

mod args;
mod ask;
mod clean;
mod commands;
mod exit;
mod manual;
mod output;
mod paths;
mod secret;
mod session;
mod time;

use std::{ffi::OsString, process::ExitCode};

use clap::{ColorChoice, CommandFactory, FromArgMatches};

use args::{Cli, Command};
use exit::Failure;
use output::{Color, Output};
use session::Context;

fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let out = Output::new(cli.global.json, cli.global.color);
    match run(cli, out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.exit == 0 => ExitCode::SUCCESS,
        Err(failure) => {
            out.failure(&failure);
            ExitCode::from(failure.exit)
        }
    }
}

fn run(cli: Cli, out: Output) -> Result<(), Failure> {
    let Cli { global, command } = cli;
    log(global.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the runtime", &error))?;
    let context = Context::new(out, global);
    let done = runtime.block_on(async {
        let done = work(&context, command).await;
        // However the command ended: a store in use while the process ends would fall over it.
        context.close().await;
        done
    });
    // A read from the terminal may still wait: it must not keep the process.
    runtime.shutdown_background();
    done
}

async fn work(context: &Context, command: Command) -> Result<(), Failure> {
    Box::pin(commands::run(context, command)).await
}

/// The arguments; or the exit code after their error, or the help, was printed.
fn parse() -> Result<Cli, ExitCode> {
    // Both are wanted before the arguments are known to make sense.
    let typed: Vec<OsString> = std::env::args_os().collect();
    let json = typed.iter().any(|word| word == "--json");
    let color = match typed.iter().position(|word| word == "--color") {
        Some(at) => typed.get(at + 1).cloned(),
        None => typed
            .iter()
            .find_map(|word| Some(word.to_str()?.strip_prefix("--color=")?.into())),
    };
    let color = match color.as_ref().and_then(|color| color.to_str()) {
        Some("always") => ColorChoice::Always,
        Some("never") => ColorChoice::Never,
        _ => ColorChoice::Auto,
    };
    Cli::command()
        .color(color)
        .try_get_matches_from(typed)
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| {
            if json && error.use_stderr() {
                let text = error.render().to_string();
                let text = text.trim().trim_start_matches("error: ");
                Output::new(true, Color::Never).failure(&Failure::usage(text));
            } else {
                // Nothing can be done if nobody reads it.
                let _ = error.print();
            }
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(exit::USAGE))
        })
}

fn log(filter: Option<&str>) -> Result<(), Failure> {
    let Some(filter) = filter else { return Ok(()) };
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .map_err(|error| Failure::usage(format!("--log {filter:?}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
