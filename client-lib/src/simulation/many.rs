//! What it takes to start a client that is in many channels.

use std::path::Path;

use plenary_certs::{ledger::Ledger, mls::judge::LedgerHandle, signing::SigningKey};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, Digest},
    reply::{Hello, Limits, Reply},
    request::Request,
};

use ring::rand::SystemRandom;

use super::{
    Dice, Spent,
    crowd::{NETWORK, NOW, founding, identity, sign},
    passphrase,
};
use crate::{
    engine::{Engine, Output, staged::filled},
    store::Store,
};

/// A client's profile in so many channels, each with so many devices, their trees filled.
pub struct Many {
    folder: std::path::PathBuf,
    server: SigningKey,
    ledger: LedgerHandle,
    channels: Vec<ChannelId>,
}

/// A client that was started.
pub struct Started {
    engine: Engine,
    channels: Vec<ChannelId>,
    /// Opening the profile, the derivation of its key left out; the whole ledger is verified.
    pub opened: Spent,
    /// From HELLO until nothing is left to do, the server having nothing new.
    pub connected: Spent,
}

impl Many {
    /// Takes the profile in a folder, or fills it if there is none.
    pub fn at(folder: &Path, devices: usize, channels: usize) -> Self {
        let dice = Dice::new(1);
        let board = vec![dice.key(), dice.key(), dice.key()];
        let server = dice.key();
        let channels: Vec<_> = (0..channels)
            .map(|index| ChannelId((1000 + index as u128).to_be_bytes()))
            .collect();
        let all: Vec<_> = (0..devices)
            .map(|index| identity(&dice, index, (&[1; 32], &[1; 32])))
            .collect();
        let (root1, statements) = founding(&board, Some(&server), &all, &channels);
        let signed: Vec<_> = statements.iter().map(|one| sign(&board, one)).collect();
        let mut ledger = Ledger::new(NETWORK, root1);
        for one in &signed {
            ledger.append(one).unwrap();
        }
        let many = Self {
            folder: folder.join("profile"),
            server,
            ledger: LedgerHandle::new(ledger),
            channels,
        };
        if many.folder.exists() {
            return many;
        }
        let (own, others) = all.split_last().unwrap();
        let keys: Vec<_> = others
            .iter()
            .map(|one| (one.device(), one.mls_key().unwrap()))
            .collect();
        let store = Store::create_cheaply(&many.folder, &passphrase()).unwrap();
        let mut own = own.clone();
        own.root1 = root1.0;
        store.put_identity(&own).unwrap();
        let mut engine = Engine::open(store, Box::new(dice.split(9))).unwrap();
        engine.append_statements(&signed).unwrap();
        // Entering 300 devices one after another takes seconds: as many at once as can be.
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        for some in many.channels.chunks(at_once) {
            let open: Vec<_> = std::thread::scope(|scope| {
                let fill = |channel: ChannelId| {
                    let (keys, ledger) = (&keys, &many.ledger);
                    scope.spawn(move || {
                        let scratch = Store::in_memory().unwrap();
                        filled(&scratch, ledger, channel, keys, NOW).unwrap()
                    })
                };
                let threads: Vec<_> = some.iter().map(|channel| fill(*channel)).collect();
                threads.into_iter().map(|one| one.join().unwrap()).collect()
            });
            for (channel, open) in some.iter().zip(&open) {
                engine.stage(NOW, *channel, open).unwrap();
            }
        }
        many
    }

    /// Starts the client.
    pub fn start(&self) -> Started {
        // What was said after an earlier start waits no more.
        let store = Store::open(&self.folder, &passphrase()).unwrap();
        store.lock().execute("DELETE FROM outbox", []).unwrap();
        drop(store);
        let ((mut engine, channels), opened) = Spent::on(|| {
            let store = Store::open(&self.folder, &passphrase()).unwrap();
            let channels = store.channels().unwrap();
            let random = Box::new(SystemRandom::new());
            (Engine::open(store, random).unwrap(), channels)
        });
        let heads: Vec<(ChannelId, ChannelHead)> =
            channels.iter().map(|row| (row.id, row.head)).collect();
        assert_eq!(heads.len(), self.channels.len());
        let hello = Hello {
            network: NETWORK,
            server_key: self.server.public(),
            nonce: Digest([1; 32]),
            limits: Limits {
                chat_message: 1 << 16,
                bulk_message: 1 << 20,
                read_records: 256,
                messages_per_minute: 200,
                message_burst: 2_000,
            },
            ledger: self.ledger.read(|ledger| ledger.head()),
            time: NOW,
        };
        let ((), connected) = Spent::on(|| {
            engine.connected(NOW, hello, 100);
            let mut watched = false;
            while let Some(output) = engine.poll() {
                if let Output::Send(id, Request::Watch(_)) = output {
                    watched = true;
                    let heads = Reply::Heads(heads.clone());
                    engine.reply(NOW, id, Ok(heads)).unwrap();
                }
            }
            assert!(watched, "the client asked for no channel");
        });
        Started {
            engine,
            channels: self.channels.clone(),
            opened,
            connected,
        }
    }
}

impl Started {
    /// A text is sealed and stored in the channel of this number; what that took.
    pub fn say(&mut self, channel: usize) -> Spent {
        let draft = crate::content::Draft::text("m".repeat(300));
        let content = draft.into_content(crate::content::Salt([1; 16])).unwrap();
        let content = content.encode().unwrap();
        let id = self.channels[channel];
        let (sent, spent) = Spent::on(|| {
            self.engine.send(NOW, id, &content).unwrap();
            std::iter::from_fn(|| self.engine.poll())
                .any(|output| matches!(output, Output::Send(_, Request::Append(_))))
        });
        assert!(sent, "nothing was sealed");
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_filled_once_and_started_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let mut started = Many::at(folder.path(), 5, 3).start();
            assert!((0..3).all(|channel| started.say(channel).wall.as_nanos() > 0));
            assert!(started.opened.cpu.as_nanos() > 0 && started.connected.cpu.as_nanos() > 0);
        }
    }
}
