//! The data folder: made at the first start, locked while the server runs, refused when it is
//! somebody else's or a part of it is lost.
//!
//! ```text
//! plenary-server.format   what this folder is; written first
//! ca.pem ca.key           the network's CA (see plenary_certs::tls::Authority)
//! server.key              the server's identity, Ed25519 in PKCS #8
//! server.key.next         another one, until the Board has named it
//! founder.json            what the founder needs, a secret until the network is founded; written
//!                         last, so its presence says that all keys were there
//! store/ items/           see the store
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use plenary_certs::invitation::Invitation;
use plenary_certs::tls::{Authority, IssueError};
use plenary_proto::ids::{Digest, NetworkId, PublicKey, UnixMillis};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

const FORMAT_FILE: &str = "plenary-server.format";
const FORMAT: &str = "plenary server data, format 1\n";
const KEY_FILE: &str = "server.key";
const NEXT_KEY_FILE: &str = "server.key.next";
/// Life of the invitation that founds the network: as long as it takes; a start renews it.
const FOUNDING_LIFE_MS: u64 = 365 * 24 * 3600 * 1000;
/// The files of a data folder beside store and items: all that a backup takes.
pub const FILES: [&str; 5] = [FORMAT_FILE, "ca.pem", "ca.key", KEY_FILE, FOUNDER_FILE];
/// What the founder of the network needs.
pub const FOUNDER_FILE: &str = "founder.json";

/// Why a data folder cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FolderError {
    /// It holds files, but not a server's.
    #[error("{0} is not a Plenary server's data folder: name an empty or a new one with --data")]
    Foreign(PathBuf),
    /// Of a version this server does not know.
    #[error(
        "{0} was written by another version of the server: use that one, or restore a backup made before"
    )]
    Format(PathBuf),
    /// Another server uses it.
    #[error("{0} is in use by another server: stop that one first")]
    Locked(PathBuf),
    /// Something that was there is gone or damaged.
    #[error("{path}: {reason}; restore the whole data folder from a backup")]
    Damaged {
        /// What.
        path: PathBuf,
        /// How.
        reason: String,
    },
    /// The CA cannot be made or read.
    #[error(transparent)]
    Authority(#[from] IssueError),
    /// Reading or writing failed.
    #[error("{path}: {reason}; check owner, permissions and free space")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

/// What the founder of the network needs to reach and to know this server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Founder {
    /// Where clients connect to, as host:port.
    pub address: String,
    /// SHA-256 of the CA's certificate, in hex.
    pub ca_pin: String,
    /// The server's identity key, in hex.
    pub server_key: String,
    /// Lets its holder found the network; absent once that is done. A secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
}

/// An open data folder. The lock is released when it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// The network's CA.
    pub authority: Authority,
    public: PublicKey,
    first_start: bool,
    _lock: File,
}

impl Folder {
    /// Opens the folder, or makes a new one where there is none or an empty one.
    ///
    /// # Errors
    /// See [`FolderError`]. Nothing that exists is ever overwritten.
    pub fn open(path: &Path, now: UnixMillis) -> Result<Self, FolderError> {
        let lock = enter(path)?;
        let first_start = !path.join(FOUNDER_FILE).exists();
        let lost = |what: &str| FolderError::Damaged {
            path: path.join(what),
            reason: "missing".to_owned(),
        };
        let authority = match Authority::open(path)? {
            Some(authority) => authority,
            None if first_start => Authority::create(path, now)?,
            None => return Err(lost("ca.key")),
        };
        let key_file = path.join(KEY_FILE);
        if !key_file.exists() {
            if !first_start {
                return Err(lost(KEY_FILE));
            }
            make_key(&key_file)?;
        }
        let public = public_key(&read_key(&key_file)?);
        Ok(Self {
            path: path.to_owned(),
            authority,
            public,
            first_start,
            _lock: lock,
        })
    }

    /// The server's identity key.
    pub fn server_key(&self) -> PublicKey {
        self.public
    }

    /// The server's identity key pair, once more.
    ///
    /// # Errors
    /// [`FolderError::Damaged`] should the file have changed since.
    pub fn read_key(&self) -> Result<Ed25519KeyPair, FolderError> {
        read_key(&self.path.join(KEY_FILE))
    }

