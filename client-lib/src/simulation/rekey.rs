//! What one revocation costs a client that is in many channels.

use plenary_certs::{
    ledger::{Body, Ledger, Reason, Revoke, Target},
    mls::judge::LedgerHandle,
    signing::SigningKey,
};
use plenary_proto::ids::ChannelId;

use super::{
    Dice, Spent,
    crowd::{NETWORK, NOW, device, founding, identity, member, sign},
    passphrase,
};
use crate::{
    engine::{Engine, staged::filled},
    store::Store,
};

/// One engine in some groups of many devices, each of a member of its own.
pub struct Rekey {
    _folder: tempfile::TempDir,
    engine: Engine,
    ledger: Ledger,
    board: Vec<SigningKey>,
    channels: Vec<ChannelId>,
}

/// What it took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rekeyed {
    /// Verifying and storing the statement.
    pub statement: Spent,
    /// Making the removing commits and storing them, over all groups.
    pub commits: Spent,
    /// Taking them from the log and storing the groups, over all groups.
    pub returns: Spent,
    /// Bytes of all commits.
    pub bytes: usize,
}

impl Rekey {
    /// A world of `devices` devices, all of them in each of `groups` channels, their trees filled.
    pub fn new(devices: usize, groups: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dice = Dice::new(1);
        let board = vec![dice.key(), dice.key(), dice.key()];
        let channels: Vec<_> = (0..groups)
            .map(|index| ChannelId((1000 + index as u128).to_be_bytes()))
            .collect();
        let all: Vec<_> = (0..devices)
            .map(|index| identity(&dice, index, (&[1; 32], &[1; 32])))
            .collect();
        let (root1, statements) = founding(&board, None, &all, &channels);
        let mut ledger = Ledger::new(NETWORK, root1);
        let signed: Vec<bytes::Bytes> = statements
            .iter()
            .map(|statement| sign(&board, statement))
            .collect();
        for one in &signed {
            ledger.append(one).unwrap();
        }
        // The last one to enter is the one that is measured.
        let (own, others) = all.split_last().unwrap();
        let store = Store::create_cheaply(&folder.path().join("own"), &passphrase()).unwrap();
        let mut own = own.clone();
        own.root1 = root1.0;
        store.put_identity(&own).unwrap();
        let mut engine = Engine::open(store, Box::new(dice.split(9))).unwrap();
        engine.append_statements(&signed).unwrap();
        let scratch = Store::create_cheaply(&folder.path().join("rest"), &passphrase()).unwrap();
        let handle = LedgerHandle::new(ledger.clone());
        for channel in &channels {
            let keys: Vec<_> = others
                .iter()
                .map(|one| (one.device(), one.mls_key().unwrap()))
                .collect();
            let open = filled(&scratch, &handle, *channel, &keys, NOW).unwrap();
            engine.stage(NOW, *channel, &open).unwrap();
        }
        Self {
            _folder: folder,
            engine,
            ledger,
            board,
            channels,
        }
    }

    /// Revokes member `index`, and does what its client does until no channel holds it.
    pub fn revoke(&mut self, index: usize) -> Rekeyed {
        let body = Body::Revoke(Revoke {
            target: Target::Member(member(index)),
            reason: Reason::Lost,
        });
        let statement = self.ledger.draft(body, NOW);
        let signed = sign(&self.board, &statement);
        self.ledger.append(&signed).unwrap();
        for channel in &self.channels {
            self.engine.warm(*channel).unwrap();
        }
        let mut took = Rekeyed::default();
        let (engine, channels) = (&mut self.engine, &self.channels);
        ((), took.statement) = Spent::on(|| engine.append_statements(&[signed]).unwrap());
        (took.bytes, took.commits) = Spent::on(|| {
            let removal = |channel: &ChannelId| engine.stage_removal(NOW, *channel).unwrap();
            channels.iter().map(removal).sum()
        });
        ((), took.returns) = Spent::on(|| {
            for channel in channels {
                engine.stage_return(NOW, *channel).unwrap();
            }
        });
        for channel in &self.channels {
            let inside = self.engine.devices_in(*channel).unwrap();
            assert!(!inside.contains(&device(index)), "still in {channel}");
        }
        took
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_is_without_the_revoked_one() {
        let mut rekey = Rekey::new(6, 3);
        for index in [2, 4] {
            let took = rekey.revoke(index);
            assert!(took.bytes > 0);
        }
    }
}
