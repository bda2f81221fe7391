//! Retention: the log is kept as long as POLICY says, and no longer.

use plenary_proto::ids::{ChannelId, Seq, UnixMillis};

use crate::{error::OpError, network::Network, store::StoreError};

const DAY_MS: u64 = 24 * 3600 * 1000;

/// Records looked at in one read.
const PAGE: u32 = 256;

/// Bytes of one read: only times are of interest, but they come with their records.
const PAGE_BYTES: usize = 1024 * 1024;

impl Network {
    /// Drops all channels' records that are older than POLICY's retention. For a daily sweep.
    /// Returns how many channels gave something up.
    ///
    /// # Errors
    /// [`OpError::Internal`]; what was dropped so far stays dropped.
    pub async fn trim(&self, now: UnixMillis) -> Result<usize, OpError> {
        let days = self.read_ledger(|ledger| ledger.policy().retention_days);
        let Some(days) = days else {
            return Ok(0);
        };
        let keep = UnixMillis(now.0.saturating_sub(u64::from(days) * DAY_MS));
        let mut trimmed = 0;
        for channel in self.store.channels().await? {
            if let Some(through) = self.last_before(channel, keep).await? {
                self.store.trim(channel, through).await?;
                trimmed += 1;
            }
        }
        Ok(trimmed)
    }

    /// The last record of the unbroken row of records older than `keep`, if there is one.
    async fn last_before(
        &self,
        channel: ChannelId,
        keep: UnixMillis,
    ) -> Result<Option<Seq>, OpError> {
        let mut after = Seq(0);
        let mut last = None;
        loop {
            let records = match self.store.read(channel, after, PAGE, PAGE_BYTES).await {
                Ok((records, _)) => records,
                Err(StoreError::Trimmed { trimmed }) if trimmed > after => {
                    after = trimmed;
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            let old = records.iter().take_while(|record| record.time < keep);
            let Some(seq) = old.last().map(|record| record.seq) else {
                return Ok(last);
            };
            last = Some(seq);
            after = seq;
            if records.last().is_some_and(|record| record.seq > seq) {
                return Ok(last);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use plenary_proto::{reply::Reply, request::Request};

    use crate::{error::OpError, fixture::*};

    #[test]
    fn what_is_older_than_the_policy_goes_and_nothing_else() {
        let rig = Rig::new();
        let mut owner = rig.peer(1);
        rig.open_channel(OPEN, &mut owner);
        let mut say = |days: u64| {
            let message = message_request(OPEN, &mut owner, "said");
            let request = Request::Append(message);
            rig.call_at(&chat(1), request, NOW.plus(days * DAY))
                .unwrap();
        };
        for _ in 0..600 {
            say(0);
        }
        say(50);
        say(60);
        let trim = |days: u64| done(rig.network.trim(NOW.plus(days * DAY)));
        let first = || rig.call(&chat(1), read(601)).map(|_| ());
        assert_eq!(trim(90), Ok(0), "kept for 90 days, the last one included");
        assert_eq!(trim(91), Ok(1));
        assert_eq!(trim(91), Ok(0));
        let Err(OpError::Trimmed { through }) = rig.call(&chat(1), read(0)) else {
            panic!("still there");
        };
        assert_eq!(through.0, 600);
        assert_eq!(first(), Ok(()));
        assert_eq!(trim(1_000), Ok(1));
        let Ok(Reply::Records { records, head }) = rig.call(&chat(1), read(602)) else {
            panic!("the end can be read");
        };
        assert_eq!((records.len(), head.head.seq.0), (0, 602));
    }

    fn read(after: u64) -> Request {
        Request::Read {
            channel: OPEN,
            after: plenary_proto::ids::Seq(after),
            limit: 10,
        }
    }
}
