//! One member hands a file to another; its digest is taken at both ends.

use std::fs;

use anyhow::{Context, Result};
use plenary_client::{SendFile, ids::Seq};
use ring::rand::{SecureRandom, SystemRandom};

use super::{report::File, stage::Stage};
use crate::harness::{PATIENCE, sha256_of};

/// The file's name.
const NAME: &str = "headset-log-format.bin";
/// Its bytes: several chunks, the last one short.
const BYTES: usize = 9 * 1024 * 1024 + 4711;

impl Stage {
    /// From one member to another, in a channel.
    pub(super) async fn hand_over(&self, from: usize, to: usize, channel: usize) -> Result<File> {
        let id = self.channels[channel];
        let path = self.folder.join(NAME);
        let mut bytes = vec![0; BYTES];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| anyhow::anyhow!("the system gives no randomness"))?;
        fs::write(&path, bytes)?;
        let sender = self.members[from].client()?;
        let sending = sender.send_file(id, SendFile::new(&path)).await?;
        let seq = sending.finish().await?.delivered().await?;
        self.watch.all_read(id, seq, PATIENCE).await?;

        let recipient = self.members[to].client()?;
        let before = Seq(seq.0.saturating_sub(1));
        let page = recipient.messages(id, before, 1).await?;
        let message = page.first().context("the item's message did not come")?;
        let got = self.folder.join("received");
        fs::create_dir_all(&got)?;
        let got = recipient.fetch(message, &got)?.finish().await?;
        Ok(File {
            name: NAME.to_owned(),
            bytes: BYTES as u64,
            sent_sha256: sha256_of(&path)?.to_string(),
            received_sha256: sha256_of(&got)?.to_string(),
        })
    }
}
