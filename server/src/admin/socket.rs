//! The serving side of the admin socket: who may come in, and one thread for each who does.

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::net::UnixListener;
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::office::Office;
use super::protocol::{Answer, Ask, write_line};

/// At once. An operator and a backup need two.
const CALLERS: usize = 8;
/// For a caller to ask, and to take what it is given: one that hangs must not hold a backup open,
/// for trims wait meanwhile.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a question.
const QUESTION: u64 = 4 << 10;

/// A listening socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket. One that an earlier server left is replaced: the data folder's lock is
    /// held, so that server is gone.
    ///
    /// # Errors
    /// A path that is too long for a socket, or holds something else.
    pub fn bind(path: &Path) -> anyhow::Result<Self> {
        match fs::symlink_metadata(path) {
            Ok(there) if there.file_type().is_socket() => fs::remove_file(path)?,
            Ok(_) => bail!("{} is there and is no socket", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
        let listener = UnixListener::bind(path).with_context(|| {
            format!(
                "cannot make the admin socket {} (a path of at most 107 bytes): set admin.socket",
                path.display()
            )
        })?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }

    /// Answers, for ever.
    pub async fn serve(self, office: Arc<Office>) {
        let own = rustix::process::geteuid().as_raw();
        let callers = Arc::new(Semaphore::new(CALLERS));
        loop {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept on the admin socket");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let uid = match stream.peer_cred() {
                Ok(peer) => peer.uid(),
                Err(error) => {
                    warn!(%error, "refused an admin connection: cannot tell whose it is");
                    continue;
                }
            };
            if !is_served(uid, own) {
                warn!(uid, "refused an admin connection of another user");
                refuse(&stream, "only the server's own user and root are served");
                continue;
            }
            let Ok(place) = callers.clone().try_acquire_owned() else {
                warn!("refused an admin connection: too many at once");
                refuse(&stream, "too many ask at once; try again");
                continue;
            };
            let office = office.clone();
            let started = std::thread::Builder::new()
                .name("admin".to_owned())
                .spawn(move || {
                    if let Err(error) = answer(stream.into_std(), uid, &office) {
                        warn!(%error, "an admin connection broke");
                    }
                    drop(place);
                });
            if let Err(error) = started {
                warn!(%error, "cannot start a thread for an admin connection");
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Says why, as far as it can be said without waiting.
fn refuse(stream: &tokio::net::UnixStream, why: &str) {
    let mut line = Vec::new();
    if write_line(&mut line, &Answer::Error(why.to_owned())).is_ok() {
        let _ = stream.try_write(&line);
    }
}

/// The server's own user and root.
fn is_served(uid: u32, own: u32) -> bool {
    uid == own || uid == 0
}

fn answer(stream: io::Result<UnixStream>, uid: u32, office: &Office) -> io::Result<()> {
    let stream = stream?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    let mut from = BufReader::new(&stream).take(QUESTION);
    if from.read_line(&mut line)? == 0 {
        return Ok(());
    }
    let mut out = &stream;
    let ask: Ask = match serde_json::from_str(&line) {
        Ok(ask) => ask,
        Err(error) => {
            let why = format!("not a question that this server knows: {error}");
            return write_line(&mut out, &Answer::Error(why));
        }
    };
    info!(uid, ?ask, "asked by the operator");
    office.answer(ask, &mut out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_user_and_root_are_served_and_nobody_else() {
        assert!(is_served(1000, 1000) && is_served(0, 1000));
        assert!(!is_served(1001, 1000) && !is_served(1000, 0));
    }

    #[tokio::test]
    async fn what_is_no_socket_is_not_replaced() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("admin.sock");
        fs::write(&path, "a letter").unwrap();
        assert!(Socket::bind(&path).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "a letter");
        fs::remove_file(&path).unwrap();
        let socket = Socket::bind(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(socket);
        assert!(!path.exists());
        let long = base.path().join("x".repeat(120));
        let refused = Socket::bind(&long).unwrap_err().to_string();
        assert!(refused.contains("admin.socket"), "{refused}");
    }
}
