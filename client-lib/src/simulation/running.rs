//! Letting the world run, and looking at what came of it.

use plenary_proto::{
    ids::{ChannelId, ClientId, DeviceId, LedgerHead, MemberId, Seq},
    label::Label,
};

use super::{Dice, MemberKeys, Passing, world::World};
use crate::{
    content::{Content, Draft, Kind, Salt},
    engine::{AlarmKind, Engine, Event, Output},
    error::Error,
    store::Loss,
};

impl World {
    /// Runs until nothing moves at this moment.
    ///
    /// # Panics
    /// If that never happens: engines that keep each other or the server busy without end.
    pub fn settle(&mut self) {
        for round in 0.. {
            assert!(round < 20_000, "the world does not come to rest");
            let mut moved = false;
            for index in 0..self.parties.len() {
                moved |= self.step(index);
            }
            if !moved {
                let mut passing = Passing::default();
                if let Some(wire) = &mut self.wire {
                    wire.idle(self.now, &mut passing);
                }
                if passing.is_empty() {
                    return;
                }
                self.pass(passing);
            }
        }
    }

    /// Runs for ten seconds of the world's time.
    pub fn run(&mut self) {
        self.run_for(10_000);
    }

    /// Runs for so many milliseconds of the world's time, in steps of 250.
    pub fn run_for(&mut self, millis: u64) {
        for _ in 0..millis.div_ceil(250) {
            self.settle();
            self.now = self.now.plus(250);
            self.tick();
        }
        self.settle();
    }

    /// Everybody's clock moves on.
    pub(super) fn tick(&mut self) {
        for index in 0..self.parties.len() {
            let party = &mut self.parties[index];
            let ticked = party.engine.tick(party.clock(self.now));
            party.fed = true;
            self.survive(index, ticked);
        }
    }

    /// Moves the time on, once nothing moves any more at this moment.
    pub fn pass_time(&mut self, millis: u64) {
        self.settle();
        self.now = self.now.plus(millis);
        self.tick();
        self.settle();
    }

    /// One thing that a party wants done, or everything that waits for it; whether there was any.
    pub fn step(&mut self, index: usize) -> bool {
        let party = &mut self.parties[index];
        match party.engine.poll() {
            Some(Output::Send(id, request)) => {
                self.transmit(index, id, request);
                return true;
            }
            Some(Output::Event(event)) => {
                party.events.push(event);
                return true;
            }
            Some(Output::Answered(_, result)) => {
                party.answers.push(result);
                return true;
            }
            Some(Output::Distrust(error)) => {
                party.trouble.push(error);
                self.disconnect(index);
                return true;
            }
            None => {}
        }
        let connected = self.is_connected(index);
        let moved = self.receive(index);
        let party = &mut self.parties[index];
        if connected && std::mem::take(&mut party.fed) {
            let settled = party.engine.settle(party.clock(self.now));
            self.survive(index, settled);
        }
        moved
    }

    /// The server's daily sweep, as it would be so many days from now.
    pub fn trim(&mut self, days: u64) {
        let then = self.now.plus(days * 24 * 3_600_000);
        super::block(self.network.trim(then)).unwrap();
    }

    /// A party asks to be in a channel.
    pub fn enter(&mut self, index: usize, channel: ChannelId) {
        self.try_enter(index, channel).unwrap();
    }

    /// Everybody does, and time passes.
    pub fn enter_all(&mut self, channel: ChannelId) {
        (0..self.parties.len()).for_each(|index| self.enter(index, channel));
        self.run();
    }

    /// A party tries to be in a channel.
    pub fn try_enter(&mut self, index: usize, channel: ChannelId) -> Result<(), Error> {
        let party = &mut self.parties[index];
        party.engine.enter(party.clock(self.now), channel)
    }

    /// A party founds a direct channel.
    pub fn direct(&mut self, index: usize, with: &[MemberId]) -> ChannelId {
        self.try_direct(index, with).unwrap()
    }

    /// A party tries to found a direct channel.
    pub fn try_direct(&mut self, index: usize, with: &[MemberId]) -> Result<ChannelId, Error> {
        let party = &mut self.parties[index];
        party.engine.direct(party.clock(self.now), with)
    }

    /// A party sends a text.
    pub fn send(&mut self, index: usize, channel: ChannelId, text: &str) -> ClientId {
        self.try_send(index, channel, text).unwrap()
    }

