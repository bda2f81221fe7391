//! One upload under way: its part file, and which chunks are durable.
//!
//! ```text
//! part   sealed bytes, each chunk at its place | gap to 4 KiB | one mark a chunk
//! mark   group (4, big-endian; 0: not there), zeros (4), hash of the chunk (32)
//! ```
//!
//! Bytes and marks lie in one file, so that one fdatasync makes both durable. Chunks that wait at the
//! same time are one group: their marks bear its number, one sync serves them all, and no mark of the
//! next group is written before. So after a crash only the marks of the highest group may lie without
//! their bytes: those chunks are read and hashed at the next opening, all others are as good as their
//! marks. A resume costs a group, never the item.
//!
//! A mark is aligned to four bytes and disks write sectors whole, so a number is there or not; a hash
//! torn in two fits no bytes.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use plenary_certs::item_root::chunk_hash;
use plenary_core::items::{ItemsError, Reservation, bitmap_len};
use plenary_proto::ids::Digest;

use super::list::List;
use super::{PART, lock, refused, unavailable};

/// Bytes of a mark.
const MARK: usize = 8 + Digest::LEN;
/// Marks begin at a multiple of this.
const ALIGN: u64 = 4096;

/// An item that is not committed.
#[derive(Debug)]
pub struct Upload {
    reservation: Reservation,
    part: File,
    state: Mutex<State>,
    /// Told whenever a group ended or a chunk was given up.
    turn: Condvar,
    /// The next sync fails.
    #[cfg(test)]
    pub broken: std::sync::atomic::AtomicBool,
}

#[derive(Debug)]
struct State {
    hashes: Vec<Option<Digest>>,
    /// Chunks between their write and the end of their group.
    writing: HashSet<u32>,
    /// Of them, those whose bytes are written: the next group.
    waiting: Vec<(u32, Digest)>,
    /// The number that those in `waiting` will have.
    group: u32,
    syncing: bool,
    /// The sync of this group failed: what of it is on disk is not known any more.
    failed: Option<(u32, ItemsError)>,
}

/// Bytes that an upload takes on disk.
pub fn file_size(reservation: &Reservation) -> u64 {
    marks_at(reservation).saturating_add(reservation.chunks().saturating_mul(MARK as u64))
}

fn marks_at(reservation: &Reservation) -> u64 {
    reservation.size.div_ceil(ALIGN).saturating_mul(ALIGN)
}

/// Makes the file and takes the room for it.
pub fn make(folder: &Path, reservation: &Reservation) -> io::Result<()> {
    let size = file_size(reservation);
    let part = File::create(folder.join(PART))?;
    match rustix::fs::fallocate(&part, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => {}
        // Not every file system can; the room is then taken as it is used.
        Err(rustix::io::Errno::OPNOTSUPP) => part.set_len(size)?,
        Err(error) => return Err(error.into()),
    }
    part.sync_all()
}

/// Refuses a chunk that is not as long as reserved.
pub fn check_len(reservation: &Reservation, index: u32, bytes: &[u8]) -> Result<(), ItemsError> {
    if reservation.chunk_len(index) != Some(bytes.len() as u64) {
        return Err(ItemsError::Shape("a chunk of another size than reserved"));
    }
    Ok(())
}

impl Upload {
    /// Opens what [`make`] made, and goes on from what is durable.
    pub fn open(folder: &Path, reservation: Reservation) -> Result<Self, ItemsError> {
        let part = OpenOptions::new()
            .read(true)
            .write(true)
            .open(folder.join(PART))
            .map_err(unavailable)?;
        let (hashes, group) = read_marks(&part, &reservation).map_err(unavailable)?;
        Ok(Self {
            reservation,
            part,
            state: Mutex::new(State {
                hashes,
                writing: HashSet::new(),
                waiting: Vec::new(),
                group,
                syncing: false,
                failed: None,
            }),
            turn: Condvar::new(),
            #[cfg(test)]
            broken: Default::default(),
        })
    }

    /// As reserved.
    pub fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// Stores a chunk; durable before the return. Callers on several threads share syncs.
    pub fn put(&self, index: u32, bytes: &[u8]) -> Result<(), ItemsError> {
        check_len(&self.reservation, index, bytes)?;
        let hash = chunk_hash(bytes);
        if !self.begin(index, hash)? {
            return Ok(());
        }
        let offset = u64::from(index) * u64::from(self.reservation.chunk);
        let written = self.part.write_all_at(bytes, offset);
        let mut state = lock(&self.state);
        if let Err(error) = written {
            state.writing.remove(&index);
            self.turn.notify_all();
            return Err(refused(error));
        }
        state.waiting.push((index, hash));
        let group = state.group;
        loop {
            if let Some((_, error)) = &state.failed {
                return Err(error.clone());
            }
            if !state.writing.contains(&index) {
                return Ok(());
            }
            state = if state.group == group && !state.syncing {
                self.lead(state)
            } else {
                self.wait(state)
            };
        }
    }

    /// Whether this chunk is to be written now, by the caller alone.
    fn begin(&self, index: u32, hash: Digest) -> Result<bool, ItemsError> {
        let mut state = lock(&self.state);
        loop {
            if let Some((_, error)) = &state.failed {
                return Err(error.clone());
            }
            match state.hashes.get(index as usize) {
                Some(Some(known)) if *known == hash => return Ok(false),
                // A crash between two writes would leave the bytes of one and the hash of the other.
                Some(Some(_)) => {
                    return Err(ItemsError::Shape(
                        "the chunk is there with other bytes: seal as another item",
                    ));
                }
                _ => {}
            }
            if state.writing.insert(index) {
                return Ok(true);
            }
            state = self.wait(state);
        }
    }

