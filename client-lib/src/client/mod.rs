//! The handle that applications hold.

mod aside;
mod audit;
mod begun;
mod board;
mod clean_break;
mod consumer;
mod custody;
mod devices;
mod discuss;
mod export;
mod heartbeat;
mod items;
mod keeping;
mod ledger;
mod link;
mod people;
mod profile;
mod removing;
mod search;
mod stamps;
mod streams;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use plenary_certs::ledger::{Freshness, Standing};
use plenary_proto::ids::{DeviceId, Digest, LedgerSeq, MemberId, NetworkId, UnixMillis};
use ring::rand::SystemRandom;
use secrecy::SecretString;
use tokio::sync::broadcast;

pub use aside::Checked;
pub use begun::{DownloadBegun, UploadBegun};
pub use board::{
    BoardKeyFile, ChannelChange, Holder, NewBoard, NewChannel, PendingAdmission, PolicyChange,
    RequestFile, Requested, RootChange,
};
pub use clean_break::CleanBreakCertificate;
pub use consumer::Consumer;
pub use custody::{CustodyRecord, Receipt, Receipts, Stated};
pub use devices::DeviceInfo;
pub use discuss::{ChannelInfo, Message, Outgoing, Presence};
pub use export::Original;
pub use heartbeat::{Beat, HeartbeatKeyFile, HeartbeatMachine, Note};
pub use items::SendFile;
pub use keeping::{Kept, Usage};
pub use ledger::{Notice, Signatory};
pub use link::{LinkCode, Linking, PendingLink};
pub use people::{Audience, AudienceChange, MemberInfo};
pub use profile::{Admission, BoardPerson, Founding, Joining, Person};
#[cfg(any(test, feature = "simulation"))]
pub(crate) use search::look;
pub use search::{Found, Search};
pub use stamps::TimeStamping;

use crate::{
    engine::{ClockTrouble, Engine, Event, Recovery},
    error::{Error, ErrorKind},
    net::driver::Driver,
    store::{Store, alarms::Alarm},
    transfer::Desk,
};

/// A profile on the network: discuss, hand over files, follow the ledger.
///
/// Cheap to clone; all clones share one connection and one store. Works offline: what is sent is
/// kept and goes out when the server is back. Dropping the last clone closes the profile, and waits
/// for what is being written; [`Client::close`] waits without holding up the thread.
#[derive(Clone)]
pub struct Client {
    driver: Driver,
    device: DeviceId,
    member: MemberId,
    network: NetworkId,
    folder: Arc<Path>,
    desk: Desk,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?}, {:?})", self.member, self.device)
    }
}

/// Opens, founds or joins: see [`Client::builder`].
#[derive(Debug, Clone)]
pub struct Builder {
    folder: PathBuf,
    passphrase: SecretString,
    online: bool,
}

/// How a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// The network.
    pub network: NetworkId,
    /// The hash of ROOT 1, which everything is verified from.
    pub root1: Digest,
    /// This member.
    pub member: MemberId,
    /// This device.
    pub device: DeviceId,
    /// What the ledger says of this device.
    pub standing: Standing,
    /// Authenticated, the ledger verified up to the server's.
    pub online: bool,
    /// Online, and everything that the server was heard to have is read.
    pub caught_up: bool,
    /// Statements verified.
    pub ledger: LedgerSeq,
    /// Whether somebody vouches that this ledger is the newest; what follows if nobody does.
    pub freshness: Freshness,
    /// The newest heartbeat: when, and up to which statement it vouched for the ledger.
    pub heartbeat: Option<(UnixMillis, LedgerSeq)>,
    /// A recovery of the Board that somebody should know of.
    pub recovery: Option<Recovery>,
    /// What is wrong with the clocks, as far as was heard since this client was opened.
    pub clock: Option<ClockTrouble>,
    /// Messages waiting to be acknowledged by the server.
    pub queued: u64,
    /// Messages stored here.
    pub messages: u64,
}

impl Client {
    /// Begins with the profile's folder and the passphrase that seals it.
    pub fn builder(folder: impl Into<PathBuf>, passphrase: SecretString) -> Builder {
        Builder {
            folder: folder.into(),
            passphrase,
            online: true,
        }
    }

    /// The network.
    pub fn network(&self) -> NetworkId {
        self.network
    }

