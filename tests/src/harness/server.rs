//! A real server in a process of its own, on a loopback port that the system chooses.

use std::{
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use plenary_server::folder::{FOUNDER_FILE, Founder};
use rustix::process::{Pid, Signal, kill_process};

/// First argument by which a program that brings the server along runs it.
pub const SERVE: &str = "serve";

/// What the server prints once it accepts connections.
const LISTENING: &str = "listening on ";
/// From start to there: the store may have to be completed from its journal.
const START: Duration = Duration::from_secs(30);
/// From SIGTERM to the end: connections are drained.
const STOP: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// A server process. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    program: PathBuf,
    folder: PathBuf,
    log: String,
    port: u16,
    child: Option<Child>,
    runs: u32,
}

impl Server {
    /// Starts `program serve` with its data and logs below `folder`; returns once it listens.
    /// `log` is the server's filter, `trace` for everything.
    ///
    /// # Errors
    /// When it ends or does not listen within 30 seconds.
    pub fn start(program: &Path, folder: &Path, log: &str) -> Result<Self> {
        Self::start_at(program, folder, log, 0)
    }

    /// As [`Server::start`], on a given port; 0 lets the system choose.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_at(program: &Path, folder: &Path, log: &str, port: u16) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut server = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            log: log.to_owned(),
            port,
            child: None,
            runs: 0,
        };
        server.run()?;
        Ok(server)
    }

    /// Starts it again, on the same folder and port.
    ///
    /// # Errors
    /// As [`Server::start`], and when it still runs.
    pub fn restart(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server still runs");
        self.run()
    }

    /// Ends it with SIGTERM.
    ///
    /// # Errors
    /// When it does not run, or does not end with success in 30 seconds.
    pub fn stop(&mut self) -> Result<()> {
        let child = self.child.as_ref().context("the server does not run")?;
        kill_process(pid(child)?, Signal::TERM)?;
        self.wait()
    }

    /// Waits for the end of a server that was asked to end.
    ///
    /// # Errors
    /// As [`Server::stop`].
    pub fn wait(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server does not run")?;
        let end = Instant::now() + STOP;
        while Instant::now() < end {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}");
                return Ok(());
            }
            sleep(POLL);
        }
        child.kill()?;
        child.wait()?;
        bail!("the server did not end in {STOP:?} after it was asked")
    }

    /// Ends it with SIGKILL, as a power cut would.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        let mut child = self.child.take().context("the server does not run")?;
        child.kill()?;
        Ok(child.wait()?)
    }

    /// Its process id, while it runs.
    pub fn process(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Lets it run on after this process.
    pub fn detach(mut self) {
        self.child = None;
    }

    /// What the founder needs.
    ///
    /// # Errors
    /// When the file is absent or unreadable.
    pub fn founder(&self) -> Result<Founder> {
        let file = self.data().join(FOUNDER_FILE);
        let text = fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Everything the server keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What it printed and logged, one pair of files a run.
    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The command that starts it by hand, folder and port as now.
    pub fn command(&self) -> String {
        let words: Vec<_> = std::iter::once(self.program.as_os_str().to_owned())
            .chain(self.arguments())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        words.join(" ")
    }

    fn arguments(&self) -> Vec<OsString> {
        [
            SERVE.into(),
            "--listen".into(),
            format!("127.0.0.1:{}", self.port).into(),
            "--name".into(),
            "127.0.0.1".into(),
            "--data".into(),
            self.data().into_os_string(),
            "--log".into(),
            self.log.clone().into(),
        ]
        .into()
    }

    fn run(&mut self) -> Result<()> {
        self.runs += 1;
        fs::create_dir_all(self.logs())?;
        let out = self.logs().join(format!("{}.out", self.runs));
        let err = self.logs().join(format!("{}.err", self.runs));
        let mut command = Command::new(&self.program);
        // Nothing of this process's surroundings configures the server.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PLENARY_") {
                command.env_remove(name);
            }
        }
        let child = command
            .args(self.arguments())
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(File::create(&out)?)
            .stderr(File::create(&err)?)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))?;
        let child = self.child.insert(child);
        let end = Instant::now() + START;
        while Instant::now() < end {
            if let Some(port) = listening(&fs::read_to_string(&out)?) {
                self.port = port;
                return Ok(());
            }
            if let Some(status) = child.try_wait()? {
                self.child = None;
                let said = fs::read_to_string(&err)?;
                bail!("the server ended with {status} instead of listening: {said}");
            }
            sleep(POLL);
        }
        bail!("the server does not listen after {START:?}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The port, once the whole line is there.
fn listening(out: &str) -> Option<u16> {
    let (_, rest) = out.split_once(LISTENING)?;
    let (address, _) = rest.split_once('\n')?;
    address.rsplit_once(':')?.1.trim().parse().ok()
}

fn pid(child: &Child) -> Result<Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| anyhow!("no process id: {}", child.id()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_a_whole_line_only() {
        assert_eq!(listening("x: listening on 127.0.0.1:7443\n"), Some(7443));
        assert_eq!(listening("x: listening on 127.0.0.1:74"), None);
        assert_eq!(listening("made a folder\n"), None);
    }
}
