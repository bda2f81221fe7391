//! The commands fit together, and with what the documents say.

use super::*;
use clap::CommandFactory;

#[test]
fn the_commands_fit_together() {
    Cli::command().debug_assert();
}

/// The words of a line as a shell would part them.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            '#' if !quoted && words.last().is_some_and(String::is_empty) => break,
            letter => words.last_mut().unwrap().push(letter),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Every `plenary` line of the shell examples in a text.
fn examples(text: &str) -> Vec<Vec<String>> {
    let blocks = text.split("```sh\n").skip(1);
    let blocks = blocks.map(|block| block.split("```").next().unwrap().replace("\\\n", " "));
    let lines: Vec<_> = blocks
        .flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let commands = lines.iter().filter(|line| line.starts_with("plenary "));
    commands.map(|line| words(line)).collect()
}

#[test]
fn every_command_of_runbook_and_readme_is_one() {
    for (name, text, least) in [
        (
            "RUNBOOK.md",
            include_str!("../../../../certs/RUNBOOK.md"),
            50,
        ),
        ("README.md", include_str!("../../../../README.md"), 20),
    ] {
        let examples = examples(text);
        assert!(examples.len() >= least, "{name} has {}", examples.len());
        for words in examples {
            let typed = words.iter().map(|word| match word.as_str() {
                "INVITATION" | "MEMBER" | "DEVICE" => "00112233445566778899aabbccddeeff",
                "KEY" | "HASH" => {
                    "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
                }
                word => word,
            });
            if let Err(error) = Cli::try_parse_from(typed) {
                panic!("{name}: {}: {error}", words.join(" "));
            }
        }
    }
}

#[test]
fn no_option_takes_a_passphrase() {
    fn walk(command: &clap::Command) {
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            assert!(
                !name.contains("passphrase") || name.ends_with("passphrase_file"),
                "{name}"
            );
        }
        command.get_subcommands().for_each(walk);
    }
    walk(&Cli::command());
}
