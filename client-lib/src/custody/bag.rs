//! The BagIt layout (RFC 8493): which files there are, and that none was changed.
//!
//! Read strictly: exactly the files that the manifests name, in the order of their paths, digests in
//! lower case. So there is one spelling of every bag, and one byte more or less is a fault.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::Path,
};

use plenary_proto::ids::{Digest, UnixMillis};

use super::{Fault, utc};
use crate::files::sha256_of;

/// The payload's folder.
pub(crate) const DATA: &str = "data";

const BAGIT: &str = "bagit.txt";
const INFO: &str = "bag-info.txt";
const MANIFEST: &str = "manifest-sha256.txt";
const TAGS: &str = "tagmanifest-sha256.txt";
const DECLARATION: &str = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n";

/// Files of one bundle: far more statements than any item has.
pub(super) const MAX_FILES: usize = 20_000;

/// Bytes of a tag file.
const MAX_TAGS: u64 = 16 << 20;

/// Paths within the bag, with `/`, and sizes.
pub(super) type Files = BTreeMap<String, u64>;

/// Writes the tag files of a folder whose payload is complete; all of it on disk when this returns.
pub(crate) fn close(folder: &Path, item: &str, time: UnixMillis) -> Result<(), Fault> {
    let mut files = Files::new();
    walk(folder, DATA, &mut files)?;
    let octets: u64 = files.values().sum();
    let info = format!(
        "Bag-Software-Agent: plenary {}\nBagging-Date: {}\nExternal-Identifier: {item}\n\
         Payload-Oxum: {octets}.{}\n",
        env!("CARGO_PKG_VERSION"),
        utc::date(time),
        files.len(),
    );
    write(folder, BAGIT, DECLARATION.as_bytes())?;
    write(folder, INFO, info.as_bytes())?;
    write(folder, MANIFEST, lines(folder, files.keys())?.as_bytes())?;
    let tags = lines(folder, tag_files().iter())?;
    write(folder, TAGS, tags.as_bytes())?;
    sync(folder)
}

/// Writes one file of the bag, on disk when this returns.
pub(crate) fn write(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), Fault> {
    let written = File::create_new(folder.join(path)).and_then(|mut file| {
        file.write_all(bytes)?;
        durable(&file)
    });
    written.map_err(Fault::at(path))
}

/// Checks that a folder is a whole bag; returns the payload's files.
pub(super) fn check(folder: &Path) -> Result<Files, Fault> {
    let mut files = Files::new();
    walk(folder, "", &mut files)?;
    for tag in [BAGIT, INFO, MANIFEST, TAGS] {
        match files.get(tag) {
            None => return Err(Fault::new(tag, "is missing: not a whole bundle")),
            Some(size) if *size > MAX_TAGS => return Err(Fault::new(tag, "is too large")),
            Some(_) => {}
        }
    }
    if read(folder, BAGIT)? != DECLARATION {
        return Err(Fault::new(BAGIT, "is not the declaration of BagIt 1.0"));
    }
    let named = tag_files();
    compare(folder, TAGS, named.iter())?;
    files.retain(|path, _| path != TAGS && !named.contains(path));
    if let Some(stranger) = files.keys().find(|path| !path.starts_with("data/")) {
        return Err(Fault::new(stranger, "does not belong to the bundle"));
    }
    compare(folder, MANIFEST, files.keys())?;
    let octets: u64 = files.values().sum();
    let oxum = format!("\nPayload-Oxum: {octets}.{}\n", files.len());
    if !read(folder, INFO)?.contains(&oxum) {
        return Err(Fault::new(
            INFO,
            "counts other bytes or files than there are",
        ));
    }
    Ok(files)
}

fn tag_files() -> [String; 3] {
    [INFO, BAGIT, MANIFEST].map(str::to_owned)
}

