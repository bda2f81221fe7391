//! A client in a process of its own, to be killed in the middle of a sentence.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail};
use plenary_client::{Client, content::Draft, ids::ChannelId};

use super::passphrase;

/// First argument by which a program that brings the talker along runs it:
/// `talk FOLDER CHANNEL COUNT`.
pub const TALK: &str = "talk";

/// The n-th text that a talker sends.
pub fn line(number: usize) -> String {
    format!("line {number}")
}

/// Runs the talker: opens the profile, sends `COUNT` texts, says a number once its text is in the
/// outbox, and stays until it is killed.
pub fn talk(arguments: &[String]) -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(send(arguments))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("talk: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn send(arguments: &[String]) -> Result<()> {
    let [folder, channel, count] = arguments else {
        bail!("usage: {TALK} FOLDER CHANNEL COUNT");
    };
    let channel: ChannelId = channel.parse()?;
    let client = Client::builder(PathBuf::from(folder), passphrase())
        .open()
        .await?;
    for number in 0..count.parse()? {
        client.send(channel, Draft::text(line(number))).await?;
        println!("{number}");
        std::io::stdout().flush()?;
    }
    std::future::pending().await
}

/// A talker's process. Killed when dropped.
#[derive(Debug)]
pub struct Talker {
    child: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Talker {
    /// Starts `program talk FOLDER CHANNEL COUNT`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, folder: &Path, channel: ChannelId, count: usize) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(TALK)
            .arg(folder)
            .args([channel.to_string(), count.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let said = BufReader::new(child.stdout.take().context("its output is not piped")?);
        Ok(Self { child, said })
    }

    /// Waits until it has put one more text into the outbox; returns its number.
    ///
    /// # Errors
    /// When it ends instead.
    pub fn queued(&mut self) -> Result<usize> {
        let mut line = String::new();
        self.said.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// SIGKILL; returns how many texts it had put into the outbox, as far as it could say.
    ///
    /// # Errors
    /// When its output cannot be read.
    pub fn kill(mut self) -> Result<usize> {
        self.child.kill()?;
        self.child.wait()?;
        let mut last = None;
        for line in (&mut self.said).lines() {
            // The last line may be torn.
            last = line?.parse().ok().or(last);
        }
        Ok(last.map_or(0, |last: usize| last + 1))
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
