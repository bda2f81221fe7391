//! Downloads begun: which, and where to, until the file is there or somebody gives it up.

use minicbor::{Decode, Encode};
use plenary_proto::ids::{ChannelId, ItemId, Seq};

use super::Store;
use crate::error::{Error, ErrorKind};

/// In front of the item's id and the folder's digest, in the table `meta`.
const PREFIX: &str = "download:";

/// A download begun.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct DownloadRow {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) item: [u8; 16],
    #[cbor(n(1), with = "minicbor::bytes")]
    pub(crate) channel: [u8; 16],
    /// The message that hands it over.
    #[n(2)]
    pub(crate) seq: u64,
    /// As its sender called it.
    #[n(3)]
    pub(crate) name: String,
    #[n(4)]
    pub(crate) size: u64,
    /// Where the part lies.
    #[n(5)]
    pub(crate) part: String,
}

impl DownloadRow {
    pub(crate) fn item(&self) -> ItemId {
        ItemId(self.item)
    }

    pub(crate) fn channel(&self) -> ChannelId {
        ChannelId(self.channel)
    }

    pub(crate) fn seq(&self) -> Seq {
        Seq(self.seq)
    }

    /// An item may be fetched into several folders.
    fn key(&self) -> String {
        let place = blake3::hash(self.part.as_bytes()).to_hex();
        format!("{PREFIX}{}:{}", self.item(), &place[..16])
    }
}

impl Store {
    pub(crate) fn put_download(&self, row: &DownloadRow) -> Result<(), Error> {
        let bytes = minicbor::to_vec(row).map_err(damaged)?;
        self.put_meta(&row.key(), &bytes)
    }

    pub(crate) fn drop_download(&self, row: &DownloadRow) -> Result<(), Error> {
        self.drop_meta(&row.key())
    }

    /// All downloads that were begun and not ended.
    pub(crate) fn downloads(&self) -> Result<Vec<DownloadRow>, Error> {
        self.metas(PREFIX)?
            .iter()
            .map(|(_, bytes)| minicbor::decode(bytes).map_err(damaged))
            .collect()
    }
}

fn damaged(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Store, format!("a download begun: {error}"))
}