/// Compares a manifest with the files that it must name, and names the first that differs.
fn compare<'a>(
    folder: &Path,
    manifest: &str,
    files: impl Iterator<Item = &'a String>,
) -> Result<(), Fault> {
    let text = read(folder, manifest)?;
    let mut named = BTreeMap::new();
    for line in text.split_inclusive('\n') {
        let parsed = line
            .strip_suffix('\n')
            .and_then(|line| line.split_once("  "))
            .filter(|(digest, _)| {
                let parsed = digest.parse::<Digest>();
                parsed.is_ok_and(|parsed| parsed.to_string() == *digest)
            });
        let Some((digest, path)) = parsed else {
            let what = format!("has a line that is no digest and path: {line:?}");
            return Err(Fault::new(manifest, what));
        };
        if named.insert(path.to_owned(), digest.to_owned()).is_some() {
            let what = format!("names {path:?} twice");
            return Err(Fault::new(manifest, what));
        }
    }
    let mut expected = String::new();
    for path in files {
        let escaped = escape(path);
        let found = sha256_of(&folder.join(path)).map_err(Fault::at(path))?;
        match named.remove(&escaped) {
            None => return Err(Fault::new(path, format!("is not named by {manifest}"))),
            Some(digest) if digest != found.to_string() => {
                let what =
                    format!("its SHA-256 is not the one in {manifest}: one of them was changed");
                return Err(Fault::new(path, what));
            }
            Some(digest) => expected.push_str(&format!("{digest}  {escaped}\n")),
        }
    }
    if let Some((path, _)) = named.first_key_value() {
        let path = path.replace("%0A", "\n").replace("%0D", "\r");
        let path = path.replace("%25", "%");
        return Err(Fault::new(path, format!("is missing: {manifest} names it")));
    }
    match text == expected {
        true => Ok(()),
        false => Err(Fault::new(manifest, "does not name the files in order")),
    }
}

fn lines<'a>(folder: &Path, files: impl Iterator<Item = &'a String>) -> Result<String, Fault> {
    let mut text = String::new();
    for path in files {
        let digest = sha256_of(&folder.join(path)).map_err(Fault::at(path))?;
        text.push_str(&format!("{digest}  {}\n", escape(path)));
    }
    Ok(text)
}

/// RFC 8493, section 2.1.3: what would break the line, and the sign that says so.
fn escape(path: &str) -> String {
    path.replace('%', "%25")
        .replace('\n', "%0A")
        .replace('\r', "%0D")
}

fn read(folder: &Path, path: &str) -> Result<String, Fault> {
    let bytes = fs::read(folder.join(path)).map_err(Fault::at(path))?;
    String::from_utf8(bytes).map_err(|_| Fault::new(path, "is no UTF-8 text"))
}

/// Every file below a folder. Links and whatever else is no plain file are a fault: a bundle is
/// what is in it.
fn walk(root: &Path, below: &str, files: &mut Files) -> Result<(), Fault> {
    for entry in fs::read_dir(root.join(below)).map_err(Fault::at(below))? {
        let entry = entry.map_err(Fault::at(below))?;
        let name = entry.file_name();
        let path = match (name.to_str(), below) {
            (None, _) => return Err(Fault::new(below, "holds a name that is no UTF-8 text")),
            (Some(name), "") => name.to_owned(),
            (Some(name), below) => format!("{below}/{name}"),
        };
        let kind = entry.file_type().map_err(Fault::at(&path))?;
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_file() {
            let size = entry.metadata().map_err(Fault::at(&path))?.len();
            files.insert(path.clone(), size);
        } else {
            return Err(Fault::new(path, "is neither a file nor a folder"));
        }
        if files.len() > MAX_FILES {
            return Err(Fault::new(below, "holds too many files"));
        }
    }
    Ok(())
}

/// On disk; tests write thousands of bags that nobody needs tomorrow.
fn durable(file: &File) -> std::io::Result<()> {
    match cfg!(test) {
        true => Ok(()),
        false => file.sync_all(),
    }
}

/// Names of files are durable once their folders are.
fn sync(folder: &Path) -> Result<(), Fault> {
    #[cfg(unix)]
    for entry in fs::read_dir(folder).map_err(Fault::at(""))? {
        let entry = entry.map_err(Fault::at(""))?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sync(&entry.path())?;
        }
    }
    #[cfg(unix)]
    File::open(folder)
        .and_then(|folder| durable(&folder))
        .map_err(Fault::at(""))?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
