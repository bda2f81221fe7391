//! One attack with one seed, and what must be true after each.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    rc::Rc,
};

use plenary_client::{
    AlarmKind, Event, Label,
    simulation::{Dice, World},
};
use plenary_proto::ids::{ChannelId, DeviceId};

use crate::{
    false_log::FalseLog,
    liar::{Fate, Scene, Seen, lie},
};

/// Seeds of each attack where nothing else is said.
const SEEDS: u64 = 8;

/// Runs an attack over many seeds; a failure tells how to have it again.
pub fn over_seeds(name: &str, attack: fn(&mut Trial)) {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse::<u64>().expect("a number"))
    };
    let seeds = match number("PLENARY_SEED") {
        Some(one) => one..one + 1,
        None => 0..number("PLENARY_SEEDS").unwrap_or(SEEDS),
    };
    for seed in seeds {
        let run = || attack(&mut Trial::new(seed));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
            eprintln!(
                "seed {seed} of {name}: again with\n  PLENARY_SEED={seed} \
                 cargo test -p plenary-tests --test hostile -- {name}"
            );
            resume_unwind(panic);
        }
    }
}

/// A world under attack.
pub struct Trial {
    /// The attack's own chance.
    pub dice: Dice,
    /// Engines and the real core.
    pub world: World,
    tampered: Option<Rc<RefCell<u64>>>,
    /// What a colluder did past the server's door.
    pub struck: u64,
    said: Vec<(ChannelId, String)>,
}

impl Trial {
    fn new(seed: u64) -> Self {
        // A world of its own size for each seed; made by `people`.
        Self {
            dice: Dice::new(seed).split(u64::MAX),
            world: World::new(seed, 4),
            tampered: None,
            struck: 0,
            said: Vec::new(),
        }
    }

    /// Everybody but these is connected and has what there is.
    pub fn all_but(&mut self, absent: &[usize]) {
        for index in 0..self.world.parties.len() {
            if !absent.contains(&index) {
                self.world.connect(index);
            }
        }
        self.world.run_for(2_000);
    }

    /// Everybody connected is in this channel of the ledger.
    pub fn in_channel(&mut self, which: usize) -> ChannelId {
        let channel = self.world.channels[which];
        for index in self.present() {
            self.world.enter(index, channel);
            self.world.run_for(250);
        }
        self.world.run_for(5_000);
        for index in self.present() {
            assert!(!self.world.devices_in(index, channel).is_empty(), "{index}");
        }
        channel
    }

    /// All four connected and in an open channel, which has seen some messages.
    pub fn talking(&mut self) -> ChannelId {
        self.all_but(&[]);
        let channel = self.in_channel(0);
        self.chatter(channel);
        channel
    }

    /// Those who are connected.
    pub fn present(&self) -> Vec<usize> {
        (0..self.world.parties.len())
            .filter(|index| self.world.is_connected(*index))
            .collect()
    }

    /// Some messages of random length by random people, read by everybody.
    pub fn chatter(&mut self, channel: ChannelId) {
        let present = self.present();
        for _ in 0..1 + self.dice.below(3) {
            let index = *self.dice.pick(&present);
            self.say(index, channel);
        }
        self.world.run_for(2_000);
    }

    /// A message of random length; its text.
    pub fn say(&mut self, index: usize, channel: ChannelId) -> String {
        let length = self.dice.below(400);
        let text = format!("{} {}", self.said.len(), "x".repeat(length));
        self.world.send(index, channel, &text);
        self.said.push((channel, text.clone()));
        text
    }

    /// The same, under a label.
    pub fn say_labelled(&mut self, index: usize, channel: ChannelId, label: Label) -> String {
        let text = format!("{} labelled", self.said.len());
        self.world.send_labelled(index, channel, &text, label);
        self.said.push((channel, text.clone()));
        text
    }

