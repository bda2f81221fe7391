//! The server's binary as a process.
#![allow(dead_code, reason = "each test uses what it needs")]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use plenary_server::folder::Founder;

/// A server process; killed when dropped.
pub struct Server {
    pub process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub said: Vec<String>,
    pub port: u16,
}

/// A server on a port that the system chooses.
pub fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenary-server"));
    command
        .args(["--listen", "127.0.0.1:0", "--log", "trace", "--data"])
        .arg(data)
        .current_dir(data.parent().unwrap());
    command
}

impl Server {
    pub fn start(data: &Path) -> Self {
        Self::run(command(data))
    }

    /// Runs this and waits until it listens.
    pub fn run(mut command: Command) -> Self {
        let mut process = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let port = loop {
            let line = lines.next().expect("ended before it listened").unwrap();
            if let Some(address) = line.strip_prefix("plenary-server: listening on ") {
                break address.rsplit_once(':').unwrap().1.parse().unwrap();
            }
            said.push(line);
        };
        Self {
            process,
            lines,
            said,
            port,
        }
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([name, &self.process.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// How it ended, and its log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let mut log = String::new();
        let mut stderr = self.process.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        assert!(self.lines.next().is_none());
        (self.process.wait().unwrap(), log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn founder(data: &Path) -> Founder {
    serde_json::from_slice(&fs::read(data.join("founder.json")).unwrap()).unwrap()
}

/// Runs to the end: exit code, and all that it said.
pub fn run(command: &mut Command) -> (i32, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let said = [stdout, stderr].concat();
    (
        status.code().unwrap(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}
