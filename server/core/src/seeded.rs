//! Bugs that the simulation must find: only in a build made for that, by `--cfg plenary_seeded_bugs`
//! and the feature `simulation`, and there only when planted.

use std::sync::Mutex;

use futures_util::lock::Mutex as AsyncMutex;
use plenary_proto::ids::{ChannelHead, Seq};

use crate::store::{Append, Appended, Store, StoreError, chain};

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// The server acknowledges a message and stores it with the next one.
    AcknowledgeBeforeStore,
    /// A client seals to devices that the ledger has out.
    SealToRevoked,
    /// A client promises to send what it has not made durable.
    QueueNotDurable,
}

/// All of them.
pub const BUGS: [Bug; 3] = [
    Bug::AcknowledgeBeforeStore,
    Bug::SealToRevoked,
    Bug::QueueNotDurable,
];

static PLANTED: Mutex<Option<Bug>> = Mutex::new(None);

/// From now on in this process; `None` for none.
pub fn plant(bug: Option<Bug>) {
    if let Ok(mut planted) = PLANTED.lock() {
        *planted = bug;
    }
}

/// Whether this one is.
pub fn planted(bug: Bug) -> bool {
    PLANTED.lock().is_ok_and(|planted| *planted == Some(bug))
}

/// A message that was acknowledged and is not stored.
pub(crate) type Late = AsyncMutex<Option<Append>>;

/// Stores the message before, and only then acknowledges this one.
pub(crate) async fn append(
    late: &Late,
    store: &dyn Store,
    append: Append,
) -> Result<Appended, StoreError> {
    let mut late = late.lock().await;
    if let Some(before) = late.take() {
        // Whether it still fits was not asked then.
        let _ = store.append(before).await;
    }
    if !planted(Bug::AcknowledgeBeforeStore) {
        return store.append(append).await;
    }
    let (channel, device, client_id) = (append.channel, append.device, append.client_id);
    if let Some(head) = store.find(channel, device, client_id).await? {
        return Ok(Appended {
            head,
            repeated: true,
        });
    }
    let state = store.channel(channel).await?.ok_or(StoreError::NoChannel)?;
    append.check_epoch(state.epoch)?;
    let (time, bytes) = (append.time, &append.bytes);
    let seq = Seq(state.head.seq.0 + 1);
    let before = &state.head.hash;
    let hash = chain(before, channel, seq, device, client_id, time, bytes);
    *late = Some(append);
    Ok(Appended {
        head: ChannelHead { seq, hash },
        repeated: false,
    })
}
