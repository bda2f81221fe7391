//! The asking side of the admin socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::de::DeserializeOwned;

use super::protocol::{Answer, Ask, LINE, copy_frames, write_line};
use crate::config::Config;

/// Silence after which a server is given up. A scrub of everything may take hours and is not silent:
/// see [`Line::ask_long`].
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a server with this configuration has its socket.
pub fn socket_path(config: &Config) -> PathBuf {
    config
        .admin
        .socket
        .clone()
        .unwrap_or_else(|| config.data.join("admin.sock"))
}

/// A connection to a running server, for one question.
pub struct Line(BufReader<UnixStream>);

impl Line {
    /// Connects.
    ///
    /// # Errors
    /// No server, or one that does not serve this user.
    pub fn connect(socket: &Path) -> anyhow::Result<Self> {
        let stream = UnixStream::connect(socket).with_context(|| {
            format!(
                "no server answers at {}: is it running, are --config and --data its own, and are you its user or root?",
                socket.display()
            )
        })?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Asks, and reads the answer.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    pub fn ask<T: DeserializeOwned>(mut self, ask: &Ask) -> anyhow::Result<T> {
        self.put(ask);
        self.answer()
    }

    /// As [`ask`](Self::ask), for what takes as long as it takes.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub fn ask_long<T: DeserializeOwned>(self, ask: &Ask) -> anyhow::Result<T> {
        self.0.get_ref().set_read_timeout(None)?;
        self.ask(ask)
    }

    /// Asks for a stream and copies it. False if there is no such thing any more.
    ///
    /// # Errors
    /// As [`ask`](Self::ask), or `out` refuses.
    pub fn stream(mut self, ask: &Ask, out: &mut dyn Write) -> anyhow::Result<bool> {
        self.put(ask);
        self.answer::<()>()?;
        copy_frames(&mut self.0, out).context("the server broke off")?;
        self.answer()
    }

    fn put(&mut self, ask: &Ask) {
        // A server that refuses says so and closes, perhaps before it was asked: what it said is
        // still to be read, and is the better word.
        let _ = write_line(self.0.get_mut(), ask);
    }

    fn answer<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        let read = self.0.by_ref().take(LINE).read_line(&mut line);
        let read = read.context("the server does not answer")?;
        if read == 0 {
            bail!("the server closed the connection: only its own user and root are served");
        }
        match serde_json::from_str(&line).context("the server is of another version")? {
            Answer::Ok(value) => {
                serde_json::from_value(value).context("the server is of another version")
            }
            Answer::Error(error) => Err(anyhow!(error)),
        }
    }
}
