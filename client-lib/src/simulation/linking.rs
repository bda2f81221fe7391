//! Further devices of the world's members.

use plenary_certs::{
    ledger::{Body, DeviceBody, Voucher},
    profile::RosterKey,
};
use plenary_proto::{ids::DeviceId, request::Request};

use super::{Party, World};
use crate::{
    engine::Engine,
    store::{Store, identity::Identity},
};

impl World {
    /// A party links a further device of its member: it vouches for it and hands over what it needs,
    /// past the code, whose bytes are tested by themselves. The new party is the last one and not
    /// connected yet.
    pub fn link(&mut self, by: usize) -> usize {
        let (identity, body) = self.further(by);
        self.say_as(by, body);
        self.handed_over(by, &identity)
    }

    /// Another device of a party's member, by the Board: nothing vouches for it that the old one did.
    /// What it is handed over comes from the old one. Not connected yet; without letting time pass.
    pub fn renew(&mut self, of: usize) -> usize {
        let (identity, body) = self.further(of);
        let Body::Device(device) = body else {
            panic!("not a device")
        };
        let voucher = Voucher::Board;
        let body = Body::Device(DeviceBody { voucher, ..device });
        let statement = self.ledger.draft(body, self.server_clock());
        let signed = self.sign(&statement);
        let answer = self.request_as(0, Request::LedgerSubmit(vec![signed]));
        assert!(answer.is_ok(), "{answer:?}");
        self.handed_over(of, &identity)
    }

    fn further(&mut self, by: usize) -> (Identity, Body) {
        let index = self.parties.len();
        let old = self.parties[by].engine.identity().clone();
        let mut identity = old.clone();
        identity.device = [index as u8 + 101; 16];
        identity.authentication = self.dice.bytes();
        identity.mls = self.dice.bytes();
        identity.custody = self.dice.bytes();
        (identity.sealing, identity.sealing_public) = super::world::sealing(&self.dice, index);
        let body = Body::Device(DeviceBody {
            device: identity.device(),
            member: identity.member(),
            voucher: Voucher::Device(old.device()),
            keys: identity.device_keys().unwrap(),
        });
        (identity, body)
    }

    fn handed_over(&mut self, by: usize, identity: &Identity) -> usize {
        let index = self.parties.len();
        let store = Store::in_memory().unwrap();
        store.put_identity(identity).unwrap();
        for (generation, key) in self.parties[by].engine.store().roster_keys().unwrap() {
            let key = RosterKey::from_bytes(*key);
            store.put_roster_key(generation, key.as_bytes()).unwrap();
        }
        let random = Box::new(self.dice.split(index as u64 + 1));
        let mut engine = Engine::open(store, random).unwrap();
        let statements: Vec<_> = self
            .ledger
            .entries_after(plenary_proto::ids::LedgerSeq(0))
            .map(|(_, entry)| bytes::Bytes::copy_from_slice(entry))
            .collect();
        engine.append_statements(&statements).unwrap();
        let handover = self.parties[by].engine.handover().unwrap();
        engine.take_handover(self.now, &handover).unwrap();
        self.parties.push(Party::new(engine));
        index
    }

    /// A party says something that its device alone signs, and everybody hears it.
    pub fn say_as(&mut self, by: usize, body: Body) {
        let engine = &mut self.parties[by].engine;
        let signed = engine.say_as_device(body, self.now).unwrap();
        self.ledger.append(&signed).unwrap();
        engine.call(Request::LedgerSubmit(vec![signed.into()]));
        self.run();
    }

    /// A party's device.
    pub fn device(&self, index: usize) -> DeviceId {
        self.parties[index].engine.identity().device()
    }
}
