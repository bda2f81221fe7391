//! The core over this server's engines: the embedded store and the folder of items.

use std::sync::Arc;

use anyhow::Context;
use plenary_core::network::{Network, Parts};
use plenary_proto::limits::{BULK_MESSAGE, CHAT_MESSAGE, READ_RECORDS};
use plenary_proto::reply::Limits;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Config;
use crate::folder::Folder;
use crate::items::{FolderItems, ObjectBlobs};
use crate::net::Registry;
use crate::store::{EmbeddedStore, StoreOptions};

/// What a run serves.
pub struct Backend {
    /// The core.
    pub network: Arc<Network>,
    /// To be closed at the end.
    pub store: Arc<EmbeddedStore>,
}

impl Backend {
    /// Opens what lies in the data folder; makes it where there is nothing yet.
    ///
    /// # Errors
    /// A damaged store or ledger: the server does not start with less than it had.
    pub async fn open(
        config: &Config,
        folder: &Folder,
        registry: Arc<Registry>,
    ) -> anyhow::Result<Self> {
        let store = EmbeddedStore::open(&folder.join("store"), StoreOptions::default())
            .context("the store cannot be opened")?;
        let store = Arc::new(store);
        let items = folder.join("items");
        let items = match ObjectBlobs::open(&config.items.s3)? {
            Some(blobs) => FolderItems::open_with(&items, blobs),
            None => FolderItems::open(&items),
        };
        let items = items.context("the items cannot be opened")?;
        let mut token_key = [0; 32];
        SystemRandom::new()
            .fill(&mut token_key)
            .map_err(|_| anyhow::anyhow!("the system gives no randomness"))?;
        let network = Network::load(Parts {
            store: store.clone(),
            items: Arc::new(items),
            hub: registry,
            key: folder.read_key()?,
            token_key,
            config: plenary_core::config::Config {
                limits: Limits {
                    chat_message: CHAT_MESSAGE as u32,
                    bulk_message: BULK_MESSAGE as u32,
                    read_records: READ_RECORDS,
                    messages_per_minute: config.limits.messages_per_minute,
                    message_burst: config.limits.message_burst,
                },
                item_size: config.items.largest_bytes,
                member_bytes: config.items.member_bytes,
                total_bytes: config.items.total_bytes,
                keep_days: config.items.keep_days,
                longest_keep_days: config.items.longest_keep_days,
                ..plenary_core::config::Config::default()
            },
        })
        .await?;
        Ok(Self { network, store })
    }
}
