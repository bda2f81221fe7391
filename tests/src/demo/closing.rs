//! One member is revoked, and what follows is closed to it.

use std::time::Duration;

use anyhow::Result;
use plenary_client::{Client, ErrorKind, Reason, Requested, content::Draft, ids::Seq};

use super::stage::Stage;
use crate::harness::PATIENCE;

/// What only those who remain may read.
const AFTER: &str = "Said after the revocation: only those who remain read this.";

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Closing {
    /// The server refused its device, then and at the next try.
    pub(super) refused: bool,
    /// Nothing said after is in its profile.
    pub(super) closed: bool,
    /// Everybody else has read what was said after, in every channel, and counts it out.
    pub(super) others: bool,
}

impl Stage {
    /// Revokes one; says something in every channel; looks at both sides.
    pub(super) async fn revoke(&mut self, who: usize) -> Result<Closing> {
        let member = self.members[who].id;
        let asked = vec![Requested::RevokeMember(member, Reason::Left)];
        self.watch.forget(who);
        self.network.decide(asked).await?;
        let refused = refused(self.members[who].client()?).await?;

        let mut others = true;
        let speaker = self.members[1].client()?;
        for id in &self.channels {
            let outgoing = speaker.send(*id, Draft::text(AFTER)).await?;
            let seq = tokio::time::timeout(PATIENCE, outgoing.delivered()).await??;
            self.watch.all_read(*id, seq, PATIENCE).await?;
            let before = Seq(seq.0.saturating_sub(1));
            for (index, other) in self.members.iter().enumerate() {
                if index == who {
                    continue;
                }
                let page = other.client()?.messages(*id, before, 1).await?;
                others &= page.first().and_then(|message| message.text()) == Some(AFTER);
            }
            let audience = speaker.audience(*id).await?;
            others &= audience.members.iter().all(|one| one.id != member);
        }

        // It comes back with everything that it ever had.
        self.members[who].leave().await?;
        let client = self.members[who].come_back().await?;
        let again = match client.online(PATIENCE).await {
            Ok(()) => false,
            Err(error) => error.kind() == ErrorKind::Unauthenticated,
        };
        let mut closed = true;
        for id in &self.channels {
            let mut after = Seq(0);
            loop {
                let page = client.messages(*id, after, 256).await?;
                let Some(last) = page.last() else { break };
                after = last.seq;
                closed &= page.iter().all(|message| message.text() != Some(AFTER));
            }
        }
        Ok(Closing {
            refused: refused && again,
            closed,
            others,
        })
    }
}

/// Whether the server cuts it off soon.
async fn refused(client: &Client) -> Result<bool> {
    let look = async {
        loop {
            let mut events = client.events();
            match client.online(PATIENCE).await {
                Err(error) => return error.kind() == ErrorKind::Unauthenticated,
                Ok(()) => {
                    let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
                }
            }
        }
    };
    Ok(tokio::time::timeout(PATIENCE, look).await.unwrap_or(false))
}
