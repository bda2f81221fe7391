//! What the floods share: their sizes, their files, their report.

use std::process::Command;

/// A size of the environment.
pub fn told(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// As many open files as this process may have.
pub fn more_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limits = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limits.maximum,
        ..limits
    };
    setrlimit(Resource::Nofile, most).unwrap();
}

/// One line of JSON.
pub fn report(run: &str, seed: u64, counts: &[(&str, u64)]) {
    let args = ["describe", "--always", "--dirty", "--abbrev=12"];
    let revision = Command::new("git").args(args).output().ok();
    let revision = revision.and_then(|told| String::from_utf8(told.stdout).ok());
    let mut line = serde_json::json!({
        "run": run,
        "seed": seed,
        "revision": revision.map(|text| text.trim().to_owned()),
    });
    for (name, count) in counts {
        line[name] = (*count).into();
    }
    println!("{line}");
}