    /// No start was completed in this folder before.
    pub fn first_start(&self) -> bool {
        self.first_start
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes what the founder needs. Ends the first start. While the network is `fresh`, an
    /// invitation to found it is in it, the same at every start; it comes back for the server to
    /// let its holder in.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn tell_founder(
        &self,
        address: String,
        ca_pin: Digest,
        fresh: bool,
        now: UnixMillis,
    ) -> Result<(Founder, Option<Invitation>), FolderError> {
        let file = self.path.join(FOUNDER_FILE);
        let invitation = match fresh {
            true => Some(self.founding_invitation(&address, ca_pin, now)?),
            false => None,
        };
        let founder = Founder {
            address,
            ca_pin: ca_pin.to_string(),
            server_key: self.server_key().to_string(),
            invitation: invitation
                .as_ref()
                .map(|invitation| invitation.to_text().to_string()),
        };
        let text = serde_json::to_string_pretty(&founder).map_err(io::Error::from);
        let text = Zeroizing::new(text.map_err(io_at(&file))? + "\n");
        replace(&file, text.as_bytes(), 0o600).map_err(io_at(&file))?;
        Ok((founder, invitation))
    }

    /// The one told before, or a new one. The network and its ROOT 1 are still to be made, so
    /// both are zeros.
    fn founding_invitation(
        &self,
        address: &str,
        ca_pin: Digest,
        now: UnixMillis,
    ) -> Result<Invitation, FolderError> {
        let file = self.path.join(FOUNDER_FILE);
        let new = Invitation::new(
            address,
            ca_pin,
            NetworkId([0; NetworkId::LEN]),
            Digest([0; Digest::LEN]),
            now.plus(FOUNDING_LIFE_MS),
            &SystemRandom::new(),
        )
        .map_err(|error| FolderError::Io {
            path: file.clone(),
            reason: error.to_string(),
        })?;
        let old = fs::read_to_string(file)
            .ok()
            .and_then(|text| serde_json::from_str::<Founder>(&text).ok())
            .and_then(|founder| Invitation::parse(&founder.invitation?).ok());
        Ok(match old {
            Some(old) => Invitation {
                id: old.id,
                secret: old.secret,
                ..new
            },
            None => new,
        })
    }
}

impl std::fmt::Debug for Founder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Founder")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Makes sure that the folder is ours, and takes the lock.
fn enter(path: &Path) -> Result<File, FolderError> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(io_at(path))?;
    let format = path.join(FORMAT_FILE);
    match fs::read_to_string(&format) {
        Ok(text) if text == FORMAT => {}
        Ok(_) => return Err(FolderError::Format(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if fs::read_dir(path).map_err(io_at(path))?.next().is_some() {
                return Err(FolderError::Foreign(path.to_owned()));
            }
            replace(&format, FORMAT.as_bytes(), 0o600).map_err(io_at(&format))?;
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(FolderError::Format(path.to_owned()));
        }
        Err(error) => return Err(io_at(&format)(error)),
    }
    let lock = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&format)
        .map_err(io_at(&format))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(FolderError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io_at(&format)(error)),
    }
}

/// The keys of a data folder, `server.key` lost or not, a server running on it or not.
pub struct Keys(PathBuf);

impl Keys {
    /// Those of a folder that a server has made.
    ///
    /// # Errors
    /// [`FolderError::Foreign`], [`FolderError::Format`].
    pub fn of(path: &Path) -> Result<Self, FolderError> {
        match fs::read_to_string(path.join(FORMAT_FILE)) {
            Ok(text) if text == FORMAT => Ok(Self(path.to_owned())),
            Ok(_) => Err(FolderError::Format(path.to_owned())),
            Err(_) => Err(FolderError::Foreign(path.to_owned())),
        }
    }

    /// Keeps servers away until the returned file is dropped.
    ///
    /// # Errors
    /// [`FolderError::Locked`] while one runs.
    pub fn lock(&self) -> Result<File, FolderError> {
        enter(&self.0)
    }

    /// The key in use; `None`: lost.
    ///
    /// # Errors
    /// [`FolderError::Damaged`].
    pub fn current(&self) -> Result<Option<PublicKey>, FolderError> {
        public_of(&self.0.join(KEY_FILE))
    }

