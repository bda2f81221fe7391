//! The journal: the log of record between two checkpoints.
//!
//! Segments of frames, one frame a batch. A frame counts once `fdatasync` has returned. Frames
//! are numbered without gap and each names the checksum of the one before, across segments, so a
//! lost or foreign piece is found.

pub(super) mod frame;
pub(super) mod scan;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use plenary_core::store::StoreError;

use self::frame::{FrameHeader, HEADER, SegmentHeader};
use super::{
    fault::io as io_fault,
    folder::sync_dir,
    sum::{SUM, Totals, sum},
};

/// Where the journal stands: the last frame, its checksum, the totals after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub frame: u64,
    pub tag: [u8; SUM],
    pub totals: Totals,
}

impl Position {
    /// Before the first frame ever.
    pub const START: Self = Self {
        frame: 0,
        tag: [0; SUM],
        totals: Totals {
            records: 0,
            others: 0,
        },
    };
}

/// Why a frame was not written.
#[derive(Debug)]
pub(super) enum AppendError {
    /// Nothing of it is there: the next may be tried.
    Refused(StoreError),
    /// Nobody knows what is on disk: nothing may follow until a restart has read it back.
    Unknown(StoreError),
}

/// The journal's open end.
pub(super) struct Journal {
    dir: PathBuf,
    id: [u8; 16],
    path: PathBuf,
    file: File,
    /// First frame of the open segment.
    first: u64,
    /// Bytes of the open segment.
    len: u64,
    position: Position,
    buffer: Vec<u8>,
    #[cfg(test)]
    pub fail: tests::Faults,
}

