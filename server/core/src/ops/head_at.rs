//! The server's signature on a channel's head as it was at a record: for a certificate that names
//! the record, for instance the removal of somebody. For devices in the channel.

use plenary_proto::{
    ids::{ChannelHead, ChannelId, Seq, UnixMillis},
    reply::Reply,
};

use super::group_of;
use crate::{error::OpError, network::Network, session::DeviceCaller};

pub(crate) async fn run(
    network: &Network,
    caller: &DeviceCaller,
    channel: ChannelId,
    seq: Seq,
    now: UnixMillis,
) -> Result<Reply, OpError> {
    group_of(network, channel, caller.device()).await?;
    let head = at(network, channel, seq).await?;
    Ok(Reply::Head(network.sign_head(channel, head, now).await?))
}

/// The head of the log as it was at a record.
pub(super) async fn at(
    network: &Network,
    channel: ChannelId,
    seq: Seq,
) -> Result<ChannelHead, OpError> {
    let before = Seq(seq.0.saturating_sub(1));
    let (records, _) = network.store.read(channel, before, 1, 1).await?;
    let record = records.first().filter(|record| record.seq == seq);
    let hash = record
        .map(|record| record.hash)
        .ok_or(OpError::NotFound("the channel has no such record"))?;
    Ok(ChannelHead { seq, hash })
}

#[cfg(test)]
mod tests {
    use plenary_certs::signed_head::check_head;
    use plenary_proto::request::Request;

    use super::*;
    use crate::fixture::*;

    #[test]
    fn every_record_s_head_is_signed_for_members_only() {
        let rig = Rig::new();
        let mut owner = rig.peer(1);
        rig.open_channel(OPEN, &mut owner);
        for text in ["one", "two", "three"] {
            let said = message_request(OPEN, &mut owner, text);
            rig.ask(1, Request::Append(said)).unwrap();
        }
        let at = |n: u8, seq: u64| {
            let seq = Seq(seq);
            rig.ask(n, Request::HeadAt { channel: OPEN, seq })
        };
        for record in rig.log(OPEN) {
            let Ok(Reply::Head(head)) = at(1, record.seq.0) else {
                panic!("not signed");
            };
            assert_eq!((head.head.seq, head.head.hash), (record.seq, record.hash));
            assert_eq!(check_head(&server_key().public(), NETWORK, &head), Ok(()));
        }
        for seq in [0, 4, u64::MAX] {
            let none = at(1, seq);
            assert!(matches!(none, Err(OpError::NotFound(_))), "{seq}: {none:?}");
        }
        assert!(matches!(at(10, 1), Err(OpError::NotAllowed(_))));
    }
}
