//! The backup key: a pair of which the server holds the public half only.
//!
//! X-Wing (ML-KEM-768 with X25519), as all that is sealed in Plenary. The secret file is as good as
//! every backup sealed to it: it belongs offline, in two places.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use data_encoding::{BASE64, HEXLOWER};
use plenary_certs::profile::{SealingKey, sealing_keypair};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

const FORMAT: &str = "plenary backup key 1";
/// Bytes of a public key of the suite (draft-connolly-cfrg-xwing-kem).
const PUBLIC: usize = 1_216;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: String,
    id: String,
    public: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Drop for File {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// What seals: the public half.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupKey {
    public: Vec<u8>,
}

impl BackupKey {
    /// The bytes to seal to.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Names it: the first 8 bytes of its BLAKE3, in hex.
    pub fn id(&self) -> String {
        HEXLOWER.encode(&blake3::hash(&self.public).as_bytes()[..8])
    }

    /// Reads a public file; also the secret one, which has both halves.
    ///
    /// # Errors
    /// A file that is absent or none of the two.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        Ok(read(path)?.0)
    }
}

/// Makes a pair: the secret half in `path` (mode 600), the public one in `path` with `.pub`.
///
/// # Errors
/// A file that is there already: no key is ever overwritten.
pub fn make(path: &Path) -> anyhow::Result<(BackupKey, PathBuf)> {
    let pair = sealing_keypair().context("cannot make a key")?;
    let key = BackupKey {
        public: pair.public().to_vec(),
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let beside = PathBuf::from(beside);
    let file = |secret: Option<String>| File {
        format: FORMAT.to_owned(),
        id: key.id(),
        public: BASE64.encode(&key.public),
        secret,
    };
    if beside.exists() {
        bail!("{} is there already; name another file", beside.display());
    }
    write_new(path, &file(Some(BASE64.encode(pair.secret()))), 0o600)?;
    write_new(&beside, &file(None), 0o644)?;
    Ok((key, beside))
}

/// Reads the secret half.
///
/// # Errors
/// A file that is absent, damaged, or the public half.
pub fn read_secret(path: &Path) -> anyhow::Result<(BackupKey, SealingKey)> {
    let (key, secret) = read(path)?;
    let secret = secret.with_context(|| {
        format!(
            "{} is the public half; the secret one is the file without .pub",
            path.display()
        )
    })?;
    let pair = SealingKey::from_parts(secret.to_vec(), key.public.clone());
    Ok((key, pair))
}

type Halves = (BackupKey, Option<Zeroizing<Vec<u8>>>);

fn read(path: &Path) -> anyhow::Result<Halves> {
    let what = || format!("cannot read the backup key {}", path.display());
    let text = Zeroizing::new(fs::read_to_string(path).with_context(what)?);
    let file: File = serde_json::from_str(&text).with_context(|| {
        format!(
            "{} is no backup key; `plenary-server backup-key` makes one",
            path.display()
        )
    })?;
    if file.format != FORMAT {
        bail!(
            "{} is of another version: {:?}, wanted {FORMAT:?}",
            path.display(),
            file.format
        );
    }
    let public = BASE64.decode(file.public.as_bytes()).with_context(what)?;
    let key = BackupKey { public };
    if key.public.len() != PUBLIC || key.id() != file.id {
        bail!("{} is damaged; use a copy of it", path.display());
    }
    let secret = match &file.secret {
        Some(secret) => Some(Zeroizing::new(
            BASE64.decode(secret.as_bytes()).with_context(what)?,
        )),
        None => None,
    };
    Ok((key, secret))
}

fn write_new(path: &Path, file: &File, mode: u32) -> anyhow::Result<()> {
    let text = Zeroizing::new(serde_json::to_string_pretty(file)? + "\n");
    let write = || -> std::io::Result<()> {
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()
    };
    write().with_context(|| format!("cannot make {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn both_halves_are_read_back_and_nothing_is_overwritten() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("operator.key");
        let (key, public) = make(&path).unwrap();
        assert_eq!(BackupKey::read(&public).unwrap(), key);
        assert_eq!(BackupKey::read(&path).unwrap(), key);
        assert_eq!(read_secret(&path).unwrap().0, key);
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        let refused = read_secret(&public).err().unwrap().to_string();
        assert!(refused.contains("public half"), "{refused}");
        assert!(make(&path).is_err());
        assert_eq!(read_secret(&path).unwrap().0, key);
        // The public file tells nothing of the secret.
        let secret = fs::read_to_string(&path).unwrap();
        let secret = secret.lines().find(|line| line.contains("secret")).unwrap();
        let public = fs::read_to_string(&public).unwrap();
        assert!(!public.contains("secret"));
        assert!(!public.contains(secret.split('"').nth(3).unwrap()));
    }

    #[test]
    fn what_is_damaged_is_refused() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("operator.key");
        let (_, public) = make(&path).unwrap();
        let text = fs::read_to_string(&public).unwrap();
        for (from, to) in [("key 1", "key 2"), ("\"public\": \"", "\"public\": \"AAAA")] {
            fs::write(&public, text.replace(from, to)).unwrap();
            assert!(BackupKey::read(&public).is_err(), "{from}");
        }
        fs::write(&public, "hello").unwrap();
        let refused = BackupKey::read(&public).unwrap_err().to_string();
        assert!(refused.contains("backup-key"), "{refused}");
    }
}
