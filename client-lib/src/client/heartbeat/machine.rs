//! One look, one beat: what the machine does, and what it says of it.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use plenary_certs::{
    board::{NoFacts, describe},
    ledger::LedgerError,
    misuse::Misuse,
    signing::SigningKey,
    watch::{Given, Watch, WatchError},
};
use plenary_proto::ids::{Digest, LedgerSeq, PublicKey, UnixMillis};
use secrecy::SecretString;

use super::{HeartbeatKeyFile, drop_folder, folder::Folder};
use crate::{
    client::Client,
    error::{Error, ErrorKind},
    net::driver::now,
};

/// The heartbeat's machine: see the module's picture. One process a folder.
#[derive(Debug)]
pub struct HeartbeatMachine {
    folder: Folder,
    drop_folder: PathBuf,
    watch: Watch,
    key: SigningKey,
    /// What was said of files in the drop folder, so that it is said once.
    said: BTreeSet<(String, String)>,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The Board handed over a statement that the ledger did not have.
    Taken {
        /// Which.
        id: Digest,
        /// What it says.
        words: String,
    },
    /// A file's statement does not count yet, or not any more, or never did.
    PassedOver {
        /// The request's file.
        file: String,
        /// Why.
        why: String,
    },
    /// A statement handed over came too late for the ledger: the Board signs it again, if it still
    /// wants it. Said once.
    Overtaken {
        /// What it says.
        words: String,
        /// Why.
        why: String,
    },
    /// Two different statements of one kind, subject and version. Said once.
    Misuse {
        /// Both, and which is the stricter.
        words: Vec<String>,
        /// The proof.
        proof: PathBuf,
    },
    /// The server's ledger lacks a statement, although it was submitted. Said at every look.
    Withheld {
        /// Which.
        id: Digest,
        /// What it says.
        words: String,
        /// What the server said to it.
        answer: Option<String>,
    },
}

/// What came of a beat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beat {
    /// Vouched for, and the server has it.
    Signed {
        /// Up to which statement.
        seq: LedgerSeq,
        /// When. Good for 72 hours.
        time: UnixMillis,
    },
    /// Nothing was vouched for.
    Refused(String),
}

impl HeartbeatMachine {
    /// Opens the machine's folder for the client's network. `drop_folder`: where the Board's files
    /// come; by default `drop` in the folder.
    ///
    /// Errors: [`ErrorKind::WrongPassphrase`], [`ErrorKind::InUse`], [`ErrorKind::Integrity`].
    pub async fn open(
        client: &Client,
        folder: &Path,
        drop_folder: Option<PathBuf>,
        key_file: &str,
        passphrase: &SecretString,
    ) -> Result<Self, Error> {
        let key = HeartbeatKeyFile::open(key_file, passphrase)?;
        let (network, root1) = client
            .driver
            .run(|engine, _| Ok((engine.identity().network(), engine.identity().root1())))
            .await?;
        let (folder_, watch) = Folder::open(folder, network, root1)?;
        let drop_folder = drop_folder.unwrap_or_else(|| folder.join("drop"));
        std::fs::create_dir_all(&drop_folder)?;
        Ok(Self {
            folder: folder_,
            drop_folder,
            watch,
            key,
            said: BTreeSet::new(),
        })
    }

    /// The key, as ROOT must name it.
    pub fn key(&self) -> PublicKey {
        self.key.public()
    }

    /// Where the Board's files come.
    pub fn drop_folder(&self) -> &Path {
        &self.drop_folder
    }

    /// Takes in what the Board handed over, submits what the server's ledger lacks of it, and
    /// follows the ledger. Alarms are in the notes.
    ///
    /// Errors: as [`Client::caught_up`]; [`ErrorKind::Trust`] if the server shows another ledger than
    /// before.
    pub async fn look(&mut self, client: &Client) -> Result<Vec<Note>, Error> {
        self.follow(client).await?;
        let mut notes = self.take_in()?;
        let submit: Vec<_> = self
            .watch
            .missing()
            .into_iter()
            .map(|(_, signed)| bytes::Bytes::copy_from_slice(signed))
            .collect();
        let mut answer = None;
        if !submit.is_empty() {
            answer = match client.hand_in(submit).await {
                Err(error) if error.kind() == ErrorKind::Offline => return Err(error),
                other => other.err().map(|error| error.to_string()),
            };
            self.follow(client).await?;
        }
        for id in self.watch.arrived() {
            self.folder.drop_direct(id)?;
            self.watch.forget(id);
        }
        for overtaken in self.watch.overtaken() {
            notes.push(match overtaken.misuse {
                Some(misuse) => self.prove(&misuse)?,
                None => Note::Overtaken {
                    words: self.words(overtaken.id),
                    why: overtaken.error.to_string(),
                },
            });
            self.folder.drop_direct(overtaken.id)?;
            self.watch.forget(overtaken.id);
        }
        let missing = self.watch.missing();
        notes.extend(missing.into_iter().map(|(id, _)| Note::Withheld {
            id,
            words: self.words(id),
            answer: answer.clone(),
        }));
        Ok(notes)
    }

