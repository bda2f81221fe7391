//! A folder as one item: a tar archive (POSIX.1-1988, GNU extensions for long names) with relative
//! names. Packed here, unpacked here, and checked on the way out: whoever made it, nothing lands
//! outside the folder, nothing is overwritten, nothing but files and folders is made.

use std::{
    fs::{self, File, OpenOptions},
    io::{self as std_io, Read, Write},
    path::{Component, Path, PathBuf},
};

use tar::{Archive, Builder, EntryType, Header};

use super::{
    ItemError,
    error::io,
    incoming::{private, sync_folder},
    name,
};

/// The media type that a folder travels under.
pub const MEDIA_TYPE: &str = "application/x-tar";

/// Entries of one archive, and how deep they lie: a hostile one shall not fill a disk with empty
/// folders.
const MOST_ENTRIES: usize = 1_000_000;
const MOST_DEPTH: usize = 64;

/// Writes a folder's files and folders as an archive. Owners, times and rights stay behind: only an
/// executable's right to be executed is told.
///
/// # Errors
/// When something cannot be read, changes its size meanwhile, or is neither file nor folder: links
/// are not followed, as they may lead anywhere.
pub fn pack(folder: &Path, to: &mut impl Write) -> Result<(), ItemError> {
    let mut archive = Builder::new(to);
    archive.follow_symlinks(false);
    pack_into(&mut archive, folder, Path::new(""))?;
    archive
        .into_inner()
        .map(drop)
        .map_err(io("packing the folder"))
}

fn pack_into(
    archive: &mut Builder<impl Write>,
    folder: &Path,
    below: &Path,
) -> Result<(), ItemError> {
    let doing = "packing the folder";
    let mut entries: Vec<_> = fs::read_dir(folder.join(below))
        .and_then(|entries| entries.collect::<Result<_, _>>())
        .map_err(io(doing))?;
    // The same folder gives the same archive.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, path) = (below.join(entry.file_name()), entry.path());
        let about = fs::symlink_metadata(&path).map_err(io(doing))?;
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        if about.is_dir() {
            header.set_entry_type(EntryType::Directory);
            header.set_mode(0o755);
            header.set_size(0);
            archive
                .append_data(&mut header, &name, std_io::empty())
                .map_err(io(doing))?;
            pack_into(archive, folder, &name)?;
        } else if about.is_file() {
            let mut file = File::open(&path).map_err(io(doing))?;
            let size = file.metadata().map_err(io(doing))?.len();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(if is_executable(&about) { 0o755 } else { 0o644 });
            header.set_size(size);
            let mut exactly = Exactly {
                left: size,
                from: &mut file,
            };
            archive
                .append_data(&mut header, &name, &mut exactly)
                .map_err(|error| match exactly.left {
                    0 => io(doing)(error),
                    _ => ItemError::SourceChanged,
                })?;
        } else {
            return Err(ItemError::NotAFile {
                name: name::clean(&name.to_string_lossy()),
            });
        }
    }
    Ok(())
}

/// So many bytes, neither more nor fewer: tar writes the size in front.
struct Exactly<'a> {
    left: u64,
    from: &'a mut File,
}

