//! The engine: everything the client knows and decides, without I/O.
//!
//! ```text
//! connected / reply / push / tick / commands --> Engine --> poll(): Send, Answered, Event
//!                                                  |
//!                                                Store (one transaction a step)
//! ```
//!
//! Inputs carry the time. Requests are pulled by [`Engine::poll`], sent by whoever drives, and
//! answered by [`Engine::reply`]; a connection that breaks answers none, and
//! [`Engine::disconnected`] puts everything that waits back to where it starts. What is sent was
//! stored before; what is shown is stored first.
//!
//! What it holds of a channel is in [`channel`], what it tells in [`event`]. Else one file a concern, each
//! an `impl Engine`: [`sync`] (ledger first, then channels), [`entering`], [`reading`], [`taking`] and
//! [`record`] (the log), [`heads`] (what the server signed), [`healing`], [`tracing`] and [`handing`]
//! (forks and returns), [`anew`] (coming back, groups without a live leaf), [`outgoing`], [`upkeep`]
//! (fence, additions), [`removing`], [`resting`] (memory), [`roster`] (names), [`heartbeat`],
//! [`horizon`] and [`ceiling`] (whom and what this device seals).

pub(crate) mod alarm;
mod anew;
pub(crate) mod ceiling;
mod channel;
mod clean_break;
mod clock;
mod custody;
pub(crate) mod devices;
mod entering;
mod event;
mod fitting;
mod handing;
mod heads;
mod healing;
mod heartbeat;
mod horizon;
mod idle;
pub(crate) mod misuse;
pub(crate) mod mls;
mod outgoing;
mod reading;
mod record;
mod recovery;
mod removing;
mod resting;
mod roster;
mod rotation;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod staged;
mod stamping;
mod sync;
mod taking;
mod tracing;
mod upkeep;
mod view;
mod wait;
mod welcoming;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use plenary_certs::{
    ledger::Standing,
    mls::{auth_data::AuthData, judge::LedgerHandle},
    signing::SigningKey,
};
use plenary_proto::{
    ids::{
        ChannelId, ClientId, DeviceId, Digest, ItemId, LedgerHead, PublicKey, RequestId, UnixMillis,
    },
    reply::{Failure, Hello, Push, Reply},
    request::Request,
};
use ring::rand::SystemRandom;

use crate::{
    error::{Error, ErrorKind},
    store::{Store, channels::Standing as In, identity::Identity},
};
use channel::Channel;
use heads::Heads;
use mls::{Group, GroupError, Mls};
use roster::Roster;
use wait::Wait;

pub use alarm::AlarmKind;
pub use clock::ClockTrouble;
pub use devices::{DeviceChange, DeviceNews};
pub use event::Event;
pub use misuse::Aside;
pub use recovery::Recovery;
pub(crate) use stamping::{SERVICE, ToStamp};

/// A statement comes before the profile it names: after so long, ask again.
const NAMES_AGAIN_MS: u64 = 3_000;

/// What the engine wants done or known.
#[derive(Debug)]
pub(crate) enum Output {
    /// To the server.
    Send(RequestId, Request),
    /// The answer to [`Engine::call`].
    Answered(RequestId, Result<Reply, Failure>),
    /// News.
    Event(Event),
    /// The other side is not who it must be: end the connection and do not come back by yourself.
    Distrust(Error),
}

/// Where the engine's random bytes come from.
pub(crate) trait Random: Send {
    /// Fills with them.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error>;
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        ring::rand::SecureRandom::fill(self, bytes)
            .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))
    }
}

/// What an answer is awaited for.
#[derive(Debug, Clone)]
enum Waiting {
    Ledger,
    Sealed,
    Roster(
        plenary_certs::profile::Generation,
        plenary_certs::profile::RosterKey,
    ),
    KeyPackages,
    Welcomes,
    Watch(Vec<ChannelId>),
    Read(ChannelId),
    Head(ChannelId),
    Trace(ChannelId),
    Entry(ChannelId),
    Found(ChannelId),
    Message(ChannelId, ClientId),
    Change(ChannelId, ClientId),
    Packages(ChannelId),
    Heartbeat,
    Countersign {
        channel: ChannelId,
        item: ItemId,
        statements: Vec<Digest>,
    },
    Forget,
    Call,
}

