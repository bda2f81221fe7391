//! A profile that is open for one command.

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use plenary_client::{Builder, Client, ErrorKind, Event, Standing};
use secrecy::SecretString;
use tokio::time::Instant;

use crate::{
    args::Global,
    commands::{
        devices::tell_news,
        status::{freshness_words, recovery_words},
    },
    exit::Failure,
    output::Output,
    paths, secret,
};

/// How long to wait for the server when nothing is said.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to wait for another command to leave the profile: two in a row may overlap.
const BUSY: Duration = Duration::from_secs(3);

/// How often to look whether it has.
const BUSY_STEP: Duration = Duration::from_millis(100);

/// What a command needs of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// None: works on what is stored.
    Stored,
    /// The newest, but what is stored is better than nothing.
    Fresh,
    /// A server that answers, and the newest of it.
    Online,
}

/// One tells at a time: news are told once.
type Telling = Arc<tokio::sync::Mutex<()>>;

/// The options that every command takes, and where output goes.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) out: Output,
    pub(crate) global: Global,
    /// Profiles that were opened.
    opened: Arc<Mutex<Vec<Client>>>,
}

/// An open profile.
pub(crate) struct Session {
    pub(crate) client: Client,
    /// Why what is shown may be old.
    pub(crate) stale: Option<Failure>,
}

impl Context {
    pub(crate) fn new(out: Output, global: Global) -> Self {
        Self {
            out,
            global,
            opened: Arc::default(),
        }
    }

    /// Closes every profile that is still open.
    pub(crate) async fn close(&self) {
        let opened = std::mem::take(&mut *lock(&self.opened));
        for client in opened {
            client.close().await;
        }
    }

    /// How long to wait for the server.
    pub(crate) fn patience(&self) -> Duration {
        self.global.timeout.unwrap_or(PATIENCE)
    }

    /// The profile's folder.
    pub(crate) fn folder(&self) -> Result<PathBuf, Failure> {
        match &self.global.profile {
            Some(folder) => Ok(folder.clone()),
            None => paths::default_profile(),
        }
    }

    /// Begins with a profile that does not exist yet: a new passphrase is asked for.
    pub(crate) fn new_profile(&self) -> Result<Builder, Failure> {
        let folder = self.folder()?;
        let passphrase = secret::new_passphrase(self.passphrase_file(), "the profile")?;
        Ok(Client::builder(folder, passphrase))
    }

    /// Begins with a profile that exists.
    pub(crate) fn profile(&self) -> Result<Builder, Failure> {
        let folder = self.folder()?;
        // Told before a passphrase is asked for in vain.
        if !folder.is_dir() {
            return Err(Failure::no_profile(&folder));
        }
        let what = format!("the profile {}", folder.display());
        let passphrase = secret::passphrase(self.passphrase_file(), &what)?;
        Ok(Client::builder(folder, passphrase))
    }

    /// The passphrase of a Board key that exists.
    pub(crate) fn board_passphrase(&self, what: &str) -> Result<SecretString, Failure> {
        secret::passphrase(self.passphrase_file(), what)
    }

    /// The passphrase of a heartbeat key: from its own file, or as any other.
    pub(crate) fn key_passphrase(
        &self,
        file: Option<&std::path::Path>,
        what: &str,
    ) -> Result<SecretString, Failure> {
        secret::passphrase(file.or(self.passphrase_file()), what)
    }

    /// A new passphrase for a Board key.
    pub(crate) fn new_board_passphrase(&self) -> Result<SecretString, Failure> {
        secret::new_passphrase(self.passphrase_file(), "the Board key")
    }

    fn passphrase_file(&self) -> Option<&std::path::Path> {
        self.global.passphrase_file.as_deref()
    }

