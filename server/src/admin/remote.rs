//! A running server as the source of a backup.

use std::io::Write;
use std::path::PathBuf;

use data_encoding::BASE64;
use plenary_proto::ids::ItemId;
use zeroize::Zeroizing;

use super::call::Line;
use super::protocol::Ask;
use crate::backup::{ItemEntry, NamedFile, Source};

/// A running server, by its socket.
#[derive(Debug)]
pub struct Remote {
    socket: PathBuf,
}

impl Remote {
    /// At this socket. Nothing is connected yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    fn line(&self) -> anyhow::Result<Line> {
        Line::connect(&self.socket)
    }
}

impl Source for Remote {
    fn folder(&mut self, lists: bool) -> anyhow::Result<Vec<NamedFile>> {
        let files: Vec<(String, String)> = self.line()?.ask(&Ask::Folder { lists })?;
        let decode = |(name, text): (String, String)| {
            let text = Zeroizing::new(text);
            Ok((name, Zeroizing::new(BASE64.decode(text.as_bytes())?)))
        };
        files.into_iter().map(decode).collect()
    }

    fn store(&mut self, out: &mut dyn Write) -> anyhow::Result<()> {
        self.line()?.stream(&Ask::Store, out).map(drop)
    }

    fn items(&mut self) -> anyhow::Result<Vec<ItemEntry>> {
        self.line()?.ask_long(&Ask::Items)
    }

    fn item(&mut self, item: ItemId, size: u64, out: &mut dyn Write) -> anyhow::Result<bool> {
        let item = item.to_string();
        self.line()?.stream(&Ask::Item { item, size }, out)
    }

    fn done(&mut self) -> anyhow::Result<()> {
        self.line()?.ask(&Ask::Done)
    }
}
