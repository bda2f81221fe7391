//! Reading everything back: every record of every channel, every chunk of every item.

use std::time::Duration;

use plenary_core::network::Network;
use plenary_core::store::{Store, StoreError};
use plenary_proto::ids::{ChannelId, Seq};
use tokio::time::sleep;

use crate::admin::Scrubbed;

/// Records read at once, and bytes of them.
const PAGE: u32 = 512;
const PAGE_BYTES: usize = 4 << 20;

/// Reads everything back, at so many bytes a second, or as fast as it goes. Damage does not end it:
/// all of it is told.
pub async fn scrub(network: &Network, store: &dyn Store, pace: Option<u64>) -> Scrubbed {
    let mut found = Scrubbed {
        records: 0,
        items: 0,
        damaged: Vec::new(),
    };
    match store.channels().await {
        Ok(channels) => {
            for channel in channels {
                if let Err(error) = records(store, channel, pace, &mut found.records).await {
                    found.damaged.push(format!("channel {channel}: {error}"));
                }
            }
        }
        Err(error) => found.damaged.push(error.to_string()),
    }
    items(network, pace, &mut found).await;
    found
}

/// No read of the store returns an unverified record.
async fn records(
    store: &dyn Store,
    channel: ChannelId,
    pace: Option<u64>,
    count: &mut u64,
) -> Result<(), StoreError> {
    let mut after = Seq(0);
    loop {
        match store.read(channel, after, PAGE, PAGE_BYTES).await {
            Ok((records, _)) => {
                let Some(last) = records.last() else {
                    return Ok(());
                };
                after = last.seq;
                *count += records.len() as u64;
                let bytes: usize = records.iter().map(|record| record.bytes.len()).sum();
                rest(bytes as u64, pace).await;
            }
            // Trimmed before or meanwhile.
            Err(StoreError::Trimmed { trimmed }) => after = trimmed,
            Err(error) => return Err(error),
        }
    }
}

async fn items(network: &Network, pace: Option<u64>, found: &mut Scrubbed) {
    let mut after = None;
    loop {
        match network.scrub_next(after).await {
            Ok(None) => return,
            Ok(Some((item, size, damaged))) => {
                found.items += 1;
                if let Some(chunk) = damaged {
                    found.damaged.push(format!("item {item}: chunk {chunk}"));
                }
                after = Some(item);
                rest(size, pace).await;
            }
            Err(error) => {
                found.damaged.push(format!("items cannot be read: {error}"));
                return;
            }
        }
    }
}

/// Disk and members are not to notice.
async fn rest(bytes: u64, pace: Option<u64>) {
    if let Some(pace) = pace {
        sleep(Duration::from_secs_f64(bytes as f64 / pace.max(1) as f64)).await;
    }
}
