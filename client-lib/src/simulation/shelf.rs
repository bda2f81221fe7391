//! A client that holds many messages, to look among them.

use std::path::{Path, PathBuf};

use plenary_proto::ids::{ChannelId, ClientId, Epoch, MemberId, Seq, Signature, UnixMillis};

use super::{
    Dice, Spent,
    crowd::{NOW, device, founding, identity, member, sign},
    passphrase,
};
use crate::{
    client::{Search, look},
    content::{Draft, Salt},
    engine::Engine,
    store::{Store, messages::MessageRow},
};

const MEMBERS: usize = 50;
const CHANNELS: usize = 20;
/// Messages stored in one transaction.
const BATCH: usize = 1_000;

/// A profile full of messages.
pub struct Shelf {
    folder: PathBuf,
}

/// A client on it.
pub struct Looking(Engine);

impl Shelf {
    /// Fills a profile with so many messages, each text as often as need be: of 50 members in 20
    /// channels, a minute apart.
    pub fn fill(folder: &Path, texts: &[String], count: usize) -> Self {
        let dice = Dice::new(1);
        let board = vec![dice.key(), dice.key(), dice.key()];
        let all: Vec<_> = (0..MEMBERS)
            .map(|index| identity(&dice, index, (&[1; 32], &[1; 32])))
            .collect();
        let channels: Vec<_> = (0..CHANNELS).map(channel).collect();
        let (root1, statements) = founding(&board, None, &all, &channels);
        let signed: Vec<_> = statements.iter().map(|one| sign(&board, one)).collect();
        let folder = folder.join("profile");
        let store = Store::create_cheaply(&folder, &passphrase()).unwrap();
        let mut own = all[0].clone();
        own.root1 = root1.0;
        store.put_identity(&own).unwrap();
        let mut engine = Engine::open(store, Box::new(dice.split(2))).unwrap();
        engine.append_statements(&signed).unwrap();
        let store = engine.store();
        for begin in (0..count).step_by(BATCH) {
            let some = begin..count.min(begin + BATCH);
            let put = || {
                some.clone()
                    .try_for_each(|index| store.add_message(&row(texts, index, count)))
            };
            store.relaxed(put).unwrap();
        }
        Self { folder }
    }

    /// The profile's size on disk.
    pub fn bytes(&self) -> u64 {
        let files = std::fs::read_dir(&self.folder).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    }

    /// A channel and a member with messages in it.
    pub fn narrow(&self) -> (ChannelId, MemberId) {
        (channel(7), member(7))
    }

    /// A client that just opened the profile.
    pub fn open(&self) -> Looking {
        let store = Store::open(&self.folder, &passphrase()).unwrap();
        Looking(Engine::open(store, Box::new(Dice::new(3).split(1))).unwrap())
    }
}

impl Looking {
    /// How many were found, and what it took.
    pub fn look(&mut self, search: &Search) -> (usize, Spent) {
        let (found, spent) = Spent::on(|| look(&mut self.0, NOW, search).unwrap());
        (found.len(), spent)
    }
}

fn channel(index: usize) -> ChannelId {
    ChannelId((1000 + index as u128).to_be_bytes())
}

fn row(texts: &[String], index: usize, count: usize) -> MessageRow {
    let draft = Draft::text(texts[index % texts.len()].as_str());
    let salt = Salt((index as u128).to_be_bytes());
    let content = draft.into_content(salt).unwrap();
    MessageRow {
        position: 0,
        channel: channel(index % CHANNELS),
        seq: Seq((index / CHANNELS) as u64 + 1),
        client_id: ClientId((index as u128).to_be_bytes()),
        // Each speaks in several channels.
        device: device((index + index / CHANNELS % 3) % MEMBERS),
        time: UnixMillis(NOW.0 - ((count - index) * 60_000) as u64),
        epoch: Epoch(1),
        content: content.encode().unwrap(),
        signature: Signature([1; 64]),
        seen: Some(Seq(index as u64 / 20)),
        handed_by: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let texts = ["one word".to_owned(), "another".to_owned()];
        let shelf = Shelf::fill(folder.path(), &texts, 2_500);
        let mut looking = shelf.open();
        let (channel, member) = shelf.narrow();
        let limit = 5_000;
        assert_eq!(looking.look(&Search::new("word").limit(limit)).0, 1_250);
        assert_eq!(looking.look(&Search::new("\"word one\"")).0, 0);
        let narrow = Search::new("wor ano").channel(channel);
        assert_eq!(looking.look(&narrow).0, 0);
        let narrow = Search::new("ano").channel(channel).limit(limit);
        assert_eq!(looking.look(&narrow).0, 125);
        assert!((1..125).contains(&looking.look(&narrow.from(member)).0));
    }
}