    /// The key made to follow, if one was.
    ///
    /// # Errors
    /// [`FolderError::Damaged`].
    pub fn next(&self) -> Result<Option<PublicKey>, FolderError> {
        public_of(&self.0.join(NEXT_KEY_FILE))
    }

    /// The key that is to follow: the one made before, or a new one.
    ///
    /// # Errors
    /// [`FolderError::Damaged`], [`FolderError::Io`].
    pub fn make_next(&self) -> Result<PublicKey, FolderError> {
        let file = self.0.join(NEXT_KEY_FILE);
        if !file.exists() {
            make_key(&file)?;
        }
        Ok(public_key(&read_key(&file)?))
    }

    /// Puts the key that is to follow in the place of the other one, which is gone then.
    ///
    /// # Errors
    /// [`FolderError::Io`].
    pub fn promote(&self) -> Result<(), FolderError> {
        let next = self.0.join(NEXT_KEY_FILE);
        fs::rename(&next, self.0.join(KEY_FILE))
            .and_then(|()| File::open(&self.0)?.sync_all())
            .map_err(io_at(&next))
    }
}

fn public_of(file: &Path) -> Result<Option<PublicKey>, FolderError> {
    match file.exists() {
        true => Ok(Some(public_key(&read_key(file)?))),
        false => Ok(None),
    }
}

fn public_key(pair: &Ed25519KeyPair) -> PublicKey {
    let mut public = PublicKey([0; PublicKey::LEN]);
    public.0.copy_from_slice(pair.public_key().as_ref());
    public
}

