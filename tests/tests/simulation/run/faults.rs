//! What befalls the clients of a run and the server.

use plenary_certs::ledger::{Body, EntryRule, Reason, Revoke, Suspend, Target};
use plenary_client::simulation::Loss;
use plenary_proto::ids::ChannelId;

use super::{Run, grant};
use crate::weather::LIES;

/// Devices revoked for good, over a whole run: each of a member that has another one.
const REVOCATIONS: usize = 12;
/// So far may a sender's clock be ahead of the server's.
const BEARABLE_MS: i64 = 4 * 60_000;

impl Run {
    /// One thing that befalls somebody.
    pub(super) fn befall(&mut self) {
        self.faults += 1;
        let party = self.someone();
        let now = self.world.now;
        let what = self.dice.below(if self.plan.hostile { 120 } else { 100 });
        match what {
            0..12 => {
                let many = 1 + self.dice.below(1 + self.plan.clients / 3);
                let until = now.plus(1_000 + self.dice.below(60_000) as u64);
                for _ in 0..many {
                    let party = self.someone();
                    self.world.disconnect(party);
                    self.away.insert(party, until);
                }
                self.fault(party, "partition", &format!("{many} away"));
            }
            12..24 => {
                let most = 100 + self.dice.below(5_000) as u64;
                let until = now.plus(self.dice.below(60_000) as u64);
                let mut sky = self.weather.0.borrow_mut();
                sky.slow.insert(party, (most, until));
                drop(sky);
                self.fault(party, "delay", &format!("{most} ms"));
            }
            24..34 => {
                self.weather.0.borrow_mut().lose_answer.insert(party, ());
                self.fault(party, "answer to lose", "");
            }
            34..42 => {
                self.weather.0.borrow_mut().double.insert(party, ());
                self.fault(party, "append to double", "");
            }
            42..48 => {
                self.weather.0.borrow_mut().echo.insert(party, ());
                self.fault(party, "push to double", "");
            }
            48..56 => self.crash(party, Loss::Process),
            56..64 => self.crash(party, Loss::Power),
            64..72 => {
                let after = self.dice.below(12) as u32;
                let committed = self.dice.coin();
                self.world.die_at(party, after, committed);
                self.fault(party, "death to come", &format!("{after} {committed}"));
            }
            72..74 => {
                self.world.restart_server();
                self.fault(party, "server restarted", "");
            }
            74..80 => {
                let skew = match self.dice.below(4) {
                    0 => 0,
                    1 => self.dice.below(120_000) as i64 - 60_000,
                    _ => self.dice.below(7_200_000) as i64 - 3_600_000,
                };
                self.world.parties[party].skew = skew;
                if skew.abs() > BEARABLE_MS {
                    self.off.insert(party);
                }
                self.fault(party, "clock", &format!("{skew} ms"));
            }
            80..86 => {
                let until = now.plus(self.dice.below(45_000) as u64);
                self.world.parties[party].slow_until = until;
                self.fault(party, "slow reader", "");
            }
            86..93 => {
                let channel = *self.dice.pick(&self.channels);
                let racers = 2 + self.dice.below(3);
                let mut made = 0;
                for _ in 0..racers {
                    let party = self.someone();
                    made += usize::from(
                        self.world.is_in(party, channel) && self.world.commit(party, channel),
                    );
                }
                self.fault(party, "race", &format!("{made} commits in {channel}"));
            }
            93..97 => self.suspend(party),
            97..99 => self.withdraw(party),
            99 => self.revoke(party),
            _ => {
                let lie = *self.dice.pick(&LIES);
                self.weather.0.borrow_mut().lies.insert(party, lie);
                self.fault(party, "lie to come", &format!("{lie:?}"));
            }
        }
    }

    fn crash(&mut self, party: usize, loss: Loss) {
        self.world.lose(party, loss);
        let until = self.world.now.plus(self.dice.below(5_000) as u64);
        self.away.insert(party, until);
        self.judge.restarted(&self.world, party);
        self.fault(party, "crash", &format!("{loss:?}"));
    }

    fn suspend(&mut self, party: usize) {
        if party < 3 || self.suspended.contains_key(&party) {
            return self.fault(party, "suspension", "not of this one");
        }
        let target = Target::Device(self.world.device(party));
        let reason = Reason::Unstated;
        self.state(vec![Body::Suspend(Suspend { target, reason })]);
        let until = self.world.now.plus(self.dice.below(120_000) as u64);
        self.suspended.insert(party, until);
        self.fault(party, "suspension", "");
    }

    fn withdraw(&mut self, party: usize) {
        let granted: Vec<_> = self.ledger_channels(EntryRule::Granted);
        let owner = |channel: ChannelId| {
            let index = self.world.channels.iter().position(|one| *one == channel);
            index.map(|index| self.world.member_of(index % self.plan.clients))
        };
        let wanted = self.wanted.get(&party);
        let member = self.world.member_of(party);
        let mine: Vec<_> = granted
            .into_iter()
            .filter(|channel| wanted.is_some_and(|wanted| wanted.contains(channel)))
            .filter(|channel| owner(*channel) != Some(member))
            .filter(|channel| !self.withdrawn.contains_key(&(party, *channel)))
            .collect();
        if mine.is_empty() {
            return self.fault(party, "grant back", "has none");
        }
        let channel = *self.dice.pick(&mine);
        self.state(vec![grant(member, channel, false)]);
        let until = self.world.now.plus(self.dice.below(120_000) as u64);
        self.withdrawn.insert((party, channel), until);
        self.fault(party, "grant back", &channel.to_string());
    }

    /// A member's device is out for good; it has another one from now on.
    fn revoke(&mut self, party: usize) {
        let of_board = self.world.member_of(party).0[0] <= 3;
        let known = self.revoked.len() >= REVOCATIONS || self.suspended.contains_key(&party);
        if of_board || known || !self.world.is_live(party) || !self.world.is_caught_up(party) {
            return self.fault(party, "revocation", "not of this one");
        }
        let new = self.world.renew(party);
        let wanted = self.wanted.get(&party).cloned().unwrap_or_default();
        for channel in &wanted {
            if self.ledger_channels(EntryRule::Open).contains(channel) {
                self.enter(new, *channel);
            }
        }
        self.wanted.insert(new, wanted);
        self.away.insert(new, self.world.now);
        let target = Target::Device(self.world.device(party));
        let reason = Reason::Lost;
        self.state(vec![Body::Revoke(Revoke { target, reason })]);
        self.revoked.insert(party);
        self.fault(party, "revocation", &format!("now {new}"));
    }
}