    /// The same under a TLP label.
    pub fn send_labelled(
        &mut self,
        index: usize,
        channel: ChannelId,
        text: &str,
        label: Label,
    ) -> ClientId {
        let salt = Salt(self.dice.bytes());
        let content = Draft::text(text).label(label).into_content(salt).unwrap();
        let party = &mut self.parties[index];
        let content = content.encode().unwrap();
        let now = party.clock(self.now);
        party.engine.send(now, channel, &content).unwrap()
    }

    /// A party tries to.
    pub fn try_send(
        &mut self,
        index: usize,
        channel: ChannelId,
        text: &str,
    ) -> Result<ClientId, Error> {
        let salt = Salt(self.dice.bytes());
        let content = Draft::text(text).into_content(salt).unwrap();
        let party = &mut self.parties[index];
        let now = party.clock(self.now);
        party.engine.send(now, channel, &content.encode().unwrap())
    }

    /// The texts that a party shows, in its order.
    pub fn texts(&self, index: usize, channel: ChannelId) -> Vec<String> {
        let store = self.parties[index].engine.store();
        let rows = store.messages(channel, Seq(0), 10_000).unwrap();
        rows.iter()
            .map(|row| {
                let content = Content::decode(&row.content).unwrap();
                match content.kind() {
                    Kind::Text { text, .. } => text.to_owned(),
                    other => format!("{other:?}"),
                }
            })
            .collect()
    }

    /// The devices in a channel as a party has it; none if it is not in.
    pub fn devices_in(&mut self, index: usize, channel: ChannelId) -> Vec<DeviceId> {
        let engine = &mut self.parties[index].engine;
        engine.devices_in(channel).unwrap_or_default()
    }

    /// How far a party has verified the ledger.
    pub fn ledger_of(&self, index: usize) -> LedgerHead {
        let engine = &self.parties[index].engine;
        engine.read_ledger_with(|ledger| ledger.head())
    }

    /// The roster keys that a party holds, newest first.
    pub fn roster_keys(&self, index: usize) -> Vec<(u32, [u8; 32])> {
        let keys = self.parties[index].engine.store().roster_keys().unwrap();
        keys.into_iter()
            .map(|(generation, key)| (generation.number, *key))
            .collect()
    }

    /// How many messages of a party wait to be sent.
    pub fn queued(&self, index: usize) -> u64 {
        self.parties[index].engine.store().queued(None).unwrap()
    }

    /// As after a crash: the store is all that is left.
    pub fn restart(&mut self, index: usize) {
        self.lose(index, Loss::Process);
    }

    /// A party's program is gone, and so is what the loss takes from its store; it starts again.
    pub fn lose(&mut self, index: usize, loss: Loss) {
        self.disconnect(index);
        let party = &mut self.parties[index];
        // What it told before it died was told.
        while let Some(output) = party.engine.poll() {
            if let Output::Event(event) = output {
                party.events.push(event);
            }
        }
        let store = party.engine.store().after(loss).unwrap();
        self.restarts += 1;
        let dice = self.dice.split(1_000 * self.restarts + index as u64);
        party.engine = Engine::open(store, Box::new(dice)).unwrap();
        party.fed = true;
    }

    /// What a party's device holds.
    pub fn keys(&self, index: usize) -> MemberKeys {
        let identity = self.parties[index].engine.identity();
        let key = |seed| plenary_certs::signing::SigningKey::from_seed(seed).unwrap();
        MemberKeys {
            network: identity.network(),
            member: identity.member(),
            device: identity.device(),
            authentication: key(&identity.authentication),
            mls: key(&identity.mls),
            sealing: (identity.sealing.clone(), identity.sealing_public.clone()),
        }
    }

    /// The world's chance.
    pub fn dice(&self) -> &Dice {
        &self.dice
    }

    /// Every alarm of everybody, in order.
    pub fn alarms(&self) -> Vec<&Event> {
        let events = self.parties.iter().flat_map(|party| &party.events);
        events
            .filter(|event| matches!(event, Event::Alarm { .. }))
            .collect()
    }

    /// The kinds of a party's alarms, in order.
    pub fn alarm_kinds(&self, index: usize) -> Vec<AlarmKind> {
        let events = self.parties[index].events.iter();
        events
            .filter_map(|event| match event {
                Event::Alarm { kind, .. } => Some(*kind),
                _ => None,
            })
            .collect()
    }
}