impl Journal {
    /// Starts a new segment after `position`, durable before the return.
    pub fn start(dir: &Path, id: [u8; 16], position: Position) -> Result<Self, StoreError> {
        let first = position.frame + 1;
        let path = dir.join(segment_name(first));
        let header = SegmentHeader {
            id,
            first,
            before: position.tag,
        };
        let bytes = header.encode();
        let fault = |error| io_fault("make", &path, &error);
        // Not `create_new`: a start that was cut off may have left an empty one under this name.
        let file = File::options()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&path)
            .map_err(fault)?;
        file.write_all_at(&bytes, 0).map_err(fault)?;
        file.sync_all().map_err(fault)?;
        sync_dir(dir)?;
        Ok(Self {
            dir: dir.to_path_buf(),
            id,
            path,
            file,
            first,
            len: bytes.len() as u64,
            position,
            buffer: Vec::new(),
            #[cfg(test)]
            fail: tests::Faults::default(),
        })
    }

    /// Where the journal stands.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Bytes of the open segment.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether the open segment has no frame yet.
    pub fn is_empty(&self) -> bool {
        self.position.frame < self.first
    }

    /// Writes one frame and waits until it is on disk. `body` fills the frame's body.
    pub fn append(
        &mut self,
        totals: Totals,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), AppendError> {
        self.buffer.clear();
        self.buffer.resize(HEADER, 0);
        body(&mut self.buffer);
        let Ok(body_len) = u32::try_from(self.buffer.len() - HEADER) else {
            return Err(AppendError::Refused(StoreError::Unavailable(
                "one batch of more than 4 GiB; send less at once".into(),
            )));
        };
        let header = FrameHeader {
            body: body_len,
            number: self.position.frame + 1,
            before: self.position.tag,
            totals,
        };
        self.buffer[..HEADER].copy_from_slice(&header.encode());
        let tag = sum(&[&self.buffer]);
        self.buffer.extend_from_slice(&tag);

        if let Err(error) = self.write() {
            let fault = io_fault("write", &self.path, &error);
            // Take back what a full disk let through, or the next frame would follow half a one.
            return Err(match self.file.set_len(self.len) {
                Ok(()) => AppendError::Refused(fault),
                Err(_) => AppendError::Unknown(fault),
            });
        }
        if let Err(error) = self.sync() {
            // After a failed fsync the kernel forgets what it could not write: trying again
            // would succeed and prove nothing.
            return Err(AppendError::Unknown(io_fault("sync", &self.path, &error)));
        }
        self.len += self.buffer.len() as u64;
        self.position = Position {
            frame: header.number,
            tag,
            totals,
        };
        // One large batch must not keep its buffer for ever.
        if self.buffer.capacity() > 16 << 20 {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Closes the segment and starts the next.
    pub fn rotate(&mut self) -> Result<(), AppendError> {
        let next = match self.start_next() {
            Ok(next) => next,
            Err(error) => {
                // Frames go on in this segment, so half a next one must not be found by a start.
                let path = self.dir.join(segment_name(self.position.frame + 1));
                return Err(match fs::remove_file(&path) {
                    Err(left) if left.kind() != io::ErrorKind::NotFound => {
                        AppendError::Unknown(error)
                    }
                    _ => AppendError::Refused(error),
                });
            }
        };
        #[cfg(test)]
        let next = Self {
            fail: std::sync::Arc::clone(&self.fail),
            ..next
        };
        *self = next;
        Ok(())
    }

    fn start_next(&self) -> Result<Self, StoreError> {
        let next = Self::start(&self.dir, self.id, self.position)?;
        #[cfg(test)]
        if let Some(tests::Fail::Rotate) = *self.fail.lock().unwrap() {
            return Err(StoreError::Unavailable("the disk is full".into()));
        }
        Ok(next)
    }

    fn write(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(tests::Fail::Write(part)) = *self.fail.lock().unwrap() {
            let part = part.min(self.buffer.len());
            self.file.write_all_at(&self.buffer[..part], self.len)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write_all_at(&self.buffer, self.len)
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        if let Some(tests::Fail::Sync) = *self.fail.lock().unwrap() {
            return Err(io::Error::other("the disk is gone"));
        }
        self.file.sync_data()
    }
}

/// Removes the segments whose frames all lie at or before `frame`.
///
/// Only after a checkpoint at `frame`, which is also where a segment begins.
pub(super) fn drop_through(dir: &Path, frame: u64) -> Result<(), StoreError> {
    for (first, path) in segments(dir)? {
        if first <= frame {
            fs::remove_file(&path).map_err(|error| io_fault("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// The segments in a folder by their first frame, in order.
pub(super) fn segments(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let fault = |error| io_fault("list", dir, &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let first = name
            .and_then(|name| name.strip_suffix(".journal"))
            .filter(|digits| digits.len() == 16)
            .and_then(|digits| u64::from_str_radix(digits, 16).ok());
        if let Some(first) = first {
            found.push((first, path));
        }
    }
    found.sort();
    Ok(found)
}

fn segment_name(first: u64) -> String {
    format!("{first:016x}.journal")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// What a test makes the disk do.
    #[derive(Debug, Clone, Copy)]
    pub enum Fail {
        /// Take so many bytes of the frame, then be full.
        Write(usize),
        /// Fail to start a segment, after having made the file.
        Rotate,
        /// Fail the fsync.
        Sync,
    }

    /// Shared with whoever tests.
    pub type Faults = std::sync::Arc<std::sync::Mutex<Option<Fail>>>;

    /// A journal with a frame of one row of each of the given sizes; its bytes, and where each
    /// frame ends with the position there. The first is the header's end.
    pub fn frames(dir: &Path, sizes: &[usize]) -> (Vec<u8>, Vec<(usize, Position)>) {
        let mut journal = Journal::start(dir, [1; 16], Position::START).unwrap();
        let mut positions = vec![(journal.len() as usize, Position::START)];
        for (n, size) in (1u8..).zip(sizes) {
            let totals = Totals {
                records: n.into(),
                others: 7,
            };
            let value = vec![n; *size];
            let row = |out: &mut Vec<u8>| frame::write_change(out, (b"key", Some(&value)));
            journal.append(totals, row).unwrap();
            positions.push((journal.len() as usize, journal.position()));
        }
        (fs::read(&journal.path).unwrap(), positions)
    }

    #[test]
    fn a_full_disk_leaves_no_trace_and_a_failed_sync_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::start(dir.path(), [1; 16], Position::START).unwrap();
        let append = |journal: &mut Journal, text: &[u8]| {
            journal.append(Totals::default(), |out| out.extend_from_slice(text))
        };
        append(&mut journal, b"one").unwrap();
        let (before, len) = (journal.position(), journal.len());
        for part in [0, 1, HEADER, HEADER + 2] {
            *journal.fail.lock().unwrap() = Some(Fail::Write(part));
            let refused = append(&mut journal, b"two").unwrap_err();
            assert!(matches!(refused, AppendError::Refused(_)));
            assert_eq!((journal.position(), journal.len()), (before, len));
            assert_eq!(fs::metadata(&journal.path).unwrap().len(), len);
        }
        *journal.fail.lock().unwrap() = Some(Fail::Sync);
        let unknown = append(&mut journal, b"two").unwrap_err();
        assert!(matches!(unknown, AppendError::Unknown(_)));
    }
}
