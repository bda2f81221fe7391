//! What this client has seen, verified again; and compared with what another member has seen.

use plenary_certs::{
    ledger::Ledger,
    proof::{ChannelView, View, ledger_file},
};
use plenary_proto::ids::{ChannelHead, ChannelId, LedgerSeq, Seq};

use super::Client;
use crate::{
    audit::{Audit, AuditProgress, Auditor, Compared, compare},
    engine::Engine,
    error::{Error, ErrorKind},
    store::{Store, messages::MessageRow},
};

/// Rows taken at a time: the engine has other work, too.
const PAGE: u32 = 128;

impl Client {
    /// Verifies everything that this client holds once more, from ROOT 1 on: names the first thing
    /// wrong in each channel, and has a proof where the server's own signatures convict it.
    pub async fn audit(&self, mut progress: impl FnMut(AuditProgress)) -> Result<Audit, Error> {
        let (root1, statements, messages) = self
            .driver
            .run(|engine, _| {
                let root1 = engine.identity().root1();
                let messages = engine.store().message_count()?;
                Ok((root1, engine.ledger_seq().0, messages))
            })
            .await?;
        let total = statements + messages;
        let mut done = 0;
        let mut auditor = Auditor::new(self.network, root1);
        let mut after = LedgerSeq(0);
        loop {
            let page = self
                .read(move |store| store.statements(after, PAGE))
                .await?;
            let Some((last, _)) = page.last() else { break };
            after = *last;
            done += page.len() as u64;
            page.iter()
                .for_each(|(_, signed)| auditor.statement(signed));
            progress(AuditProgress { done, total });
            tokio::task::yield_now().await;
        }
        for (channel, head) in self.read(channels).await? {
            let view = self.read(move |store| store.channel_view(channel)).await?;
            auditor.channel(channel, view, head);
            let mut after = Seq(0);
            loop {
                let page: Vec<MessageRow> = self
                    .read(move |store| store.messages(channel, after, PAGE))
                    .await?;
                let Some(last) = page.last() else { break };
                after = last.seq;
                done += page.len() as u64;
                page.iter().for_each(|row| auditor.message(row));
                progress(AuditProgress { done, total });
                tokio::task::yield_now().await;
            }
        }
        Ok(auditor.finish())
    }

    /// What the server showed and signed of these channels, as a file that another member compares
    /// with theirs: hashes, positions, signatures; nothing of what was said. All channels of the
    /// ledger that this device has read, if none are named.
    pub async fn export_heads(&self, only: Vec<ChannelId>) -> Result<Vec<u8>, Error> {
        let own = self.read(channels).await?;
        let on_ledger = self
            .driver
            .run(|engine, _| Ok(engine.ledger_channels()))
            .await?;
        let mut views = Vec::new();
        for (channel, _) in own {
            let wanted = match only.is_empty() {
                // A direct channel is nobody else's business.
                true => on_ledger.contains(&channel),
                false => only.contains(&channel),
            };
            if wanted {
                views.push(self.view(channel).await?);
            }
        }
        let view = View {
            network: self.network,
            device: self.device,
            channels: views,
        };
        Ok(view.encode())
    }

    /// Compares what another member exported with what was shown here: channels that both have read.
    ///
    /// Errors: [`ErrorKind::Input`]: no such file, or of another network.
    pub async fn compare_heads(&self, file: &[u8]) -> Result<Vec<Compared>, Error> {
        let theirs = View::decode(file).map_err(|error| {
            Error::new(
                ErrorKind::Input,
                format!("no file of exported heads: {error}"),
            )
        })?;
        if theirs.network != self.network {
            return Err(Error::new(
                ErrorKind::Input,
                "the exported heads are of another network than this profile's",
            ));
        }
        let ledger: Ledger = self
            .driver
            .run(|engine, _| Ok(engine.read_ledger_with(Clone::clone)))
            .await?;
        let mut all = Vec::new();
        let own = self.read(channels).await?;
        for view in &theirs.channels {
            if own.iter().any(|(channel, _)| *channel == view.channel) {
                let mine = self.view(view.channel).await?;
                all.push(compare(&ledger, &mine, view));
            }
        }
        Ok(all)
    }

    /// The Board's ledger as this client has it, as a file: anybody can check it, and a server that was
    /// restored from an older backup takes from it what it lacks (`plenary-server complete-ledger`).
    /// Needs no connection.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub async fn ledger_file(&self) -> Result<Vec<u8>, Error> {
        self.driver
            .run(|engine, _| Ok(engine.read_ledger_with(ledger_file)))
            .await
    }

    async fn view(&self, channel: ChannelId) -> Result<ChannelView, Error> {
        let view = self.read(move |store| store.channel_view(channel)).await?;
        view.map_err(|at| {
            Error::new(
                ErrorKind::Store,
                format!(
                    "what is stored of channel {channel} does not hold together from record {}",
                    at.0
                ),
            )
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Store) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.driver
            .run(move |engine: &mut Engine, _| read(engine.store()))
            .await
    }
}

fn channels(store: &Store) -> Result<Vec<(ChannelId, ChannelHead)>, Error> {
    let rows = store.channels()?;
    Ok(rows.into_iter().map(|row| (row.id, row.head)).collect())
}
