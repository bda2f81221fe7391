//! The core over this server's engines: the embedded store and the folder of items.

use std::sync::Arc;

use anyhow::Context;
use plenary_core::items::Items;
use plenary_core::network::{Network, Parts};
use plenary_core::store::Store;
use ring::rand::{SecureRandom, SystemRandom};

use crate::config::Config;
use crate::folder::Folder;
use crate::items::{Courtesy, FolderItems, ObjectBlobs};
use crate::net::Registry;
use crate::rebuild::store_path;
use crate::store::{EmbeddedStore, StoreOptions};

/// What a run serves.
pub struct Backend {
    /// The core.
    pub network: Arc<Network>,
    /// To be closed at the end.
    pub store: Arc<EmbeddedStore>,
    /// For backups.
    pub items: Arc<dyn Items>,
    /// How transfers give way to messages.
    pub courtesy: Arc<Courtesy>,
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
        let store = EmbeddedStore::open(&store_path(folder)?, StoreOptions::default())
            .context("the store cannot be opened")?;
        let store = Arc::new(store);
        let items = folder.join("items");
        let items = match ObjectBlobs::open(&config.items.s3)? {
            Some(blobs) => FolderItems::open_with(&items, blobs),
            None => FolderItems::open(&items),
        };
        let items = items.context("the items cannot be opened")?;
        let courtesy = Arc::new(Courtesy::new(config.items.bytes_per_second_beside_chat));
        let items: Arc<dyn Items> = Arc::new(items.giving_way(courtesy.clone()));
        let heard = courtesy.clone();
        store.watch(Box::new(move |moved| heard.said(moved.len())));
        let mut token_key = [0; 32];
        SystemRandom::new()
            .fill(&mut token_key)
            .map_err(|_| anyhow::anyhow!("the system gives no randomness"))?;
        let network = Network::load(Parts {
            store: store.clone(),
            items: items.clone(),
            hub: registry,
            key: folder.read_key()?,
            token_key,
            config: config.core(),
        })
        .await?;
        Ok(Self {
            network,
            store,
            items,
            courtesy,
        })
    }
}
