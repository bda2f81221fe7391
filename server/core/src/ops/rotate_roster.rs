//! The next generation of the roster key: the first of the Board to come makes it.
//!
//! The generation is claimed before its keys are stored, so two cannot mix theirs. Whoever claimed
//! it may send it again; who finds no key of the newest generation makes the one after.

use bytes::Bytes;
use plenary_proto::{
    ids::DeviceId,
    reply::{Push, Reply},
    request::SealedName,
};

use super::{
    is_board, not_allowed,
    put_sealed::{VALUES, put},
    sealed_fits, within,
};
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    session::DeviceCaller,
    store::StoreError,
};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    generation: u32,
    entries: Vec<(SealedName, Bytes)>,
) -> Result<Reply, OpError> {
    within("values in one request", VALUES, entries.len())?;
    if !is_board(network, caller.member()) {
        return not_allowed("only the Board replaces the roster key");
    }
    for (name, value) in &entries {
        sealed_fits(value)?;
        if let SealedName::RosterKey { generation: of, .. } = name
            && *of != generation
        {
            return Err(OpError::Malformed("a roster key of another generation"));
        }
    }
    claim(network, caller.device(), generation).await?;
    for (name, value) in entries {
        put(network, &name, value, true).await?;
    }
    let push = push_frame(Push::Roster(generation));
    network.hub.push(To::Everyone, push);
    Ok(Reply::Done)
}

async fn claim(network: &Network, device: DeviceId, generation: u32) -> Result<(), OpError> {
    let taken = OpError::Exists("another generation of the roster key came first");
    let key = keys::roster();
    let held = network.store.get(&key).await?;
    let (newest, by, version) = match &held {
        None => (1, None, 0),
        Some(held) => {
            let (newest, by) = read(&held.value)?;
            (newest, Some(by), held.version)
        }
    };
    if (generation, Some(device)) == (newest, by) {
        return Ok(());
    }
    if generation.checked_sub(1) != Some(newest) {
        return Err(taken);
    }
    let value = [&generation.to_be_bytes()[..], device.as_bytes()].concat();
    match network.store.put_if(key, version, Some(value.into())).await {
        Ok(_) => Ok(()),
        Err(StoreError::WrongVersion { .. }) => Err(taken),
        Err(error) => Err(error.into()),
    }
}

/// The name of a roster key, where 0 stands for the newest generation.
pub(super) async fn newest(network: &Network, name: SealedName) -> Result<SealedName, OpError> {
    let SealedName::RosterKey {
        generation: 0,
        device,
    } = name
    else {
        return Ok(name);
    };
    let generation = match network.store.get(&keys::roster()).await? {
        None => 1,
        Some(held) => read(&held.value)?.0,
    };
    Ok(SealedName::RosterKey { generation, device })
}

fn read(value: &[u8]) -> Result<(u32, DeviceId), OpError> {
    let damaged = || OpError::Internal("a stored value is damaged: the roster's generation".into());
    let (generation, device) = value.split_first_chunk::<4>().ok_or_else(damaged)?;
    let device = DeviceId::try_from(device).map_err(|_| damaged())?;
    Ok((u32::from_be_bytes(*generation), device))
}

#[cfg(test)]
mod tests {
    use plenary_proto::request::Request;

    use super::*;
    use crate::fixture::*;

    fn name(generation: u32, n: u8) -> SealedName {
        SealedName::RosterKey {
            generation,
            device: device_id(n),
        }
    }

    fn rotate(rig: &Rig, by: u8, generation: u32, of: u32) -> Result<Reply, OpError> {
        let value = Bytes::from(vec![by; 30]);
        let entries = vec![(name(of, 10), value)];
        rig.ask(
            by,
            Request::RotateRoster {
                generation,
                entries,
            },
        )
    }

    fn newest(rig: &Rig) -> (SealedName, Option<Bytes>) {
        match rig.ask(10, Request::GetSealed(vec![name(0, 10)])) {
            Ok(Reply::SealedList(list)) => list[0].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_of_the_board_makes_it_and_nobody_mixes() {
        let rig = Rig::new();
        assert_eq!(newest(&rig), (name(1, 10), None));
        for (by, generation, of) in [(10, 2, 2), (1, 1, 1), (1, 3, 3), (1, 0, 0), (1, 2, 3)] {
            assert!(
                rotate(&rig, by, generation, of).is_err(),
                "{by} {generation} {of}"
            );
        }
        assert_eq!(rotate(&rig, 2, 2, 2), Ok(Reply::Done));
        assert!(matches!(rotate(&rig, 1, 2, 2), Err(OpError::Exists(_))));
        assert_eq!(newest(&rig), (name(2, 10), Some(vec![2; 30].into())));
        // Sent again; then the next one.
        assert_eq!(rotate(&rig, 2, 2, 2), Ok(Reply::Done));
        assert_eq!(rotate(&rig, 1, 3, 3), Ok(Reply::Done));
        assert_eq!(newest(&rig), (name(3, 10), Some(vec![1; 30].into())));
        let other = rig.ask(11, Request::GetSealed(vec![name(0, 10)]));
        assert!(matches!(other, Err(OpError::NotAllowed(_))));
    }

    #[test]
    fn of_two_at_once_one_wins() {
        let rig = Rig::new();
        let request = |by: u8| Request::RotateRoster {
            generation: 2,
            entries: vec![(name(2, 10), vec![by; 30].into())],
        };
        let answers = rig.together(vec![(1, request(1)), (2, request(2)), (3, request(3))]);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
    }
}