    /// Vouches for the ledger, if nothing speaks against it: after [`HeartbeatMachine::look`].
    ///
    /// Errors: [`ErrorKind::Refused`] if the server does not take it; [`ErrorKind::Offline`].
    pub async fn beat(&mut self, client: &Client) -> Result<Beat, Error> {
        let (heartbeat, signed) = match self.watch.heartbeat(&self.key, now()) {
            Ok(vouched) => vouched,
            Err(error) => return Ok(Beat::Refused(self.refusal(&error))),
        };
        self.folder.put_last(&signed)?;
        let beat = Beat::Signed {
            seq: heartbeat.head.seq,
            time: heartbeat.time,
        };
        self.watch.signed(heartbeat);
        client.put_heartbeat(signed).await?;
        Ok(beat)
    }

    /// Takes what the client has of the ledger beyond what is known here.
    async fn follow(&mut self, client: &Client) -> Result<(), Error> {
        let own = self.watch.ledger().head();
        let (theirs, entries) = client.ledger_after(own.seq).await?;
        if theirs != Some(own) {
            let what = match theirs {
                None => {
                    "the server's ledger is shorter than the one vouched for: it was rolled back"
                }
                Some(_) => "the server shows another ledger than the one vouched for: a fork",
            };
            return Err(Error::new(ErrorKind::Trust, what));
        }
        for signed in &entries {
            self.watch.follow(signed).map_err(|error| {
                Error::new(
                    ErrorKind::Trust,
                    format!("the server's ledger has a statement that does not hold: {error}"),
                )
            })?;
        }
        if !entries.is_empty() {
            self.folder.put_statements(&entries)?;
        }
        Ok(())
    }

    fn take_in(&mut self) -> Result<Vec<Note>, Error> {
        let mut notes = Vec::new();
        for handed in drop_folder::read(&self.drop_folder)? {
            for signed in &handed.signed {
                let given = self.watch.give(signed);
                if let Given::New(id) = given {
                    self.folder.put_direct(id, signed)?;
                    let words = self.words(id);
                    notes.push(Note::Taken { id, words });
                    continue;
                }
                let why = match given {
                    Given::New(_) | Given::Waiting(_) | Given::Known(_) => continue,
                    // Every file of a statement that came late stays there; it was told when it came.
                    Given::TooFew(error) => error.to_string(),
                    Given::Unfit(error) => unfit(&error),
                    Given::Misuse(misuse) => {
                        let id = format!("{:?}", misuse.second());
                        if self.said.insert((handed.name.clone(), id)) {
                            notes.push(self.prove(&misuse)?);
                        }
                        continue;
                    }
                };
                if self.said.insert((handed.name.clone(), why.clone())) {
                    let file = handed.name.clone();
                    notes.push(Note::PassedOver { file, why });
                }
            }
        }
        Ok(notes)
    }

    fn prove(&self, misuse: &Misuse) -> Result<Note, Error> {
        let proven = misuse
            .verify()
            .map_err(|error| Error::new(ErrorKind::Integrity, error.to_string()))?;
        let proof = self
            .folder
            .put_proof(proven.second.id(), &misuse.to_file())?;
        let words = proven.words(&NoFacts);
        Ok(Note::Misuse { words, proof })
    }

    fn words(&self, id: Digest) -> String {
        let statement = self.watch.direct(id);
        statement.map_or_else(
            || id.to_string(),
            |statement| describe(&statement, &NoFacts).text(),
        )
    }

    fn refusal(&self, error: &WatchError) -> String {
        let WatchError::Withheld(missing) = error else {
            return error.to_string();
        };
        let first_lines = missing.iter().map(|id| {
            let words = self.words(*id);
            let line = words.lines().next().unwrap_or_default();
            format!("{line} (statement {id})")
        });
        format!("{error}: {}", first_lines.collect::<Vec<_>>().join("; "))
    }
}

fn unfit(error: &LedgerError) -> String {
    match error {
        LedgerError::Version { expected, got, .. } if got < expected => {
            "the ledger has said something newer about it since".to_owned()
        }
        other => other.to_string(),
    }
}