impl Read for Exactly<'_> {
    fn read(&mut self, into: &mut [u8]) -> std_io::Result<usize> {
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        let read = self.from.read(&mut into[..most])?;
        if read == 0 && self.left > 0 && !into.is_empty() {
            return Err(std_io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= read as u64;
        Ok(read)
    }
}

/// Unpacks an archive into a new folder of this name, cleaned, numbered if taken; returns its path.
/// It gets the name only when all of it is there.
///
/// # Errors
/// When an entry's name is absolute, leads outside, or is met twice; when it is a link, a device or
/// anything else but a file or a folder; when the disk refuses. Nothing stays then.
pub fn unpack(archive: impl Read, into: &Path, name: &str) -> Result<PathBuf, ItemError> {
    let doing = "unpacking the folder";
    let name = name::clean(name.strip_suffix(".tar").unwrap_or(name));
    let part = into.join(format!(".{name}.unpacking"));
    // Left by a try that was stopped.
    match fs::remove_dir_all(&part) {
        Err(error) if error.kind() != std_io::ErrorKind::NotFound => return Err(io(doing)(error)),
        _ => {}
    }
    fs::create_dir(&part).map_err(io(doing))?;
    let unpacked = unpack_into(archive, &part).and_then(|()| settle(&part, into, &name));
    if unpacked.is_err() {
        let _ = fs::remove_dir_all(&part);
    }
    unpacked
}

fn unpack_into(archive: impl Read, folder: &Path) -> Result<(), ItemError> {
    let doing = "reading the packed folder";
    let mut archive = Archive::new(archive);
    let entries = archive.entries().map_err(io(doing))?;
    for (count, entry) in entries.enumerate() {
        let mut entry = entry.map_err(io(doing))?;
        let told = entry.path().map_err(io(doing))?.into_owned();
        let refused = |why| {
            Err(ItemError::Unsafe {
                name: name::clean(&told.to_string_lossy()),
                why,
            })
        };
        if count >= MOST_ENTRIES {
            return refused("is one of too many");
        }
        let path = match inside(&told) {
            Ok(path) => folder.join(path),
            Err(why) => return refused(why),
        };
        match entry.header().entry_type() {
            EntryType::Directory => match fs::create_dir(&path) {
                Err(error) if error.kind() == std_io::ErrorKind::AlreadyExists && path.is_dir() => {
                }
                made => made.map_err(io("unpacking the folder"))?,
            },
            EntryType::Regular => {
                let executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
                match write_new(&path, &mut entry, executable) {
                    Err(error) if error.kind() == std_io::ErrorKind::AlreadyExists => {
                        return refused("is there twice");
                    }
                    made => made.map_err(io("unpacking the folder"))?,
                }
            }
            EntryType::Symlink | EntryType::Link => return refused("is a link"),
            _ => return refused("is neither a file nor a folder"),
        }
    }
    Ok(())
}

/// The name with each part cleaned, if it stays inside.
fn inside(told: &Path) -> Result<PathBuf, &'static str> {
    let mut path = PathBuf::new();
    for part in told.components() {
        match part {
            Component::Normal(part) => {
                let part = part.to_str().ok_or("has a name that is no text")?;
                path.push(name::clean(part));
            }
            Component::CurDir => {}
            Component::ParentDir => return Err("leads outside"),
            Component::RootDir | Component::Prefix(_) => return Err("is absolute"),
        }
    }
    match path.components().count() {
        0 => Err("has no name"),
        1..=MOST_DEPTH => Ok(path),
        _ => Err("lies too deep"),
    }
}

fn write_new(path: &Path, from: &mut impl Read, executable: bool) -> std_io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = private(options.write(true).create_new(true)).open(path)?;
    std_io::copy(from, &mut file)?;
    if executable {
        make_executable(&file)?;
    }
    file.sync_all()
}

/// The first free name.
fn settle(part: &Path, into: &Path, name: &str) -> Result<PathBuf, ItemError> {
    let doing = "naming the unpacked folder";
    for n in 1..=999 {
        let target = into.join(match n {
            1 => name.to_owned(),
            n => format!("{name} ({n})"),
        });
        // An empty folder of our own keeps the name until it is replaced in one step.
        match fs::create_dir(&target) {
            Ok(()) => {}
            Err(error) if error.kind() == std_io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(io(doing)(error)),
        }
        fs::rename(part, &target).map_err(io(doing))?;
        sync_folder(&target).map_err(io(doing))?;
        return Ok(target);
    }
    Err(ItemError::NoFreeName)
}

#[cfg(unix)]
fn is_executable(about: &fs::Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o100 != 0
}

#[cfg(unix)]
fn make_executable(file: &File) -> std_io::Result<()> {
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700))
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}

#[cfg(not(unix))]
fn make_executable(_: &File) -> std_io::Result<()> {
    Ok(())
}