    /// Syncs all that wait, for everybody.
    fn lead<'a>(&'a self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let chunks = std::mem::take(&mut state.waiting);
        let group = state.group;
        state.group += 1;
        state.syncing = true;
        drop(state);
        let synced = self.sync(group, &chunks);
        let mut state = lock(&self.state);
        state.syncing = false;
        match synced {
            Ok(()) => {
                for (index, hash) in chunks {
                    state.writing.remove(&index);
                    if let Some(known) = state.hashes.get_mut(index as usize) {
                        *known = Some(hash);
                    }
                }
            }
            Err(error) => state.failed = Some((group, refused(error))),
        }
        self.turn.notify_all();
        state
    }

    /// The group whose sync failed. Nothing more is taken then: see [`forget_from`].
    pub fn failed_group(&self) -> Option<u32> {
        lock(&self.state).failed.as_ref().map(|(group, _)| *group)
    }

    fn sync(&self, group: u32, chunks: &[(u32, Digest)]) -> io::Result<()> {
        for (index, hash) in chunks {
            let mut mark = [0; MARK];
            mark[..4].copy_from_slice(&group.to_be_bytes());
            mark[8..].copy_from_slice(hash.as_bytes());
            self.part
                .write_all_at(&mark, mark_at(&self.reservation, *index))?;
        }
        #[cfg(test)]
        if self.broken.swap(false, std::sync::atomic::Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.part.sync_data()
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.turn
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Which chunks are durable.
    pub fn durable(&self) -> Bytes {
        let state = lock(&self.state);
        let mut bitmap = vec![0; bitmap_len(state.hashes.len() as u64)];
        for (index, _) in state
            .hashes
            .iter()
            .enumerate()
            .filter(|(_, hash)| hash.is_some())
        {
            bitmap[index / 8] |= 1 << (index % 8);
        }
        bitmap.into()
    }

    /// The list of all chunks, if they are there and are the root's.
    pub fn whole(&self, root: Digest) -> Result<List, ItemsError> {
        let hashes = lock(&self.state).hashes.iter().copied().collect();
        let list = List {
            about: self.reservation,
            hashes: Option::ok_or(hashes, ItemsError::Incomplete)?,
        };
        match list.root() == root {
            true => Ok(list),
            false => Err(ItemsError::WrongRoot),
        }
    }
}

fn mark_at(reservation: &Reservation, index: u32) -> u64 {
    marks_at(reservation) + u64::from(index) * MARK as u64
}

/// What is durable, and the number of the next group. Marks that lie without their bytes are erased.
fn read_marks(part: &File, reservation: &Reservation) -> io::Result<(Vec<Option<Digest>>, u32)> {
    let mut marks = vec![0; reservation.chunks() as usize * MARK];
    part.read_exact_at(&mut marks, marks_at(reservation))?;
    let marks: Vec<_> = marks
        .chunks_exact(MARK)
        .map(|mark| {
            let group = mark
                .first_chunk()
                .map_or(0, |group| u32::from_be_bytes(*group));
            (
                group,
                Digest::try_from(&mark[8..]).unwrap_or(Digest([0; 32])),
            )
        })
        .collect();
    let highest = marks.iter().map(|(group, _)| *group).max().unwrap_or(0);
    let mut hashes = Vec::with_capacity(marks.len());
    let mut bytes = Vec::new();
    let mut erased = false;
    for (index, (group, hash)) in (0..).zip(&marks) {
        let mut there = *group > 0;
        if there && *group == highest {
            bytes.resize(reservation.chunk_len(index).unwrap_or(0) as usize, 0);
            let offset = u64::from(index) * u64::from(reservation.chunk);
            part.read_exact_at(&mut bytes, offset)?;
            there = chunk_hash(&bytes) == *hash;
            if !there {
                part.write_all_at(&[0; MARK], mark_at(reservation, index))?;
                erased = true;
            }
        }
        hashes.push(there.then_some(*hash));
    }
    if erased {
        part.sync_data()?;
    }
    Ok((hashes, highest + 1))
}

/// Erases the marks of this group and later ones, after a sync that failed: the system may show bytes
/// as written that never reached the disk, and a hash over them would prove nothing.
pub fn forget_from(folder: &Path, reservation: &Reservation, group: u32) -> io::Result<()> {
    let part = OpenOptions::new()
        .read(true)
        .write(true)
        .open(folder.join(PART))?;
    let mut marks = vec![0; reservation.chunks() as usize * MARK];
    part.read_exact_at(&mut marks, marks_at(reservation))?;
    for (index, mark) in (0..).zip(marks.chunks_exact(MARK)) {
        let of = mark.first_chunk().map_or(0, |of| u32::from_be_bytes(*of));
        if of >= group {
            part.write_all_at(&[0; MARK], mark_at(reservation, index))?;
        }
    }
    part.sync_data()
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A mark as a crash may leave it: of this group, for bytes that are not there.
    pub fn mark(folder: &Path, reservation: &Reservation, index: u32, group: u32, hash: Digest) {
        let part = OpenOptions::new()
            .write(true)
            .open(folder.join(PART))
            .unwrap();
        let mut mark = [0; MARK];
        mark[..4].copy_from_slice(&group.to_be_bytes());
        mark[8..].copy_from_slice(hash.as_bytes());
        part.write_all_at(&mark, mark_at(reservation, index))
            .unwrap();
    }
}