fn read_key(file: &Path) -> Result<Ed25519KeyPair, FolderError> {
    let pkcs8 = Zeroizing::new(fs::read(file).map_err(io_at(file))?);
    Ed25519KeyPair::from_pkcs8(&pkcs8).map_err(|error| FolderError::Damaged {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}

fn make_key(file: &Path) -> Result<(), FolderError> {
    let pkcs8 =
        Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| FolderError::Io {
            path: file.to_owned(),
            reason: "the system gives no randomness".to_owned(),
        })?;
    replace(file, pkcs8.as_ref(), 0o600).map_err(io_at(file))
}

/// Writes a whole file or nothing, durably.
fn replace(file: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let part = file.with_extension("part");
    let _ = fs::remove_file(&part);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut out = options.open(&part)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&part, file)?;
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_owned();
    move |error| FolderError::Io {
        path,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn made() -> (tempfile::TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a").join("data");
        (base, path)
    }

    fn finish(path: &Path) -> (Founder, PublicKey) {
        let folder = Folder::open(path, NOW).unwrap();
        let pin = folder.authority.pin();
        let founder = folder.tell_founder("localhost:7443".to_owned(), pin, true, NOW);
        (founder.unwrap().0, folder.server_key())
    }

    #[test]
    fn the_next_key_waits_beside_the_one_in_use() {
        let (_base, path) = made();
        assert!(matches!(Keys::of(&path), Err(FolderError::Foreign(_))));
        let (_, key) = finish(&path);
        let keys = Keys::of(&path).unwrap();
        assert_eq!((keys.current(), keys.next()), (Ok(Some(key)), Ok(None)));
        let running = Folder::open(&path, NOW).unwrap();
        let next = keys.make_next().unwrap();
        assert_eq!(keys.make_next(), Ok(next));
        assert!(matches!(keys.lock(), Err(FolderError::Locked(_))));
        assert_eq!(running.server_key(), key);
        drop(running);
        let lock = keys.lock().unwrap();
        assert!(matches!(
            Folder::open(&path, NOW),
            Err(FolderError::Locked(_))
        ));
        keys.promote().unwrap();
        drop(lock);
        assert_eq!(keys.next(), Ok(None));
        assert_eq!(Folder::open(&path, NOW).unwrap().server_key(), next);
        // Lost: the next one can still be made.
        fs::remove_file(path.join(KEY_FILE)).unwrap();
        assert_eq!(keys.current(), Ok(None));
        assert!(keys.make_next().is_ok());
        let refused = Folder::open(&path, NOW).unwrap_err();
        assert!(matches!(refused, FolderError::Damaged { .. }));
    }

    #[test]
    fn it_is_made_once_and_read_back() {
        let (_base, path) = made();
        assert!(Folder::open(&path, NOW).unwrap().first_start());
        let (founder, key) = finish(&path);
        assert_eq!(founder.server_key, key.to_string());
        let again = Folder::open(&path, NOW).unwrap();
        assert!(!again.first_start());
        assert_eq!(again.server_key(), key);
        assert_eq!(again.authority.pin().to_string(), founder.ca_pin);
        let text = fs::read_to_string(path.join(FOUNDER_FILE)).unwrap();
        assert_eq!(serde_json::from_str::<Founder>(&text).unwrap(), founder);
    }

    #[test]
    fn the_founding_invitation_stays_until_the_network_is_founded() {
        let (_base, path) = made();
        let tell = |address: &str, fresh| {
            let folder = Folder::open(&path, NOW).unwrap();
            let pin = folder.authority.pin();
            folder
                .tell_founder(address.to_owned(), pin, fresh, NOW)
                .unwrap()
        };
        let first = tell("localhost:1", true).1.unwrap();
        let (founder, second) = tell("localhost:2", true);
        let second = second.unwrap();
        assert_eq!((first.id, &first.secret), (second.id, &second.secret));
        assert_eq!(second.address, "localhost:2");
        let text = founder.invitation.unwrap();
        assert!(Invitation::parse(&text).unwrap() == second);

        let (founder, invitation) = tell("localhost:2", false);
        assert!(founder.invitation.is_none() && invitation.is_none());
        let text = fs::read_to_string(path.join(FOUNDER_FILE)).unwrap();
        assert!(!text.contains("invitation"));
    }

    #[test]
    fn two_servers_cannot_share_it() {
        let (_base, path) = made();
        let first = Folder::open(&path, NOW).unwrap();
        assert_eq!(
            Folder::open(&path, NOW).unwrap_err(),
            FolderError::Locked(path.clone())
        );
        drop(first);
        Folder::open(&path, NOW).unwrap();
    }

    #[test]
    fn a_folder_of_something_else_is_not_touched() {
        let (_base, path) = made();
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("thesis.odt"), "years of work").unwrap();
        assert_eq!(
            Folder::open(&path, NOW).unwrap_err(),
            FolderError::Foreign(path.clone())
        );
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn another_format_is_refused() {
        let (_base, path) = made();
        finish(&path);
        for other in [&b"plenary server data, format 2\n"[..], &[0xff, 0xfe]] {
            fs::write(path.join(FORMAT_FILE), other).unwrap();
            assert_eq!(
                Folder::open(&path, NOW).unwrap_err(),
                FolderError::Format(path.clone())
            );
        }
    }

    #[test]
    fn lost_keys_are_never_replaced_by_new_ones() {
        for lost in ["ca.key", "ca.pem", KEY_FILE] {
            let (_base, path) = made();
            finish(&path);
            fs::remove_file(path.join(lost)).unwrap();
            let refused = Folder::open(&path, NOW).unwrap_err();
            assert!(refused.to_string().contains(lost), "{refused}");
        }
        let (_base, path) = made();
        finish(&path);
        fs::remove_file(path.join("ca.key")).unwrap();
        fs::remove_file(path.join("ca.pem")).unwrap();
        let refused = Folder::open(&path, NOW).unwrap_err();
        assert!(matches!(refused, FolderError::Damaged { .. }), "{refused}");
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let (_base, path) = made();
        finish(&path);
        let file = path.join(KEY_FILE);
        let mut bytes = fs::read(&file).unwrap();
        bytes.truncate(40);
        fs::write(&file, bytes).unwrap();
        let refused = Folder::open(&path, NOW).unwrap_err();
        assert!(matches!(refused, FolderError::Damaged { .. }), "{refused}");
    }

    #[test]
    fn a_first_start_that_broke_off_goes_on() {
        let (_base, path) = made();
        drop(Folder::open(&path, NOW).unwrap());
        fs::remove_file(path.join(KEY_FILE)).unwrap();
        assert!(Folder::open(&path, NOW).unwrap().first_start());
    }

    #[cfg(unix)]
    #[test]
    fn secrets_are_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let (_base, path) = made();
        finish(&path);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join(KEY_FILE)), 0o600);
        assert_eq!(mode(&path.join(FOUNDER_FILE)), 0o600);
        assert_eq!(mode(&path.join("ca.key")), 0o600);
    }
}
