//! Reads sealed profiles, and roster keys sealed to the caller.
//!
//! Whoever made the newest roster key sealed it to those who were live then; who was suspended, or not
//! relied on yet, has no copy when it comes back, and nobody takes a copy by somebody who was suspended
//! since. They ask, and the Board's devices hear that they did.

use bytes::Bytes;
use plenary_certs::profile::check_roster_sender;
use plenary_proto::{
    ids::UnixMillis,
    reply::{Push, Reply},
    request::SealedName,
};

use super::{GATHERED, board, not_allowed, within};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    session::DeviceCaller,
};

/// Names of one request.
const NAMES: usize = 1_024;

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    names: Vec<SealedName>,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    within("names in one request", NAMES, names.len())?;
    let mut values = Vec::with_capacity(names.len());
    let mut bytes = 0;
    for name in names {
        if let SealedName::RosterKey { device, .. } = name
            && device != caller.device()
        {
            return not_allowed("a roster key is read by its own device");
        }
        let newest = matches!(name, SealedName::RosterKey { generation: 0, .. });
        let name = super::rotate_roster::newest(network, name).await?;
        let held = network.store.get(&keys::sealed(&name)).await?;
        let value = held.map(|held| held.value);
        if newest
            && !is_of_use(network, caller, value.as_ref(), now)
            && network.wants.take(caller.device(), 1, now).is_ok()
        {
            let push = push_frame(Push::RosterWanted(caller.device()));
            network.hub.push(To::Members(&board(network)), push);
        }
        bytes += value.as_ref().map_or(0, bytes::Bytes::len) + 64;
        within("bytes of one answer: ask for fewer; it", GATHERED, bytes)?;
        values.push((name, value));
    }
    Ok(Reply::SealedList(values))
}

/// Whether the caller takes this copy of its roster key.
fn is_of_use(
    network: &Network,
    caller: &DeviceCaller,
    copy: Option<&Bytes>,
    now: UnixMillis,
) -> bool {
    let by_whom = |copy| {
        network
            .read_ledger(|ledger| check_roster_sender(copy, ledger, now, caller.device()).is_ok())
    };
    copy.and_then(|copy| by_whom(copy)).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use plenary_certs::{
        ledger::{Body, Reason, Suspend, Target},
        profile::{Generation, RosterKey, seal_roster_key},
        sealed_to::sealing_keypair,
    };
    use plenary_proto::{
        ids::{DeviceId, LedgerSeq},
        request::Request,
    };

    use super::*;
    use crate::fixture::*;

    fn name(generation: u32, device: DeviceId) -> SealedName {
        SealedName::RosterKey { generation, device }
    }

    #[test]
    fn the_board_hears_at_a_bounded_rate_who_has_no_copy_of_use() {
        let rig = Rig::new();
        let device = device_id(10);
        let board = || [1, 2, 3].map(member_id).to_vec();
        let wanted = || Heard::Members(board(), Push::RosterWanted(device));
        let ask_at = |now, generation, times: u32| {
            rig.hub.heard();
            for _ in 0..times {
                let asked = Request::GetSealed(vec![name(generation, device)]);
                rig.call_at(&chat(10), asked, now).unwrap();
            }
            rig.hub.heard()
        };
        let sealing = sealing_keypair().unwrap();
        let copy = |number: u32, by: u8| {
            let since = LedgerSeq(0);
            let generation = Generation { number, since };
            let roster = RosterKey::from_bytes([4; 32]);
            let (to, by) = ((device, sealing.public()), (device_id(by), &key(2, by)));
            let sealed = seal_roster_key(&roster, generation, NETWORK, to, by).unwrap();
            (name(number, device), Bytes::from(sealed))
        };
        let put = |by, entry| rig.ask(by, Request::PutSealed(vec![entry])).unwrap();
        let ask = |times| ask_at(NOW, 0, times);
        assert_eq!(ask_at(NOW, 7, 1), [], "only the newest");
        assert_eq!(ask(1), [wanted()]);
        assert_eq!(ask(100).len(), 3, "of four a minute");
        let ask = |times| ask_at(NOW.plus(60_000), 0, times);
        put(1, copy(1, 1));
        assert_eq!(ask(1), []);
        // Of the next one it has none, or one that it does not take.
        let rotate = Request::RotateRoster {
            generation: 2,
            entries: vec![],
        };
        rig.ask(1, rotate).unwrap();
        assert_eq!(ask(1), [wanted()]);
        put(1, copy(2, 11));
        assert_eq!(ask(1), [wanted()], "by somebody who is not of the Board");
        put(1, copy(2, 3));
        assert_eq!(ask(1), []);
        let out = Suspend {
            target: Target::Member(member_id(3)),
            reason: Reason::Unstated,
        };
        rig.say(Body::Suspend(out));
        assert_eq!(ask(1), [wanted()]);
        put(2, copy(2, 2));
        assert_eq!(ask(1), []);
    }
}