    /// Opens the profile.
    pub(crate) async fn session(&self, need: Need) -> Result<Session, Failure> {
        if self.global.offline && need == Need::Online {
            return Err(Failure::usage("this needs the server: leave --offline out"));
        }
        let stay_away = self.global.offline || need == Need::Stored;
        let mut builder = self.profile()?;
        if stay_away {
            builder = builder.offline();
        }
        let client = open(builder).await?;
        lock(&self.opened).push(client.clone());
        let telling = Telling::default();
        self.watch(&client, telling.clone());
        let mut session = Session {
            client,
            stale: None,
        };
        if !stay_away {
            match session.connect(self.patience()).await {
                Err(failure) if need == Need::Fresh => {
                    session.stale = Some(failure.hint("shown is what is stored here"));
                }
                other => other?,
            }
        }
        self.tell_news(&session.client, &telling).await?;
        Ok(session)
    }

    /// Does something with the network, for as long as the user is patient.
    pub(crate) async fn within<T, E: Into<Failure>>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.patience(), work).await {
            Ok(done) => done.map_err(Into::into),
            Err(_) => Err(Failure::offline(format!(
                "{what}: not done within {} s",
                self.patience().as_secs()
            ))),
        }
    }

    /// What was said of one's devices, once.
    async fn tell_news(&self, client: &Client, telling: &Telling) -> Result<(), Failure> {
        let _one = telling.lock().await;
        tell_news(self, client).await
    }

    /// Shows alarms and news of one's devices for as long as the profile is open.
    fn watch(&self, client: &Client, telling: Telling) {
        let (mut events, out) = (client.events(), self.out);
        let (context, client) = (self.clone(), client.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                match event {
                    Event::Alarm {
                        channel,
                        kind,
                        what,
                    } => {
                        let channel = channel.map(|channel| channel.to_string());
                        out.alarm(channel.as_deref(), kind.code(), &what);
                    }
                    Event::Device(_) => {
                        // What is not told now is told by the next command.
                        let _ = context.tell_news(&client, &telling).await;
                    }
                    Event::Heartbeat(freshness) => {
                        let words = freshness_words(freshness);
                        out.news("heartbeat", &words.clone().into(), &words);
                    }
                    Event::Recovery(recovery) => {
                        let words = recovery_words(&recovery);
                        out.news("recovery", &words.clone().into(), &words);
                    }
                    Event::Clock(trouble) => {
                        let words = trouble.to_string();
                        out.news("clock", &words.clone().into(), &words);
                    }
                    Event::NotStamped { reason, .. } => out.news(
                        "not_time_stamped",
                        &reason.clone().into(),
                        &format!("Stated without a time stamp: {reason}."),
                    ),
                    Event::LinkAgain(_) => out.news(
                        "linking_code_used_again",
                        &true.into(),
                        "A second machine tried your linking code. Look at the fingerprint twice.",
                    ),
                    _ => {}
                }
            }
        });
    }
}

impl Session {
    async fn connect(&self, patience: Duration) -> Result<(), Failure> {
        let start = Instant::now();
        if let Err(error) = self.client.online(patience).await {
            let unknown = error.kind() == ErrorKind::Unauthenticated
                && self.client.status().await?.standing == Standing::Unknown;
            let failure = Failure::from(error);
            return Err(if unknown {
                failure.hint("if the Board has not admitted you yet, `plenary join --wait` waits; if your other device \
                     has not accepted this one yet, `plenary link` does")
            } else {
                failure
            });
        }
        // Names, too: people type them.
        let left = patience.saturating_sub(start.elapsed());
        Ok(self.client.caught_up(left).await?)
    }

    /// Closes the profile; reports if what was shown may be old.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        self.client.close().await;
        self.stale.map_or(Ok(()), Err)
    }
}

fn lock(opened: &Mutex<Vec<Client>>) -> MutexGuard<'_, Vec<Client>> {
    opened.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Opens a profile, waiting a little for whoever has it open.
async fn open(builder: Builder) -> Result<Client, Failure> {
    let start = Instant::now();
    loop {
        match builder.clone().open().await {
            Err(error) if error.kind() == ErrorKind::InUse && start.elapsed() < BUSY => {
                tokio::time::sleep(BUSY_STEP).await;
            }
            other => return other.map_err(Into::into),
        }
    }
}
