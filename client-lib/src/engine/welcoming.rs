//! Into a channel by welcome, once nothing more can be read with the group that this device has of it.

use plenary_certs::mls::{context::Rule, judge};
use plenary_proto::{
    ids::{ChannelId, DeviceId, Seq, UnixMillis},
    reply::{Failure, Reply, WaitingWelcome},
    request::Request,
};

use super::{AlarmKind, Channel, Engine, In, Waiting, mls::Group};
use crate::{
    error::{Error, ErrorKind},
    store::{channels::ChannelRow, pending::Kind},
};

/// A welcome to a channel that this device is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Welcome {
    None,
    /// Until the log is read to its end, or to where this device was taken out.
    Waits,
    Due,
}

impl Engine {
    /// Welcomes that wait for this device.
    pub(super) fn welcome_list(
        &mut self,
        now: UnixMillis,
        reply: Result<Reply, Failure>,
    ) -> Result<(), Error> {
        let Ok(Reply::WelcomeList(welcomes)) = reply else {
            return Ok(());
        };
        for welcome in welcomes {
            // Its own entry is under way, and may already be the later of the two in the log.
            let entering = self.store.pending(welcome.channel)?;
            if entering.is_some_and(|row| matches!(row.kind, Kind::Enter | Kind::Anew)) {
                continue;
            }
            let known = self
                .channels
                .get(&welcome.channel)
                .filter(|channel| channel.row.standing == In::In)
                .map(|channel| channel.row.head.seq);
            if known.is_some_and(|seq| seq >= welcome.head.seq) {
                self.pass_over(welcome.channel, welcome.head.seq)?;
            } else if known.is_some() && self.reads_first(welcome.channel) {
                continue;
            } else if let Err(error) = self.join(now, &welcome) {
                if error.kind() == ErrorKind::Store {
                    return Err(error);
                }
                self.alarm(
                    Some(welcome.channel),
                    AlarmKind::InvalidWelcome,
                    format!("a welcome does not hold: {error}"),
                );
            }
            let drop = Request::DropWelcome {
                channel: welcome.channel,
                seq: welcome.head.seq,
            };
            self.ask(drop, Waiting::Forget);
        }
        Ok(())
    }

    /// A welcome is of no use: this device came in by itself, later. From the welcome on it was in the
    /// channel, and what was said until then it has missed.
    fn pass_over(&mut self, id: ChannelId, welcomed: Seq) -> Result<(), Error> {
        self.step(id, |engine| engine.store.miss_after(id, welcomed))?;
        self.load_gaps(id)
    }

    /// Perhaps this device was taken out and added again without having read either. What was said
    /// before is read first, while it has the group to open it with; the welcome is asked for again then.
    fn reads_first(&mut self, id: ChannelId) -> bool {
        let Some(channel) = self.channels.get_mut(&id) else {
            return false;
        };
        let read = channel.welcome == Welcome::Due;
        if read || channel.stuck.is_some() || channel.doubt.is_some() {
            channel.welcome = Welcome::None;
            return false;
        }
        channel.welcome = Welcome::Waits;
        self.read_on(id);
        true
    }

    /// Nothing more can be read with the group that this device has: if a welcome waits, it is time.
    pub(super) fn welcome_is_due(&mut self, id: ChannelId) {
        if let Some(channel) = self.channels.get_mut(&id)
            && channel.welcome == Welcome::Waits
        {
            channel.welcome = Welcome::Due;
            self.ask(Request::Welcomes, Waiting::Welcomes);
        }
    }

    fn join(&mut self, now: UnixMillis, welcome: &WaitingWelcome) -> Result<(), Error> {
        let id = welcome.channel;
        self.step(id, |engine| {
            let before = engine.rule_before(id);
            engine.mls.forget(id)?;
            let (mut group, adder) = engine.mls.join(id, &welcome.bytes, &welcome.tree)?;
            engine.may_add(&group, adder, before)?;
            group.save()?;
            let mut row = ChannelRow::entering(id);
            if let Some(old) = engine.channels.get(&id).map(|channel| &channel.row) {
                row.head = old.head;
                if old.standing == In::In {
                    // Out and in again, without having read either.
                    engine.store.open_gap(id, old.head.seq)?;
                }
            }
            engine.store.put_channel(&row)?;
            engine.channels.insert(id, Channel::new(row));
            engine.put_in(now, id, welcome.head, None)
        })?;
        self.is_in(now, id, welcome.head)
    }

    /// What the group says of itself that this device has of the channel now.
    fn rule_before(&mut self, id: ChannelId) -> Option<Rule> {
        Some(self.group(id).ok()?.context().ok()?.rule)
    }

    /// Whoever adds this device must be entitled to: by the channel's rule, and in a direct channel
    /// by what was the rule before, or somebody could put a group of their own in its place.
    fn may_add(&self, group: &Group, adder: DeviceId, before: Option<Rule>) -> Result<(), Error> {
        let (id, (owner, rule)) = (group.context()?.channel, group.entry()?);
        let own = self.identity.member();
        let at = self.ledger_seq();
        let entitled = self.ledger.read(|ledger| {
            ledger.device(adder).is_some_and(|device| {
                judge::may_add(ledger, at, id, (owner, rule), device.member, own)
            })
        });
        let same = before.is_none_or(|before| match (before, rule) {
            (Rule::Direct { .. }, _) | (_, Rule::Direct { .. }) => before == rule,
            _ => true,
        });
        if entitled && same {
            Ok(())
        } else {
            Err(Error::new(
                ErrorKind::NotAllowed,
                format!("{adder:?} may not add this device to the channel"),
            ))
        }
    }
}
