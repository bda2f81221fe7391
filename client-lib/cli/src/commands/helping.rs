//! Completions and manual pages, made of the arguments.

use clap::CommandFactory;

use crate::{
    args::{Cli, CompletionsArgs, ManArgs},
    exit::Failure,
};

pub(super) fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "plenary",
        &mut std::io::stdout(),
    );
    Ok(())
}

pub(super) fn man(args: &ManArgs) -> Result<(), Failure> {
    let what = args.out.display().to_string();
    std::fs::create_dir_all(&args.out)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.out))
        .map_err(|error| Failure::io(&what, &error))
}
