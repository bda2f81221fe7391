//! Where the Board puts what it signed: request files and signature files, under any names, as
//! `board submit` takes them. Nothing is changed there; what is no such file is passed over.

use std::{
    fs::{self, File},
    io::Read,
    path::Path,
};

use plenary_certs::board::{self, Request, SignatureFile};

use crate::error::Error;

/// Bytes of a request or signature file: a request of 256 statements has less.
const MOST: u64 = 8 << 20;
/// Files looked at: beyond, the folder holds something else.
const FILES: usize = 4_096;

/// A request with the signatures that are there for it.
#[derive(Debug)]
pub(super) struct Handed {
    /// The request's file.
    pub(super) name: String,
    /// As the ledger would take them.
    pub(super) signed: Vec<Vec<u8>>,
}

/// Everything in the folder that belongs together, by file name.
pub(super) fn read(folder: &Path) -> Result<Vec<Handed>, Error> {
    fs::create_dir_all(folder)?;
    let mut names: Vec<_> = fs::read_dir(folder)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .take(FILES)
        .collect();
    names.sort();
    let (mut requests, mut signatures) = (Vec::new(), Vec::new());
    for path in names {
        let Some(text) = text(&path) else { continue };
        let name = path.file_name().unwrap_or_default();
        if let Ok(request) = Request::parse(&text) {
            requests.push((name.to_string_lossy().into_owned(), request));
        } else if let Ok(file) = SignatureFile::parse(&text) {
            signatures.push(file);
        }
    }
    let handed = requests.into_iter().filter_map(|(name, request)| {
        // A signature file belongs to one request; one that does not hold counts for none.
        let fit: Vec<_> = signatures
            .iter()
            .filter(|file| board::combine(&request, std::slice::from_ref(*file)).is_ok())
            .cloned()
            .collect();
        let signed = board::combine(&request, &fit).ok()?;
        Some(Handed { name, signed })
    });
    Ok(handed.collect())
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    file.take(MOST).read_to_string(&mut text).ok()?;
    Some(text)
}