    /// This member.
    pub fn member(&self) -> MemberId {
        self.member
    }

    /// This device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// How it is now.
    pub async fn status(&self) -> Result<Status, Error> {
        let (network, member, device) = (self.network, self.member, self.device);
        self.driver
            .run(move |engine, now| {
                Ok(Status {
                    network,
                    root1: engine.identity().root1(),
                    member,
                    device,
                    standing: engine.standing(now),
                    online: engine.is_online(),
                    caught_up: engine.is_caught_up(),
                    ledger: engine.ledger_seq(),
                    freshness: engine.freshness(now),
                    recovery: engine.recovery(),
                    clock: engine.clock_trouble(),
                    heartbeat: engine.heartbeat().map(|beat| (beat.time, beat.head.seq)),
                    queued: engine.store().queued(None)?,
                    messages: engine.store().message_count()?,
                })
            })
            .await
    }

    /// Alarms that nobody has acknowledged yet, the first raised first. They outlive a restart.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        self.driver.run(|engine, _| engine.store().alarms()).await
    }

    /// Acknowledges all alarms raised so far.
    pub async fn clear_alarms(&self) -> Result<(), Error> {
        self.driver
            .run(|engine, _| engine.store().clear_alarms())
            .await
    }

    /// News from now on. A reader that falls behind loses the oldest; what they tell of stays in
    /// the store.
    pub fn events(&self) -> Events {
        Events(self.driver.events())
    }

    /// Waits until the connection stands and the ledger is verified up to the server's.
    ///
    /// Errors: [`ErrorKind::Offline`] after `patience`; [`ErrorKind::Trust`] or
    /// [`ErrorKind::Unauthenticated`] as soon as that is known.
    pub async fn online(&self, patience: Duration) -> Result<(), Error> {
        self.reaches(patience, Engine::is_online).await
    }

    /// Waits until it is online and everything that the server was heard to have is read: names,
    /// and the messages of every channel it is in. Errors as [`Client::online`].
    pub async fn caught_up(&self, patience: Duration) -> Result<(), Error> {
        self.reaches(patience, Engine::is_caught_up).await
    }

    async fn reaches(&self, patience: Duration, there: fn(&Engine) -> bool) -> Result<(), Error> {
        let mut events = self.events();
        let wait = async {
            loop {
                if self.driver.run(move |engine, _| Ok(there(engine))).await? {
                    return Ok(());
                }
                let hopeless = |error: &Error| {
                    matches!(error.kind(), ErrorKind::Trust | ErrorKind::Unauthenticated)
                };
                if let Some(error) = self.driver.trouble().filter(hopeless) {
                    return Err(error);
                }
                // Bounded: trouble is no event.
                let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
            }
        };
        tokio::time::timeout(patience, wait)
            .await
            .unwrap_or_else(|_| {
                Err(self.driver.trouble().unwrap_or_else(|| {
                    Error::new(
                        ErrorKind::Offline,
                        "the server could not be reached in time",
                    )
                }))
            })
    }

    /// Stops: the store is closed when this returns.
    pub async fn close(self) {
        self.driver.close().await;
    }
}

/// News of a client: see [`Client::events`].
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

impl Events {
    /// The next one; `None` once the client is closed.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Builder {
    /// Stays away from the network: reads what is stored, queues what is sent.
    pub fn offline(mut self) -> Self {
        self.online = false;
        self
    }

    /// Opens a profile.
    ///
    /// Errors: [`ErrorKind::NotAProfile`], [`ErrorKind::WrongPassphrase`], [`ErrorKind::InUse`],
    /// [`ErrorKind::Store`].
    pub async fn open(self) -> Result<Client, Error> {
        let Self {
            folder,
            passphrase,
            online,
        } = self;
        let kept: Arc<Path> = folder.clone().into();
        let (identity, driver) = Driver::start(
            move || {
                let store = Store::open(&folder, &passphrase)?;
                Engine::open(store, Box::new(SystemRandom::new()))
            },
            online,
        )
        .await?;
        if online {
            tokio::spawn(stamps::attend(driver.downgrade(), driver.events()));
        }
        let client = Client {
            driver,
            device: identity.device(),
            member: identity.member(),
            network: identity.network(),
            folder: kept,
            desk: Desk::default(),
        };
        client.sweep_spools().await?;
        Ok(client)
    }
}
