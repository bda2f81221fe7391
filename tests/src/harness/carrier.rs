//! A client in a process of its own that hands a file over or fetches one, to be killed on the way.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use plenary_client::{
    Client, SendFile, Transfer,
    ids::{ChannelId, Seq},
};

use super::{PATIENCE, passphrase};

/// First argument by which a program that brings the carrier along runs it:
/// `carry FOLDER CHANNEL RATE up FILE` or `carry FOLDER CHANNEL RATE down SEQ INTO`; the rate in
/// bytes a second, 0 for what the line carries.
pub const CARRY: &str = "carry";

/// Between two words on how far it is.
const STEP: Duration = Duration::from_millis(20);

/// What a carrier says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It is connected and has read all; the transfer begins.
    Ready,
    /// So many bytes are durable or verified.
    Done(u64),
    /// The file is handed over by this message.
    Sent(Seq),
    /// The file is there.
    Fetched(PathBuf),
    /// Seconds of the processor that the transfer took.
    Cpu(f64),
    /// Bytes of memory: idle, and at most since then.
    Memory(u64, u64),
}

/// Runs the carrier to the end of its transfer.
pub fn carry(arguments: &[String]) -> ExitCode {
    let done = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(Box::pin(run(arguments))));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("carry: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &[String]) -> Result<()> {
    let [folder, channel, rate, rest @ ..] = arguments else {
        bail!("usage: {CARRY} FOLDER CHANNEL RATE up FILE | down SEQ INTO");
    };
    let channel: ChannelId = channel.parse()?;
    let client = Client::builder(PathBuf::from(folder), passphrase())
        .open()
        .await?;
    client.limit_rate(Some(rate.parse()?).filter(|rate| *rate > 0));
    client.caught_up(PATIENCE).await?;
    let idle = Peak::begin("self")?;
    let before = cpu_of("self")?;
    say("ready now")?;
    match rest {
        [way, file] if way == "up" => {
            let transfer = client.send_file(channel, SendFile::new(file)).await?;
            let outgoing = tell(transfer).await?;
            let seq = tokio::time::timeout(PATIENCE, outgoing.delivered()).await??;
            say(&format!("sent {}", seq.0))?;
        }
        [way, seq, into] if way == "down" => {
            let after = Seq(seq.parse::<u64>()?.saturating_sub(1));
            let messages = client.messages(channel, after, 1).await?;
            let message = messages.first().context("no such message")?;
            let path = tell(client.fetch(message, into)?).await?;
            say(&format!("fetched {}", path.display()))?;
        }
        _ => bail!("neither up nor down"),
    }
    say(&format!("cpu {}", cpu_of("self")? - before))?;
    let (idle, peak) = idle.end()?;
    say(&format!("memory {idle} {peak}"))?;
    client.close().await;
    Ok(())
}

/// Says how far it is, now and then, to its end.
async fn tell<T: Send + 'static>(mut transfer: Transfer<T>) -> Result<T> {
    let mut last = Instant::now();
    while let Some(progress) = transfer.moved().await {
        if last.elapsed() >= STEP {
            last = Instant::now();
            say(&format!("done {}", progress.done))?;
        }
    }
    Ok(transfer.finish().await?)
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Memory that a process takes from now on.
#[derive(Debug)]
pub struct Peak {
    process: String,
    idle: u64,
}

impl Peak {
    /// Begins: of this process (`self`) or of one by its number.
    ///
    /// # Errors
    /// Where the system does not tell.
    pub fn begin(process: &str) -> Result<Self> {
        // Forgets the highest mark so far (proc(5)): deriving the profile's key takes 64 MiB.
        fs::write(format!("/proc/{process}/clear_refs"), "5")?;
        Ok(Self {
            process: process.to_owned(),
            idle: status(process, "VmRSS:")?,
        })
    }

    /// Bytes at the beginning, and at most since then.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn end(&self) -> Result<(u64, u64)> {
        Ok((self.idle, status(&self.process, "VmHWM:")?))
    }
}

/// Seconds that a process has had of the processor so far: this one (`self`) or one by its number.
///
/// # Errors
/// Where the system does not tell.
pub fn cpu_of(process: &str) -> Result<f64> {
    cpu(process, 11)
}

/// As [`cpu_of`], of this process's children that have ended, and of theirs.
///
/// # Errors
/// Where the system does not tell.
pub fn cpu_of_children() -> Result<f64> {
    cpu("self", 13)
}

/// User and system time; `at`: which field of `proc(5)` the former is, counted from the state.
fn cpu(process: &str, at: usize) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before may hold anything.
    let (_, rest) = stat.rsplit_once(") ").context("the system does not tell")?;
    let fields: Vec<_> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = ticks(at)
        .zip(ticks(at + 1))
        .context("the system does not tell")?;
    Ok((ticks.0 + ticks.1) as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn status(process: &str, field: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.context("the system does not tell")?.parse::<u64>()? * 1024)
}

/// A carrier's process. Killed when dropped.
#[derive(Debug)]
pub struct Carrier {
    child: Child,
    words: BufReader<ChildStdout>,
}

impl Carrier {
    /// Hands a file over.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn up(
        program: &Path,
        folder: &Path,
        channel: ChannelId,
        rate: u64,
        file: &Path,
    ) -> Result<Self> {
        Self::start(program, folder, channel, rate, &["up", path(file)?])
    }

    /// Fetches the file of a message into a folder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn down(
        program: &Path,
        folder: &Path,
        channel: ChannelId,
        rate: u64,
        seq: Seq,
        into: &Path,
    ) -> Result<Self> {
        let seq = seq.0.to_string();
        Self::start(program, folder, channel, rate, &["down", &seq, path(into)?])
    }

    fn start(
        program: &Path,
        folder: &Path,
        channel: ChannelId,
        rate: u64,
        rest: &[&str],
    ) -> Result<Self> {
        let mut child = Command::new(program)
            .arg(CARRY)
            .arg(folder)
            .args([channel.to_string(), rate.to_string()])
            .args(rest)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let words = BufReader::new(child.stdout.take().context("its output is not piped")?);
        Ok(Self { child, words })
    }

    /// What it says next; `None` once it has ended well.
    ///
    /// # Errors
    /// When it failed: what it said of that went to standard error.
    pub fn said(&mut self) -> Result<Option<Said>> {
        let mut line = String::new();
        if self.words.read_line(&mut line)? == 0 {
            let status = self.child.wait()?;
            return match status.success() {
                true => Ok(None),
                false => bail!("the carrier ended with {status}"),
            };
        }
        let (what, rest) = line.trim().split_once(' ').context("half a word")?;
        Ok(Some(match what {
            "ready" => Said::Ready,
            "cpu" => Said::Cpu(rest.parse()?),
            "done" => Said::Done(rest.parse()?),
            "sent" => Said::Sent(Seq(rest.parse()?)),
            "fetched" => Said::Fetched(rest.into()),
            "memory" => {
                let (idle, peak) = rest.split_once(' ').context("half a word")?;
                Said::Memory(idle.parse()?, peak.parse()?)
            }
            other => bail!("{other}?"),
        }))
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}
