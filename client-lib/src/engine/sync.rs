//! From a fresh connection to online: the ledger first, then everything that depends on it.

use plenary_certs::{ledger::Standing, misuse::Misuse};
use plenary_proto::{
    ids::{ChannelId, LedgerSeq, UnixMillis},
    limits,
    reply::{Failure, Hello, Reply},
    request::Request,
};

use super::{AlarmKind, Engine, Event, In, Output, Wait, Waiting};
use crate::error::{Error, ErrorKind};

const WRONG_KEY: &str = "the server's key is not the one that the Board's ledger names";
/// Refill when fewer key packages than this are on the server.
const KEY_PACKAGES_LOW: u32 = 8;
/// Between one refill of key packages and the next.
const REFILL_MS: u64 = 30_000;
/// How long before statements are asked for again that the server denies or keeps back.
const WITHHELD_MS: u64 = 5_000;

impl Engine {
    /// Authenticated: `hello` as the server said it, `key_packages` as left there.
    pub(crate) fn connected(&mut self, now: UnixMillis, hello: Hello, key_packages: u32) {
        self.clock = now;
        self.clocks.server(hello.time, now);
        self.tell_clock();
        self.key_packages = key_packages;
        if let Err((kind, what)) = self.check_hello(&hello) {
            self.distrust(kind, Error::new(ErrorKind::Trust, what));
            return;
        }
        let behind = self.ledger_head().seq < hello.ledger.seq || self.ledger_head().seq.0 == 0;
        self.server = Some(hello);
        if behind {
            self.read_ledger();
        } else {
            self.out
                .push_back(Output::Event(Event::Ledger(self.ledger_head())));
            self.waiting.clear();
            if let Err(error) = self.look_for_recoveries(now) {
                // Looked at again when the ledger moves; the store says what is wrong by then.
                tracing::warn!(%error, "recoveries");
            }
            self.go_online(now);
        }
    }

    /// The connection is gone: nothing that was asked will be answered.
    pub(crate) fn disconnected(&mut self) {
        if std::mem::take(&mut self.online) {
            self.event(Event::Offline);
        }
        self.server = None;
        self.beat.disconnected();
        // What was to be sent is asked for again after the next connection.
        self.out
            .retain(|output| !matches!(output, Output::Send(..)));
        for (id, waiting) in std::mem::take(&mut self.waiting) {
            if matches!(waiting, Waiting::Call) {
                let failure = Failure::new(
                    plenary_proto::reply::Code::Unavailable,
                    "the connection was lost before the answer: try again",
                );
                self.out.push_back(Output::Answered(id, Err(failure)));
            }
        }
        for channel in self.channels.values_mut() {
            channel.reading = false;
            channel.appending = false;
            channel.pushed.clear();
            channel.heard = false;
            channel.look_for_missing = true;
            channel.not_before = Wait::OVER;
            channel.needs_ledger = None;
            // The next connection may be with a server that tells the truth.
            if !channel.gave_up {
                channel.stuck = None;
            }
            channel.heads.forget_asked();
        }
    }

    fn check_hello(&self, hello: &Hello) -> Result<(), (AlarmKind, &'static str)> {
        if hello.network != self.identity.network() {
            return Err((
                AlarmKind::OtherNetwork,
                "the server serves another network than this profile's",
            ));
        }
        let own = self.ledger_head();
        // Statements that are unknown here may name another key: they are read before anything else.
        if !self.is_named(hello) && hello.ledger.seq <= own.seq {
            return Err((AlarmKind::WrongServerKey, WRONG_KEY));
        }
        let known = self.ledger.read(|ledger| ledger.head_at(hello.ledger.seq));
        match known {
            Some(head) if head.hash != hello.ledger.hash => Err((
                AlarmKind::LedgerForked,
                "the server shows another ledger than the one verified here",
            )),
            Some(_) if hello.ledger.seq < own.seq => Err((
                AlarmKind::LedgerRolledBack,
                "the server's ledger is shorter than the one verified here: it was rolled back",
            )),
            _ => Ok(()),
        }
    }

    /// Whether the server's key is the one that the ledger names by now, or none is named yet.
    fn is_named(&self, hello: &Hello) -> bool {
        self.server_key().is_none_or(|key| key == hello.server_key)
    }

    /// Whether whoever is connected is the server that the ledger names. Before that it is asked for
    /// the ledger only.
    pub(crate) fn knows_server(&self) -> bool {
        self.server
            .as_ref()
            .is_none_or(|hello| self.is_named(hello))
    }