/// See the module.
pub(crate) struct Engine {
    store: Store,
    identity: Identity,
    ledger: LedgerHandle,
    mls: Mls,
    mls_key: SigningKey,
    random: Box<dyn Random>,
    /// The time of the newest input.
    clock: UnixMillis,
    roster: Roster,
    beat: heartbeat::Beat,
    disputes: misuse::Disputes,
    recoveries: recovery::Recoveries,
    stamping: stamping::Stamping,
    clocks: clock::Clocks,
    channels: BTreeMap<ChannelId, Channel>,
    online: bool,
    server: Option<Hello>,
    key_packages: u32,
    /// Key packages are not made before this: a server that loses them must not keep this device
    /// busy.
    refill_at: Wait,
    /// When the next admission ends; zero: to be looked for.
    ends_at: Option<UnixMillis>,
    /// When to ask again for statements that the server keeps back.
    ledger_at: Option<Wait>,
    /// When to ask again for names that are still missing.
    names_at: Wait,
    next_request: u64,
    waiting: BTreeMap<RequestId, Waiting>,
    out: VecDeque<Output>,
}

impl Engine {
    /// Opens the engine on a profile; verifies the whole ledger.
    pub(crate) fn open(store: Store, random: Box<dyn Random>) -> Result<Self, Error> {
        let identity = store.identity()?;
        let ledger = store.ledger(&identity)?;
        let mls_key = identity.mls_key()?;
        let mls = Mls::new(&store, &ledger, identity.device(), &mls_key);
        let mut channels = BTreeMap::new();
        for row in store.channels()? {
            let heads = Heads::load(&store, row.id, row.head.seq)?;
            let healing = store.healing(row.id)?;
            let returns = healing.is_some() && row.standing == In::Entering;
            let healing = healing.filter(|one| one.given_up);
            let channel = Channel {
                heads,
                gaps: store.gaps(row.id)?,
                trace: returns.then(|| row.head.into()),
                gave_up: healing.is_some(),
                stuck: healing.map(|one| one.why),
                ..Channel::new(row)
            };
            channels.insert(channel.row.id, channel);
        }
        let roster = Roster::load(&store)?;
        let beat = heartbeat::Beat::load(&store)?;
        let disputes = misuse::Disputes::load(&store, identity.root1())?;
        let recoveries = recovery::Recoveries::load(&store)?;
        let stamping = stamping::Stamping::load(&store)?;
        let mut engine = Self {
            store,
            identity,
            ledger,
            mls,
            mls_key,
            random,
            clock: UnixMillis(0),
            roster,
            beat,
            disputes,
            recoveries,
            stamping,
            clocks: clock::Clocks::default(),
            channels,
            online: false,
            server: None,
            key_packages: 0,
            refill_at: Wait::OVER,
            ends_at: Some(UnixMillis(0)),
            ledger_at: None,
            names_at: Wait::OVER,
            next_request: 1,
            waiting: BTreeMap::new(),
            out: VecDeque::new(),
        };
        engine.recall_heartbeat();
        Ok(engine)
    }

    /// The next thing to do; `None` until the next input.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// A request of the caller's own; answered by [`Output::Answered`].
    pub(crate) fn call(&mut self, request: Request) -> RequestId {
        self.ask(request, Waiting::Call)
    }

    /// The server answered.
    pub(crate) fn reply(
        &mut self,
        now: UnixMillis,
        id: RequestId,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.clock = now;
        let Some(waiting) = self.waiting.remove(&id) else {
            let what = "the server answered something that was not asked";
            self.alarm(None, AlarmKind::UnexpectedAnswer, what);
            return Ok(());
        };
        let reply = self.fitting(&waiting, reply);
        match waiting {
            Waiting::Call => {
                self.out.push_back(Output::Answered(id, reply));
                Ok(())
            }
            Waiting::Ledger => self.ledger_page(now, reply),
            Waiting::Sealed => self.sealed_list(now, reply),
            Waiting::Roster(generation, key) => self.rotated(now, generation, &key, &reply),
            Waiting::KeyPackages => {
                if let Ok(Reply::Count(count)) = reply {
                    self.packages_kept(count);
                }
                Ok(())
            }
            Waiting::Welcomes => self.welcome_list(now, reply),
            Waiting::Watch(asked) => self.heads(now, &asked, reply),
            Waiting::Read(channel) => self.records(now, channel, reply),
            Waiting::Head(channel) => self.head_answered(now, channel, reply),
            Waiting::Trace(channel) => self.traced(now, channel, reply),
            Waiting::Entry(channel) => self.group_state(now, channel, reply),
            Waiting::Found(channel) => self.founded(now, channel, reply),
            Waiting::Message(channel, message) => {
                self.message_answered(now, channel, message, reply)
            }
            Waiting::Change(channel, change) => self.change_answered(now, channel, change, reply),
            Waiting::Packages(channel) => self.packages_claimed(now, channel, reply),
            Waiting::Heartbeat => self.heartbeat_came(now, reply),
            Waiting::Countersign {
                channel,
                item,
                statements,
            } => self.countersigned(now, (channel, item), &statements, reply),
            Waiting::Forget => Ok(()),
        }
    }

