//! Keeps a heartbeat that is newer than the one before, and tells everybody.
//!
//! Whoever hands it in need not be trusted: its signature decides. It is held against the ledger as
//! the clients will hold it, so that no client is handed what it must refuse.

use bytes::Bytes;
use plenary_certs::ledger::{HEARTBEAT_BYTES, Heartbeat};
use plenary_proto::{
    ids::UnixMillis,
    reply::{Push, Reply},
};

use super::within;
use crate::{
    error::OpError,
    hub::{To, push_frame},
    keys,
    network::Network,
    session::DeviceCaller,
};

pub(crate) async fn run(
    network: &Network,
    _: &DeviceCaller,
    signed: Bytes,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    within("bytes of a heartbeat", HEARTBEAT_BYTES, signed.len())?;
    // One at a time, and none while the ledger grows: newest wins, and it names our head.
    let _writer = network.ledger_writer().await;
    let ledger = network.ledger()?;
    let heartbeat = ledger
        .read(|ledger| Heartbeat::verify(&signed, ledger, now))
        .map_err(|error| OpError::Invalid(error.to_string()))?;
    let held = network.store.get(&keys::heartbeat()).await?;
    let version = held.as_ref().map_or(0, |held| held.version);
    if let Some(held) = held {
        if held.value == signed {
            return Ok(Reply::Done);
        }
        // One by a key that ROOT no longer names stands in nobody's way.
        let kept = ledger.read(|ledger| Heartbeat::recall(&held.value, ledger));
        if kept.is_ok_and(|kept| !heartbeat.replaces(&kept)) {
            return Err(OpError::Exists("a newer heartbeat is kept"));
        }
    }
    network
        .store
        .put_if(keys::heartbeat(), version, Some(signed.clone()))
        .await?;
    network
        .hub
        .push(To::Everyone, push_frame(Push::Heartbeat(signed)));
    Ok(Reply::Done)
}
