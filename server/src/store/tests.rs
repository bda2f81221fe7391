//! The engine from outside: the suite, restarts, crashes, flipped bits, crowds, failing disks.

mod calls;
mod crash;
mod crowd;
mod disk;
mod export;
mod flips;
mod kill;
mod model;
mod power;
mod rate;
mod restart;
mod trial;
mod work;

use std::{fs, ops::Deref, path::Path};

use plenary_core::store::{Append, Record, Store};
use plenary_core::store_suite::{channel_id, commit, device_id, group, message};
use plenary_proto::ids::{ChannelHead, Epoch, Seq};

use super::{EmbeddedStore, StoreOptions};

mod suite {
    use super::{Temporary, block_on};

    plenary_core::store_suite!(block_on, Temporary::new());
}

/// A store whose folder lives as long as it does.
struct Temporary {
    store: EmbeddedStore,
    dir: tempfile::TempDir,
}

impl Temporary {
    fn new() -> Self {
        Self::with(StoreOptions::default())
    }

    fn with(options: StoreOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&dir.path().join("store"), options).unwrap();
        Self { store, dir }
    }

    /// What a kill at this moment would leave.
    fn killed(&self) -> tempfile::TempDir {
        copy_in_use(&self.dir.path().join("store"))
    }
}

impl Deref for Temporary {
    type Target = EmbeddedStore;

    fn deref(&self) -> &EmbeddedStore {
        &self.store
    }
}

fn open(folder: &Path) -> Result<EmbeddedStore, plenary_core::store::StoreError> {
    let options = StoreOptions {
        verify_records: true,
        cache_bytes: 8 << 20,
        ..StoreOptions::default()
    };
    EmbeddedStore::open(folder, options)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn copy_dir(from: &Path, to: &Path) {
    try_copy_dir(from, to).unwrap();
}

fn try_copy_dir(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            try_copy_dir(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// What is in a folder, by name.
fn names(folder: &Path, into: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        into.push(entry.path());
        if entry.file_type()?.is_dir() {
            names(&entry.path(), into)?;
        }
    }
    into.sort();
    Ok(())
}

/// A copy of a folder in use. A checkpoint in between would mix two moments, which no kill does: then
/// it is copied again.
fn copy_in_use(from: &Path) -> tempfile::TempDir {
    loop {
        let to = tempfile::tempdir().unwrap();
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let copied = names(from, &mut before)
            .and_then(|()| try_copy_dir(from, to.path()))
            .and_then(|()| names(from, &mut after));
        match copied {
            Ok(()) if before == after => return to,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => {}
        }
    }
}

/// The one file of the journal that has frames.
fn segment(folder: &Path) -> std::path::PathBuf {
    let mut all = super::journal::segments(&folder.join("journal")).unwrap();
    all.pop().unwrap().1
}

/// Everything readable in a store that holds what [`fill`] put there.
#[derive(Debug, PartialEq)]
struct Contents {
    log: (Vec<Record>, ChannelHead),
    state: plenary_core::store::ChannelState,
    values: Vec<(bytes::Bytes, plenary_core::store::Versioned)>,
    queue: u64,
    welcomes: Vec<plenary_core::store::WaitingWelcome>,
}

async fn contents(store: &impl Store) -> Result<Contents, plenary_core::store::StoreError> {
    let channel = channel_id(1);
    let state = store.channel(channel).await?.expect("a founded channel");
    let trimmed = state.trimmed;
    Ok(Contents {
        log: store.read(channel, trimmed, 10_000, usize::MAX).await?,
        state,
        values: store.list(b"", None, 10_000).await?,
        queue: store.queue_len(b"queue").await?,
        welcomes: store.welcomes(device_id(9)).await?,
    })
}

/// Something of every kind, small enough to look at every byte of it.
async fn fill(store: &impl Store) {
    let channel = channel_id(1);
    store.found(channel, Epoch(0), group(1, 20)).await.unwrap();
    for n in 1..=6 {
        let append = message(channel, 1, n, 0, &[n as u8; 30]);
        store.append(append).await.unwrap();
    }
    let welcomes = vec![(device_id(9), vec![7; 40].into())];
    let append = commit(channel, 2, 7, 0, group(2, 20_000), welcomes);
    store.append(append).await.unwrap();
    for n in 0..4u8 {
        let (key, value) = (vec![b'k', n].into(), vec![n; 50].into());
        store.put_if(key, 0, Some(value)).await.unwrap();
        store
            .push(b"queue".as_slice().into(), vec![n; 10].into())
            .await
            .unwrap();
    }
    store.pop_one(b"queue".as_slice().into()).await.unwrap();
    store.trim(channel, Seq(2)).await.unwrap();
}

fn last_message() -> Append {
    message(channel_id(1), 3, 99, 1, b"the last one")
}