    /// The server says something unasked.
    pub(crate) fn push(&mut self, now: UnixMillis, push: Push) -> Result<(), Error> {
        self.clock = now;
        match push {
            Push::Moved { channel, record } => {
                self.moved(channel, record);
                Ok(())
            }
            Push::Ledger(head) => {
                if self.ledger_head().seq < head.seq {
                    self.read_ledger();
                }
                Ok(())
            }
            Push::Welcome(_) => {
                self.ask(Request::Welcomes, Waiting::Welcomes);
                Ok(())
            }
            Push::KeyPackages(count) => {
                self.key_packages = count;
                self.refill_key_packages(now)
            }
            Push::Roster(generation) => {
                self.hear_of_roster(generation);
                Ok(())
            }
            Push::RosterWanted(device) => self.roster_wanted(now, device),
            Push::AdmissionRequest => {
                self.event(Event::AdmissionRequest);
                Ok(())
            }
            Push::Heartbeat(signed) => self.take_heartbeat(now, signed),
            Push::LinkRequest(link) => {
                self.event(Event::LinkRequest(link));
                Ok(())
            }
            Push::LinkAgain(link) => {
                self.event(Event::LinkAgain(link));
                Ok(())
            }
            Push::Bye { .. } => Ok(()),
        }
    }

    /// No more input waits: what was pushed meanwhile is processed, together.
    pub(crate) fn settle(&mut self, now: UnixMillis) -> Result<(), Error> {
        self.clock = now;
        for channel in self.channel_ids() {
            self.take_pushed(now, channel)?;
        }
        Ok(())
    }

    /// Time passed: what was put off is done.
    pub(crate) fn tick(&mut self, now: UnixMillis) -> Result<(), Error> {
        self.clock = now;
        if self.server.is_some() && self.ledger_at.is_some_and(|at| at.is_over(now)) {
            self.ledger_at = None;
            self.read_ledger();
        }
        self.settle_groups(now)?;
        if !self.online {
            return Ok(());
        }
        if self.names_at.is_over(now) {
            self.names_at = Wait::of(NAMES_AGAIN_MS, now);
            self.ask_names();
        }
        self.watch_heartbeat(now);
        self.tell_recovery(now)?;
        self.watch_ends(now)?;
        self.watch_roster(now)?;
        for channel in self.channel_ids() {
            self.advance(now, channel)?;
        }
        Ok(())
    }

    /// Does whatever a channel needs next.
    fn advance(&mut self, now: UnixMillis, id: ChannelId) -> Result<(), Error> {
        let Some(channel) = self.channels.get(&id) else {
            return Ok(());
        };
        if !self.online || channel.stuck.is_some() || !channel.not_before.is_over(now) {
            return Ok(());
        }
        match channel.row.standing {
            In::Entering => self.enter_step(now, id),
            In::Out => Ok(()),
            In::Parted => self.come_back(now, id),
            In::In if channel.row.head.seq < channel.server => {
                self.read_on(id);
                Ok(())
            }
            In::In => {
                if !self.is_sound(now, id)? {
                    return Ok(());
                }
                self.change_step(now, id)?;
                self.custody_step(now, id)?;
                self.send_step(now, id)?;
                self.hand_step(now, id)?;
                self.head_step(now, id);
                Ok(())
            }
        }
    }

