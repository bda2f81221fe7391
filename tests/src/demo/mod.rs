//! The demo: the main job in one command, checked.
//!
//! ```text
//! Script (built in, or from a corpus)
//!    |
//! Stage (server process, network, members, channels) -- play --> what was sent
//!    |                                                              |
//!    +-- verify: every message of every member, compared <----------+
//!    +-- handover: a file, its digest at both ends
//!    +-- closing: one member revoked, shut out of what follows
//!    v
//! Report (transcript, table, JSON); exit code 0 only if every check held
//! ```

mod args;
mod closing;
mod corpus;
mod handover;
mod play;
mod progress;
mod report;
mod run;
mod script;
mod stage;
mod story;
mod transcript;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use crate::harness::{CARRY, CHECK, SERVE, TALK, carry, check, talk};

pub use args::Args;
pub use corpus::Corpus;
pub use report::{Check, Delivery, File, Report, Seconds};
pub use run::run;
pub use script::{CHANNELS, Post, Script};

/// The whole program. With `serve` as first argument it is the server, with `talk` a
/// client for tests to kill, with `carry` one that carries a file, with `check-bundle` somebody who
/// checks a bundle.
pub fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == SERVE) {
        arguments.remove(1);
        return plenary_server::cli::main_with(arguments);
    }
    if arguments.get(1).is_some_and(|first| first == TALK) {
        let words: Vec<_> = std::env::args().skip(2).collect();
        return talk(&words);
    }
    if arguments.get(1).is_some_and(|first| first == CARRY) {
        let words: Vec<_> = std::env::args().skip(2).collect();
        return carry(&words);
    }
    if arguments.get(1).is_some_and(|first| first == CHECK) {
        let words: Vec<_> = std::env::args().skip(2).collect();
        return check(&words);
    }
    let args = Args::parse_from(arguments);
    match demo(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("plenary-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demo(args: &Args) -> anyhow::Result<bool> {
    let program = std::env::current_exe()?;
    if args.backup_drill {
        let drilled = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?
            .block_on(Box::pin(crate::drill::drill(
                &program,
                &args.log,
                args.messages.unwrap_or(crate::drill::MESSAGES),
            )))?;
        match args.json {
            true => println!("{}", serde_json::to_string(&drilled)?),
            false => println!("{drilled}"),
        }
        return Ok(true);
    }
    let report = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(Box::pin(run(args, &program)))?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(report.ok)
}