    pub(super) fn read_ledger(&mut self) {
        if self
            .waiting
            .values()
            .any(|waiting| matches!(waiting, Waiting::Ledger))
        {
            return;
        }
        let after = self.ledger_head().seq;
        self.ask(
            Request::LedgerRead {
                after,
                limit: limits::LEDGER_PAGE,
            },
            Waiting::Ledger,
        );
    }

    pub(super) fn ledger_page(
        &mut self,
        now: UnixMillis,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let (statements, head) = match reply {
            Ok(Reply::LedgerPage { statements, head }) => (statements, head),
            Ok(_) => return Ok(()),
            Err(failure) => {
                tracing::warn!(%failure, "the ledger could not be read");
                return Ok(());
            }
        };
        let got_some = !statements.is_empty();
        let before = self.ledger_head().seq;
        if let Err(error) = self.append_statements(&statements) {
            if error.kind() == ErrorKind::Store {
                return Err(error);
            }
            self.raise_misuse()?;
            self.distrust(AlarmKind::ForgedStatement, error);
            return Ok(());
        }
        self.tell_device_news(before);
        let own = self.ledger_head();
        if own.seq < head.seq {
            if got_some {
                self.read_ledger();
            } else if !self.knows_server() {
                self.distrust_key();
            } else {
                let (named, own) = (head.seq.0, own.seq.0);
                let what =
                    format!("the server says that it has {named} statements and gives {own}");
                self.alarm(None, AlarmKind::LedgerWithheld, what);
                self.ledger_at = Some(Wait::of(WITHHELD_MS, now));
            }
            return Ok(());
        }
        if own.seq > head.seq {
            let what = "the server's ledger became shorter than it was";
            let error = Error::new(ErrorKind::Trust, what);
            self.distrust(AlarmKind::LedgerRolledBack, error);
            return Ok(());
        }
        if own.seq == head.seq && own.hash != head.hash {
            let error = Error::new(ErrorKind::Trust, "the server's ledger ends in another hash");
            self.distrust(AlarmKind::LedgerForked, error);
            return Ok(());
        }
        if got_some {
            self.event(Event::Ledger(own));
        }
        self.ledger_moved(now)
    }

    /// Verifies and stores statements: each in memory and on disk, or the rest not at all.
    pub(crate) fn append_statements(&mut self, statements: &[bytes::Bytes]) -> Result<(), Error> {
        if !statements.is_empty() {
            self.recall_messages();
        }
        let store = self.store.clone();
        store.atomic(|| {
            for signed in statements {
                let head = self
                    .ledger
                    .write(|ledger| ledger.append(signed))
                    .map_err(|error| {
                        let misuse = self.ledger.read(|ledger| Misuse::find(ledger, signed));
                        if let Some(misuse) = misuse {
                            self.disputes.found(misuse);
                        }
                        Error::new(
                            ErrorKind::Trust,
                            format!("the server sent a statement that does not hold: {error}"),
                        )
                    });
                match head {
                    Ok(head) => store.put_statement(head.seq, signed)?,
                    Err(error) => {
                        // What came before it holds and stays; the rest is not believed.
                        tracing::warn!(%error, "statement refused");
                        return Ok(Err(error));
                    }
                }
            }
            Ok(Ok(()))
        })?
    }