    fn ask(&mut self, request: Request, waiting: Waiting) -> RequestId {
        let id = RequestId(self.next_request);
        self.next_request += 1;
        self.waiting.insert(id, waiting);
        self.out.push_back(Output::Send(id, request));
        id
    }

    fn event(&mut self, event: Event) {
        self.out.push_back(Output::Event(event));
    }

    fn channel_ids(&self) -> Vec<ChannelId> {
        self.channels.keys().copied().collect()
    }

    fn ledger_head(&self) -> LedgerHead {
        self.ledger.read(|ledger| ledger.head())
    }

    fn device(&self) -> DeviceId {
        self.identity.device()
    }

    /// Whether the newest ledger has this device in.
    pub(crate) fn standing(&self, now: UnixMillis) -> Standing {
        self.ledger
            .read(|ledger| ledger.standing(self.device(), ledger.head().seq, now))
    }

    /// A fresh mark for an append: UUID v7 over the injected randomness, so marks sort by time.
    fn client_id(&self, now: UnixMillis) -> Result<ClientId, Error> {
        let mut random = [0; 10];
        self.fill(&mut random)?;
        let uuid = uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid();
        Ok(ClientId(*uuid.as_bytes()))
    }

    fn fill(&self, bytes: &mut [u8]) -> Result<(), Error> {
        self.random.fill(bytes)
    }

    /// Up to so many milliseconds, to spread what many devices do at once.
    fn jitter(&self, up_to: u64) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes) % up_to.max(1))
    }

    /// What a commit or message made now says of this device's knowledge. Never goes back: the
    /// time is at least that of the commit before.
    fn auth_data(&self, now: UnixMillis, channel: &Channel, authenticator: [u8; 8]) -> AuthData {
        let time = channel.row.basis.map_or(now, |basis| basis.time.max(now));
        AuthData {
            ledger: self.ledger_head(),
            time,
            seen: channel.row.head,
            epoch_authenticator: authenticator,
        }
    }

    /// The group of a channel this device is in, loaded if need be.
    fn group(&mut self, id: ChannelId) -> Result<&mut Group, GroupError> {
        let channel = self.channels.get_mut(&id).ok_or(GroupError::Missing)?;
        match channel.group {
            Some(ref mut group) => Ok(group),
            None => {
                // If it cannot be loaded, what is kept of it does not hide that.
                channel.resting = None;
                let group = self.mls.load(id)?;
                let quiet = Wait::of(resting::QUIET_MS, self.clock);
                channel.settle_at = group.is_unsettled().then_some(quiet);
                Ok(channel.group.insert(group))
            }
        }
    }

    /// After a failure the group in memory may be ahead of the store.
    fn drop_group(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.group = None;
            channel.resting = None;
        }
    }

    /// Runs one step on a channel that is on disk afterwards; on failure its group is loaded again.
    fn step<T>(
        &mut self,
        id: ChannelId,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let result = store.atomic(|| work(self));
        if result.is_err() {
            self.drop_group(id);
        }
        result
    }

    /// As [`Self::step`], for what came from the server and can be had again.
    fn reading_step<T>(
        &mut self,
        id: ChannelId,
        work: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let store = self.store.clone();
        let result = store.relaxed(|| work(self));
        if result.is_err() {
            self.drop_group(id);
        }
        result
    }

    fn server_key(&self) -> Option<PublicKey> {
        self.ledger.read(|ledger| ledger.server_key())
    }
}

impl From<GroupError> for Error {
    fn from(error: GroupError) -> Self {
        use plenary_certs::mls::judge::JudgeError;
        let kind = match &error {
            GroupError::Judged(JudgeError::NotAllowed { .. } | JudgeError::NotLive { .. }) => {
                ErrorKind::NotAllowed
            }
            GroupError::Judged(JudgeError::LedgerAhead { .. } | JudgeError::Fenced(_)) => {
                ErrorKind::Unavailable
            }
            GroupError::Beyond(_) => ErrorKind::NotAllowed,
            GroupError::Judged(_)
            | GroupError::Invalid(_)
            | GroupError::OtherEpoch
            | GroupError::Used => ErrorKind::Integrity,
            GroupError::Missing => ErrorKind::NotFound,
            GroupError::Store(_) => ErrorKind::Store,
        };
        Self::new(kind, error.to_string())
    }
}
