//! What is asked and answered over the admin socket: one JSON object a line.
//!
//! A stream is announced by an empty answer, comes in frames (length:4, bytes; a length of 0 ends
//! it), and is followed by an answer that says whether it was whole.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

/// The longest line that is read.
pub const LINE: u64 = 64 << 20;
/// Bytes of a stream's frame, at most.
const FRAME: usize = 256 << 10;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// How the server is.
    Status,
    /// Read configuration and certificate again.
    Reload,
    /// What is served, and until when.
    Certificates,
    /// Limits on items, and what is used.
    Quotas,
    /// Who is connected.
    Sessions,
    /// End connections: one by its number, or all of a device.
    Drop {
        /// A connection.
        connection: Option<u64>,
        /// A device, by the beginning of its id.
        device: Option<String>,
    },
    /// Drop records past their retention and remove items that are due, now.
    Trim,
    /// Read everything back, now and at full speed.
    Scrub,
    /// Have an item kept, whatever its sender or its lease say; or no longer.
    Hold {
        /// The item's id.
        item: String,
        /// Hold, or release.
        held: bool,
    },
    /// End the server; clients come back after so many seconds.
    Stop {
        /// Seconds.
        back_in: Option<u64>,
    },
    /// A stream: the store's export, unsealed.
    Store,
    /// The small files of the data folder, base64; with the hash lists of items if asked.
    Folder {
        /// With the lists.
        lists: bool,
    },
    /// All items that may be fetched.
    Items,
    /// A stream: an item's sealed bytes.
    Item {
        /// The item's id.
        item: String,
        /// Sealed bytes.
        size: u64,
    },
    /// A backup became whole.
    Done,
}

/// An answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// What was asked for.
    Ok(serde_json::Value),
    /// Why not.
    Error(String),
}

/// How the server is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Of the program.
    pub version: String,
    /// Process id.
    pub process: u32,
    /// Seconds since it started.
    pub uptime_seconds: u64,
    /// What it listens on.
    pub listen: String,
    /// What members connect to.
    pub address: String,
    /// The network's id; absent before it is founded.
    pub network: Option<String>,
    /// Statements of the Board.
    pub statements: u64,
    /// Channels.
    pub channels: u64,
    /// Open connections, guests included.
    pub connections: u64,
    /// Devices that are here.
    pub devices: u64,
    /// The store takes writes; otherwise why not.
    pub store: Option<String>,
    /// Bytes of the store for reading; journal and large content not counted.
    pub store_bytes: u64,
    /// Bytes of items.
    pub item_bytes: u64,
    /// Bytes free on the data folder's disk.
    pub free_bytes: u64,
    /// Days until the certificate ends.
    pub certificate_days: i64,
    /// The last whole backup: milliseconds since 1970.
    pub backup: Option<u64>,
    /// The last time everything was read back.
    pub scrub: Option<u64>,
    /// Damage found then.
    pub scrub_damaged: u64,
}

/// What a reload did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// Keys whose new values are in force.
    pub changed: Vec<String>,
    /// Keys whose new values wait for a restart.
    pub restart: Vec<String>,
}

/// One certificate of the chain served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Whom it names.
    pub subject: String,
    /// Its names and addresses.
    pub names: Vec<String>,
    /// Its first second: seconds since 1970.
    pub from: i64,
    /// Its last.
    pub until: i64,
    /// Days left; negative when it is over.
    pub days: i64,
}

/// The chain served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificates {
    /// Made and renewed by the server itself, or brought along.
    pub own: bool,
    /// What members pin: SHA-256 of the CA's.
    pub pin: String,
    /// Leaf first, CA last.
    pub chain: Vec<Certificate>,
}

/// Limits on items and what is used of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// Of the largest item.
    pub largest_bytes: u64,
    /// Of a member; 0: none.
    pub member_bytes: u64,
    /// Of all; 0: none but the disk.
    pub total_bytes: u64,
    /// Items that may be fetched.
    pub kept: u64,
    /// Items that are coming.
    pub coming: u64,
    /// Items that nothing may remove.
    pub held: u64,
    /// Sealed bytes of all.
    pub bytes: u64,
    /// By member (pseudonym), the largest first.
    pub members: Vec<(String, u64)>,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionInfo {
    /// Its number, for `drop`.
    pub connection: u64,
    /// Where it comes from.
    pub from: String,
    /// Seconds that it stands.
    pub seconds: u64,
    /// Its device; absent for a guest.
    pub device: Option<String>,
    /// Its member (pseudonym).
    pub member: Option<String>,
    /// `chat`, `bulk` or `guest`.
    pub purpose: String,
    /// Channels watched.
    pub watches: u64,
    /// Bytes that wait to be read by it.
    pub waiting_bytes: u64,
}

/// All connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sessions {
    /// In the order of their numbers.
    pub sessions: Vec<SessionInfo>,
}

/// What a trim did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trimmed {
    /// Channels that lost old records.
    pub channels: u64,
    /// Items removed.
    pub items: u64,
    /// Items that are owed and not there.
    pub missing: Vec<String>,
}

/// What a scrub found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Records read and verified.
    pub records: u64,
    /// Items read and verified.
    pub items: u64,
    /// What is damaged, in words.
    pub damaged: Vec<String>,
}

/// Writes one line.
///
/// # Errors
/// The other end's.
pub fn write_line<T: Serialize>(out: &mut dyn Write, value: &T) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    out.write_all(&line)?;
    out.flush()
}

/// Writes a stream's frames. [`finish`](Self::finish) ends it.
pub struct Frames<'a>(&'a mut dyn Write, Vec<u8>);

impl<'a> Frames<'a> {
    /// Into this.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self(out, Vec::with_capacity(FRAME))
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The other end's.
    pub fn finish(mut self) -> io::Result<()> {
        self.send()?;
        self.0.write_all(&[0; 4])
    }

    fn send(&mut self) -> io::Result<()> {
        if !self.1.is_empty() {
            let length = u32::try_from(self.1.len()).map_err(io::Error::other)?;
            self.0.write_all(&length.to_be_bytes())?;
            self.0.write_all(&self.1)?;
            self.1.clear();
        }
        Ok(())
    }
}

impl Write for Frames<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.len() == FRAME {
            self.send()?;
        }
        let taken = bytes.len().min(FRAME - self.1.len());
        self.1.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Copies a stream's frames to `out`.
///
/// # Errors
/// Either end's.
pub fn copy_frames(from: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        if length == 0 {
            return Ok(());
        }
        if length > FRAME {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a frame"));
        }
        bytes.resize(length, 0);
        from.read_exact(&mut bytes)?;
        out.write_all(&bytes)?;
    }
}