    /// The server lies from now on.
    pub fn lie(&mut self, lies: impl FnMut(&mut Scene, usize, Seen<'_>) -> Fate + 'static) {
        self.tampered = Some(lie(&mut self.world, lies));
    }

    /// Shows a log of its own to some, instead of the true one.
    pub fn show(&mut self, log: &Rc<RefCell<FalseLog>>, to: &[usize]) {
        let (log, to) = (log.clone(), to.to_vec());
        self.lie(move |scene, who, seen| log.borrow_mut().lie(&to, scene, who, seen));
    }

    /// How many frames were tampered with.
    pub fn tampered(&self) -> u64 {
        self.struck + self.tampered.as_ref().map_or(0, |count| *count.borrow())
    }

    /// The server turns honest, and everybody comes back.
    pub fn honest(&mut self) {
        assert!(self.tampered() > 0, "the attack did not take place");
        self.world.wire = None;
        for index in 0..self.world.parties.len() {
            if index < 4 {
                self.world.connect(index);
            }
        }
        self.world.run_for(120_000);
    }

    /// A party raised this alarm.
    #[track_caller]
    pub fn raised(&self, index: usize, kind: AlarmKind) {
        let kinds = self.world.alarm_kinds(index);
        assert!(
            kinds.contains(&kind),
            "{index} raised {kinds:?}, not {kind}"
        );
    }

    /// A party raised one of these alarms.
    #[track_caller]
    pub fn raised_one_of(&self, index: usize, wanted: &[AlarmKind]) {
        let kinds = self.world.alarm_kinds(index);
        assert!(
            kinds.iter().any(|kind| wanted.contains(kind)),
            "{index} raised {kinds:?}, none of {wanted:?}"
        );
    }

    /// A party raised no alarm.
    #[track_caller]
    pub fn quiet(&self, index: usize) {
        let alarms: Vec<_> = self.world.parties[index]
            .events
            .iter()
            .filter(|event| matches!(event, Event::Alarm { .. }))
            .collect();
        assert_eq!(alarms, [] as [&Event; 0], "{index}");
    }

    /// Messages go through again, in this channel, between these.
    #[track_caller]
    pub fn talks(&mut self, channel: ChannelId, between: &[usize]) {
        for index in between {
            let text = self.say(*index, channel);
            self.world.run_for(10_000);
            for other in between {
                assert!(
                    self.world.texts(*other, channel).contains(&text),
                    "{other} does not read what {index} says: {:?}",
                    self.world.parties[*other].events
                );
            }
        }
    }

    /// Everything that was said in a channel is shown to all of these.
    #[track_caller]
    pub fn all_there(&self, channel: ChannelId, to: &[usize]) {
        for index in to {
            let texts = self.world.texts(*index, channel);
            for (_, said) in self.said.iter().filter(|(one, _)| *one == channel) {
                assert!(texts.contains(said), "{index} lacks {said}");
            }
        }
    }

    /// Nobody shows what was not said or shows it twice; all have one order; nobody holds a leaf
    /// of somebody who is not one of the four.
    #[track_caller]
    pub fn nothing_false(&mut self) {
        let channels: BTreeSet<_> = self.said.iter().map(|(channel, _)| *channel).collect();
        for channel in channels {
            let said: Vec<_> = self
                .said
                .iter()
                .filter(|(one, _)| *one == channel)
                .map(|(_, text)| text.clone())
                .collect();
            let shown: Vec<_> = (0..self.world.parties.len())
                .map(|index| self.world.texts(index, channel))
                .collect();
            for (index, texts) in shown.iter().enumerate() {
                for text in texts {
                    assert!(
                        said.contains(text),
                        "{index} shows what nobody said: {text}"
                    );
                }
                let distinct: BTreeSet<_> = texts.iter().collect();
                assert_eq!(distinct.len(), texts.len(), "{index} shows a message twice");
            }
            for (index, texts) in shown.iter().enumerate() {
                for (other, theirs) in shown.iter().enumerate().skip(index + 1) {
                    let common = |one: &[String], two: &[String]| -> Vec<String> {
                        one.iter()
                            .filter(|text| two.contains(text))
                            .cloned()
                            .collect()
                    };
                    assert_eq!(
                        common(texts, theirs),
                        common(theirs, texts),
                        "{index} and {other} show another order"
                    );
                }
            }
            for index in 0..self.world.parties.len() {
                for device in self.world.devices_in(index, channel) {
                    assert!(
                        (101..105).contains(&device.0[0]) && device == DeviceId([device.0[0]; 16]),
                        "{index} holds a leaf of {device:?}"
                    );
                }
            }
        }
    }
}
