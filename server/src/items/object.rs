//! Committed items in an S3-compatible store.
//!
//! What is under way stays on our own disk; a finished item goes up in parts of [`PIECE`] bytes, one
//! at a time, and counts once the store has put them together. Parts of an upload that a crash cut off
//! are the store's to remove: give the bucket a rule for incomplete multipart uploads.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::str::FromStr;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt};
use plenary_core::items::ItemsError;
use plenary_proto::ids::ItemId;
use serde::{Deserialize, Serialize};

use super::blobs::Blobs;
use super::unavailable;

/// Bytes of a part: the largest item has 7,680 of them, S3 allows 10,000. Held in memory once.
const PIECE: u64 = 8 << 20;

/// Where committed items are kept. Credentials come from the environment
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, or a role), never from a file
/// of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectStoreSettings {
    /// The bucket; none: items are kept in the data folder.
    pub bucket: Option<String>,
    /// In front of every object's name, without slash at the end.
    pub prefix: String,
    /// The region.
    pub region: String,
    /// The address of the store, such as `https://s3.example.org`; none: Amazon's.
    pub endpoint: Option<String>,
    /// Whether an endpoint without TLS is allowed.
    pub allow_http: bool,
}

/// Committed items in a bucket.
#[derive(Debug)]
pub struct ObjectBlobs {
    store: AmazonS3,
    prefix: Key,
}

impl ObjectBlobs {
    /// Opens it; `None` where no bucket is named.
    ///
    /// # Errors
    /// [`ItemsError::Unavailable`] if the settings do not fit together.
    pub fn open(settings: &ObjectStoreSettings) -> Result<Option<Self>, ItemsError> {
        let Some(bucket) = &settings.bucket else {
            return Ok(None);
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_allow_http(settings.allow_http);
        if !settings.region.is_empty() {
            builder = builder.with_region(&settings.region);
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        Ok(Some(Self {
            store: builder.build().map_err(unavailable)?,
            prefix: Key::parse(&settings.prefix).map_err(unavailable)?,
        }))
    }

    fn key(&self, item: ItemId) -> Key {
        self.prefix.clone().join(item.to_string())
    }

    async fn upload(
        &self,
        to: &mut Box<dyn MultipartUpload>,
        part: &File,
        size: u64,
    ) -> Result<(), ItemsError> {
        let mut at = 0;
        while at < size {
            let length = PIECE.min(size - at);
            let piece = read(part, at, length).await?;
            to.put_part(piece.into()).await.map_err(unavailable)?;
            at += length;
        }
        to.complete().await.map_err(unavailable)?;
        Ok(())
    }
}

async fn read(part: &File, at: u64, length: u64) -> Result<Bytes, ItemsError> {
    let part = part.try_clone().map_err(unavailable)?;
    tokio::task::spawn_blocking(move || {
        let mut bytes = vec![0; length as usize];
        part.read_exact_at(&mut bytes, at).map_err(unavailable)?;
        Ok(bytes.into())
    })
    .await
    .map_err(unavailable)?
}

#[async_trait]
impl Blobs for ObjectBlobs {
    async fn take(&self, item: ItemId, part: &Path, size: u64) -> Result<(), ItemsError> {
        let part = File::open(part).map_err(unavailable)?;
        let key = self.key(item);
        if size <= PIECE {
            let bytes = read(&part, 0, size).await?;
            let put = self.store.put(&key, bytes.into()).await;
            return put.map(drop).map_err(unavailable);
        }
        let mut to = self.store.put_multipart(&key).await.map_err(unavailable)?;
        let done = self.upload(&mut to, &part, size).await;
        if done.is_err() {
            // The error that counts is the one above.
            let _ = to.abort().await;
        }
        done
    }

    async fn range(&self, item: ItemId, offset: u64, length: usize) -> Result<Bytes, ItemsError> {
        let range = offset..offset.saturating_add(length as u64);
        match self.store.get_range(&self.key(item), range).await {
            Ok(bytes) if bytes.len() == length => Ok(bytes),
            Ok(_) => Err(ItemsError::Shape("beyond the end of the item")),
            Err(object_store::Error::NotFound { .. }) => Err(ItemsError::NotFound),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn remove(&self, item: ItemId) -> Result<(), ItemsError> {
        match self.store.delete(&self.key(item)).await {
            Err(object_store::Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(unavailable(error)),
        }
    }

    async fn list(&self) -> Result<Vec<ItemId>, ItemsError> {
        let prefix = (!self.prefix.as_ref().is_empty()).then_some(&self.prefix);
        let all: Vec<_> = self
            .store
            .list(prefix)
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .map_err(unavailable)?;
        // What is named otherwise is not ours.
        let ours = all.iter().filter(|key| key.prefix_matches(&self.prefix));
        let names = ours.filter_map(|key| ItemId::from_str(key.filename()?).ok());
        Ok(names.collect())
    }
}
