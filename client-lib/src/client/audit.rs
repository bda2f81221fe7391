//! What this client has seen of the server, for others to compare.

use plenary_certs::proof::{ChannelView, View};
use plenary_proto::ids::{ChannelId, Seq};

use super::Client;
use crate::{
    engine::Engine,
    error::{Error, ErrorKind},
};

impl Client {
    /// What the server showed and signed of these channels, as a file that another member compares
    /// with theirs: hashes, positions, signatures; nothing of what was said.
    pub async fn export_heads(&self, channels: Vec<ChannelId>) -> Result<Vec<u8>, Error> {
        let mut views = Vec::new();
        // One at a time: the engine has other work, too.
        for channel in channels {
            views.push(
                self.driver
                    .run(move |engine, _| view(engine, channel))
                    .await?,
            );
        }
        let view = View {
            network: self.network,
            device: self.device,
            channels: views,
        };
        Ok(view.encode())
    }
}

pub(super) fn view(engine: &Engine, channel: ChannelId) -> Result<ChannelView, Error> {
    engine
        .store()
        .channel_view(channel)?
        .map_err(|at| damaged(channel, at))
}

fn damaged(channel: ChannelId, at: Seq) -> Error {
    Error::new(
        ErrorKind::Store,
        format!(
            "what is stored of channel {channel} does not hold together from record {}",
            at.0
        ),
    )
}
