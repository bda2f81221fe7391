//! A client that starts. Each start is a process of its own, so that its memory is counted alone.

use std::{path::Path, process::Command};

use plenary_client::simulation::{Many, Spent};

use super::{memory, millis, setting, told};

pub(super) const CHILD: &str = "start-in";
const ROUNDS: usize = 3;

pub(super) fn run() {
    let (devices, channels) = (setting("START_DEVICES", 300), setting("START_CHANNELS", 80));
    let scratch = tempfile::tempdir().unwrap();
    let kept = std::env::var("START_PROFILE").ok();
    let folder = kept.as_deref().map_or(scratch.path(), Path::new);
    let (_, filling) = Spent::on(|| Many::at(folder, devices, channels));
    println!(
        "\nstart: {channels} channels of {devices} devices; the profile took {:.0} s",
        filling.wall.as_secs_f64()
    );
    for _ in 0..ROUNDS {
        let status = Command::new(std::env::current_exe().unwrap())
            .arg(CHILD)
            .arg(folder)
            .args([devices.to_string(), channels.to_string()])
            .status();
        assert!(status.unwrap().success());
    }
}

pub(super) fn child(words: &[String]) {
    let [folder, devices, channels] = words else {
        panic!("{CHILD} FOLDER DEVICES CHANNELS");
    };
    let (devices, channels) = (devices.parse().unwrap(), channels.parse().unwrap());
    let many = Many::at(Path::new(folder), devices, channels);
    let before = memory().0;
    let mut started = many.start();
    let (now, most) = memory();
    println!(
        "  opened {:.0} ms, processor {:.0}; connected {:.0} ms, processor {:.0}; resident {:.0} MiB more \
         than the {before:.0} before, {:.0} at most",
        millis(started.opened.wall),
        millis(started.opened.cpu),
        millis(started.connected.wall),
        millis(started.connected.cpu),
        now - before,
        most - before,
    );
    let mut first: Vec<_> = (0..channels).map(|channel| started.say(channel)).collect();
    println!(
        "    first message in each channel {}; resident {:.0} MiB more",
        told(&mut first),
        memory().0 - before
    );
}
