//! One upload under way: its two files, and which chunks are durable.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use plenary_certs::item_root::{ItemRoot, chunk_hash};
use plenary_core::items::{ItemsError, Reservation, bitmap_len};
use plenary_proto::ids::Digest;

use super::{DONE, PART, lock, refused, unavailable};

/// Index (big-endian) and hash.
const LINE: usize = 4 + Digest::LEN;

/// An item that is not committed.
#[derive(Debug)]
pub struct Upload {
    reservation: Reservation,
    part: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    done: File,
    hashes: Vec<Option<Digest>>,
    committed: bool,
}

/// Makes the files and takes the room for them.
pub fn make(folder: &Path, size: u64) -> io::Result<()> {
    let part = File::create(folder.join(PART))?;
    match rustix::fs::fallocate(&part, rustix::fs::FallocateFlags::empty(), 0, size) {
        Ok(()) => {}
        // Not every file system can; the room is then taken as it is used.
        Err(rustix::io::Errno::OPNOTSUPP) => part.set_len(size)?,
        Err(error) => return Err(error.into()),
    }
    part.sync_all()?;
    File::create(folder.join(DONE))?.sync_all()
}

/// The lines of `done`. What a crash cut off, at the end, is none.
pub fn read_done(
    path: &Path,
    reservation: &Reservation,
) -> Result<Vec<Option<Digest>>, ItemsError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .map_err(unavailable)?;
    let mut hashes = vec![None; reservation.chunks() as usize];
    for line in bytes.chunks_exact(LINE) {
        let (Some((index, _)), Ok(hash)) = (line.split_first_chunk(), Digest::try_from(&line[4..]))
        else {
            continue;
        };
        if let Some(place) = hashes.get_mut(u32::from_be_bytes(*index) as usize) {
            *place = Some(hash);
        }
    }
    Ok(hashes)
}

/// Refuses a chunk that is not as long as reserved.
pub fn check_len(reservation: &Reservation, index: u32, bytes: &[u8]) -> Result<(), ItemsError> {
    if reservation.chunk_len(index) != Some(bytes.len() as u64) {
        return Err(ItemsError::Shape("a chunk of another size than reserved"));
    }
    Ok(())
}

/// The root of all chunks, if they are there.
pub fn root_of(reservation: &Reservation, hashes: &[Option<Digest>]) -> Result<Digest, ItemsError> {
    let mut root = ItemRoot::new(reservation.size, reservation.chunk);
    for hash in hashes {
        root.push(hash.as_ref().ok_or(ItemsError::Incomplete)?);
    }
    Ok(root.finish())
}

/// Refuses a root that is not that of all chunks.
pub fn check_root(
    reservation: &Reservation,
    hashes: &[Option<Digest>],
    root: Digest,
) -> Result<(), ItemsError> {
    if root_of(reservation, hashes)? != root {
        return Err(ItemsError::WrongRoot);
    }
    Ok(())
}

impl Upload {
    /// Opens what [`make`] made, and goes on from what is durable.
    pub fn open(folder: &Path, reservation: Reservation) -> Result<Self, ItemsError> {
        let done_path = folder.join(DONE);
        let hashes = read_done(&done_path, &reservation)?;
        let append = |path: &Path| OpenOptions::new().append(true).open(path);
        let done = append(&done_path).map_err(unavailable)?;
        // Lines stay aligned after one that was cut off.
        let len = done.metadata().map_err(unavailable)?.len();
        done.set_len(len - len % LINE as u64).map_err(unavailable)?;
        let part = OpenOptions::new().write(true).open(folder.join(PART));
        Ok(Self {
            reservation,
            part: part.map_err(unavailable)?,
            state: Mutex::new(State {
                done,
                hashes,
                committed: false,
            }),
        })
    }

    /// Stores a chunk; durable before the return.
    pub fn put(&self, index: u32, bytes: &[u8]) -> Result<(), ItemsError> {
        check_len(&self.reservation, index, bytes)?;
        let hash = chunk_hash(bytes);
        let mut state = lock(&self.state);
        let place = index as usize;
        match state.hashes.get(place) {
            _ if state.committed => return Ok(()),
            Some(Some(known)) if *known == hash => return Ok(()),
            // A crash between the two files would leave the bytes of one and the hash of the other.
            Some(Some(_)) => {
                return Err(ItemsError::Shape(
                    "the chunk is there with other bytes: seal as another item",
                ));
            }
            _ => {}
        }
        // Held until both files are on disk: bytes and hash of one chunk must not be of two puts.
        let offset = u64::from(index) * u64::from(self.reservation.chunk);
        let mut line = [0; LINE];
        line[..4].copy_from_slice(&index.to_be_bytes());
        line[4..].copy_from_slice(hash.as_bytes());
        let written = self
            .part
            .write_all_at(bytes, offset)
            .and_then(|()| self.part.sync_data())
            .and_then(|()| state.done.write_all(&line))
            .and_then(|()| state.done.sync_data());
        written.map_err(refused)?;
        if let Some(known) = state.hashes.get_mut(place) {
            *known = Some(hash);
        }
        Ok(())
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

    /// Checks the root and lets `publish` give the item its final name.
    pub fn commit(
        &self,
        root: Digest,
        publish: impl FnOnce() -> io::Result<()>,
    ) -> Result<(), ItemsError> {
        let mut state = lock(&self.state);
        check_root(&self.reservation, &state.hashes, root)?;
        if !state.committed {
            publish().map_err(unavailable)?;
            state.committed = true;
        }
        Ok(())
    }
}
