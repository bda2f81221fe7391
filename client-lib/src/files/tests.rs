//! Items against a hostile world: every chunk, manifest and disk that is not as it was.

mod folders;
mod hostile;
mod previews;
mod receiving;
mod samples;
mod sealing;
mod sending;
mod streams;
mod vectors;

use std::{fs, path::PathBuf};

use plenary_proto::limits::SMALL_CHUNK;
use tempfile::TempDir;

use super::*;

/// Bytes that tell every place from every other.
fn bytes(len: usize) -> Vec<u8> {
    let mut out = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn plan(name: &str, data: &[u8]) -> Plan {
    Plan::new(name, "text/plain", data.len() as u64).unwrap()
}

fn seal(plan: Plan, data: &[u8]) -> (Manifest, Vec<SealedChunk>) {
    let mut sealer = Sealer::new(plan).unwrap();
    let mut rest = data;
    let mut chunks = Vec::new();
    while let Some(len) = sealer.wants() {
        let (now, later) = rest.split_at(len);
        chunks.push(sealer.seal(now).unwrap());
        rest = later;
    }
    (sealer.finish().unwrap(), chunks)
}

fn open(manifest: &Manifest, chunks: &[SealedChunk]) -> Result<Vec<u8>, ItemError> {
    let mut opener = Opener::new(manifest)?;
    let mut data = Vec::new();
    for chunk in chunks {
        let mut sealed = chunk.bytes.clone();
        data.extend_from_slice(opener.open(chunk.index, &mut sealed)?.data);
    }
    opener.finish().map(|()| data)
}

/// Three chunks of data and a bit.
fn sample() -> (Vec<u8>, Manifest, Vec<SealedChunk>) {
    let data = bytes(3 * SMALL_CHUNK + 1000);
    let (manifest, chunks) = seal(plan("sample.bin", &data), &data);
    assert_eq!(chunks.len(), 4);
    (data, manifest, chunks)
}

/// A folder that goes when it is no longer needed.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}