    /// Messages that are sealed and have not left are kept back: the statement that comes may put
    /// somebody out who could open them. Each is looked at again when its channel goes on.
    fn recall_messages(&mut self) {
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Send(asked, Request::Append(append)) if append.commit.is_none() => {
                    self.waiting.remove(&asked);
                    self.appending(append.channel, false);
                }
                output => self.out.push_back(output),
            }
        }
    }

    fn ledger_moved(&mut self, now: UnixMillis) -> Result<(), Error> {
        let own = self.ledger_head();
        if !self.knows_server() {
            self.distrust_key();
            return Ok(());
        }
        self.look_for_recoveries(now)?;
        self.heartbeat_again(now)?;
        if !self.online {
            self.go_online(now);
        }
        self.ask_names();
        self.note_ends(now);
        self.refill_key_packages(now)?;
        for channel in self.channel_ids() {
            let Some(known) = self.channels.get_mut(&channel) else {
                continue;
            };
            known.look_for_missing = true;
            if let Some(named) = known.needs_ledger.take() {
                if own.seq < named {
                    self.ledger_is_withheld(now, channel, named);
                } else {
                    self.channels
                        .entry(channel)
                        .and_modify(|known| known.not_before = Wait::OVER);
                    self.read_on(channel);
                }
            }
            self.plan_fence(now, channel)?;
            self.advance(now, channel)?;
            self.rest(now, channel)?;
        }
        Ok(())
    }

    fn distrust_key(&mut self) {
        let error = Error::new(ErrorKind::Trust, WRONG_KEY);
        self.distrust(AlarmKind::WrongServerKey, error);
    }

    /// A member works with statements that the server says it does not have.
    fn ledger_is_withheld(&mut self, now: UnixMillis, id: ChannelId, named: LedgerSeq) {
        let what = format!(
            "a member has statement {} of the ledger; the server says that there are {}",
            named.0,
            self.ledger_seq().0
        );
        self.alarm(Some(id), AlarmKind::LedgerWithheld, what);
        // Reading comes to the same record again, and asks for the ledger again.
        self.put_off(now, id, WITHHELD_MS);
    }

    fn go_online(&mut self, now: UnixMillis) {
        let own = self.ledger_head().seq;
        if self
            .server
            .as_ref()
            .is_none_or(|hello| hello.ledger.seq > own)
        {
            return;
        }
        self.online = true;
        self.event(Event::Online);
        self.ask_heartbeat(now);
        self.ask_names();
        self.ask(Request::Welcomes, Waiting::Welcomes);
        let channels: Vec<_> = self
            .channels
            .values()
            .filter(|channel| channel.row.standing == In::In)
            .map(|channel| channel.row.id)
            .collect();
        self.ask(Request::Watch(channels.clone()), Waiting::Watch(channels));
    }

    pub(super) fn heads(
        &mut self,
        now: UnixMillis,
        asked: &[ChannelId],
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        self.refill_key_packages(now)?;
        for id in asked {
            if let Some(channel) = self.channels.get_mut(id) {
                channel.heard = true;
            }
        }
        if let Ok(Reply::Heads(heads)) = reply {
            // Left out: this device is no longer in it. Reading says so.
            for id in asked {
                if !heads.iter().any(|(channel, _)| channel == id) {
                    self.read_on(*id);
                }
            }
            for (id, head) in heads {
                let Some(channel) = self.channels.get_mut(&id) else {
                    continue;
                };
                channel.server = channel.server.max(head.seq);
                let own = channel.row.head;
                if head.seq == own.seq && head.hash != own.hash {
                    self.alarm(
                        Some(id),
                        AlarmKind::LogForked,
                        "the server's log ends in another hash than the one read here",
                    );
                    self.other_log(now, id)?;
                } else if head.seq < own.seq {
                    self.alarm(
                        Some(id),
                        AlarmKind::LogRolledBack,
                        "the server's log is shorter than what it acknowledged",
                    );
                    self.other_log(now, id)?;
                }
            }
        }
        for channel in self.channel_ids() {
            self.plan_fence(now, channel)?;
            self.advance(now, channel)?;
            self.rest(now, channel)?;
        }
        self.tick(now)
    }

    pub(super) fn refill_key_packages(&mut self, now: UnixMillis) -> Result<(), Error> {
        let under_way = self
            .waiting
            .values()
            .any(|waiting| matches!(waiting, Waiting::KeyPackages));
        let needed = self.online
            && !under_way
            && self.refill_at.is_over(now)
            && self.key_packages < KEY_PACKAGES_LOW
            && self.standing(now) == Standing::Live;
        if !needed {
            return Ok(());
        }
        self.refill_at = Wait::of(REFILL_MS, now);
        let missing = (limits::KEY_PACKAGES as u32).saturating_sub(self.key_packages);
        let store = self.store.clone();
        let (packages, last_resort) = store.atomic(|| {
            self.mls.erase_expired(now)?;
            let packages: Result<Vec<_>, _> = (0..missing)
                .map(|_| self.mls.key_package(now, false).map(bytes::Bytes::from))
                .collect();
            let last_resort = self.mls.key_package(now, true)?;
            Ok((packages?, last_resort.into()))
        })?;
        self.ask(
            Request::PutKeyPackages {
                packages,
                last_resort: Some(last_resort),
            },
            Waiting::KeyPackages,
        );
        Ok(())
    }

    /// How many key packages the server has, right after it was given enough.
    pub(super) fn packages_kept(&mut self, count: u32) {
        self.key_packages = count;
        if count < KEY_PACKAGES_LOW {
            let what = format!(
                "the server keeps {count} key packages of those it was just given: \
                 this device can hardly be added to channels"
            );
            self.alarm(None, AlarmKind::KeyPackage, what);
        }
    }

    /// How far the ledger is verified here.
    pub(crate) fn ledger_seq(&self) -> LedgerSeq {
        self.ledger_head().seq
    }
}
