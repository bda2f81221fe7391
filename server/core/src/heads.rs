//! The server's signature on heads: acknowledgements that become due together share one.
//!
//! No timer and no task: the first to come waits one turn of its executor, so that whoever the same
//! durable batch woke can join, and signs for all.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures_channel::oneshot;
use plenary_certs::signed_head::sign_heads;
use plenary_proto::{
    ids::{ChannelHead, ChannelId, NetworkId, UnixMillis},
    reply::SignedHead,
};
use ring::signature::Ed25519KeyPair;

use crate::error::OpError;

/// Signs heads, several at once.
pub(crate) struct HeadSigner {
    key: Arc<Ed25519KeyPair>,
    waiting: Mutex<Vec<Waiting>>,
}

struct Waiting {
    channel: ChannelId,
    head: ChannelHead,
    time: UnixMillis,
    signed: oneshot::Sender<SignedHead>,
}

impl HeadSigner {
    pub fn new(key: Arc<Ed25519KeyPair>) -> Self {
        Self {
            key,
            waiting: Mutex::default(),
        }
    }

    /// The head under the server's signature. The time is that of the batch's latest.
    pub async fn sign(
        &self,
        network: NetworkId,
        channel: ChannelId,
        head: ChannelHead,
        time: UnixMillis,
    ) -> Result<SignedHead, OpError> {
        let (signed, result) = oneshot::channel();
        let leads = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push(Waiting {
                channel,
                head,
                time,
                signed,
            });
            waiting.len() == 1
        };
        if leads {
            // Signs when dropped: a leader whose connection goes away still serves the others.
            let batch = Batch {
                signer: self,
                network,
            };
            Turn(false).await;
            drop(batch);
        }
        result
            .await
            .map_err(|_| OpError::Internal("a head was not signed".into()))
    }
}

struct Batch<'a> {
    signer: &'a HeadSigner,
    network: NetworkId,
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let waiting = std::mem::take(
            &mut *self
                .signer
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let heads: Vec<_> = waiting.iter().map(|one| (one.channel, one.head)).collect();
        let Some(time) = waiting.iter().map(|one| one.time).max() else {
            return;
        };
        let signed = sign_heads(&self.signer.key, self.network, time, &heads);
        for (waiting, signed) in waiting.into_iter().zip(signed) {
            // Who no longer listens has lost its connection.
            let _ = waiting.signed.send(signed);
        }
    }
}

/// Gives the executor one turn.
struct Turn(bool);

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, future::join_all};
    use plenary_certs::signed_head::check_head;
    use plenary_proto::ids::{Digest, PublicKey, Seq};
    use ring::signature::KeyPair;

    use super::*;

    const NETWORK: NetworkId = NetworkId([7; 16]);

    fn signer() -> (HeadSigner, PublicKey) {
        let key = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
        let public = PublicKey::try_from(key.public_key().as_ref()).unwrap();
        (HeadSigner::new(Arc::new(key)), public)
    }

    fn head(n: u64) -> ChannelHead {
        ChannelHead {
            seq: Seq(n),
            hash: Digest([n as u8; 32]),
        }
    }

    #[test]
    fn what_comes_together_shares_one_signature() {
        let (signer, public) = signer();
        let all = (1..=9).map(|n| {
            signer.sign(
                NETWORK,
                ChannelId([n; 16]),
                head(n.into()),
                UnixMillis(n.into()),
            )
        });
        let signed: Vec<_> = futures_util::FutureExt::now_or_never(async {
            // Polled once for the turn, once for the result.
            let mut all = Box::pin(join_all(all));
            let first = std::future::poll_fn(|cx| Poll::Ready(all.poll_unpin(cx))).await;
            assert!(first.is_pending());
            all.await
        })
        .expect("no turn but the first");
        for (n, signed) in (1..).zip(&signed) {
            let signed = signed.as_ref().unwrap();
            assert_eq!(signed.head, head(n));
            assert_eq!(signed.time, UnixMillis(9));
            assert_eq!(signed.signature, signed.clone().signature);
            assert_eq!(check_head(&public, NETWORK, signed), Ok(()));
        }
        let one = signed[0].as_ref().unwrap().signature;
        assert!(signed.iter().all(|s| s.as_ref().unwrap().signature == one));
    }

    #[test]
    fn a_leader_that_goes_away_still_signs() {
        let (signer, public) = signer();
        let leader = signer.sign(NETWORK, ChannelId([1; 16]), head(1), UnixMillis(1));
        let mut leader = Box::pin(leader);
        let mut second = Box::pin(signer.sign(NETWORK, ChannelId([2; 16]), head(2), UnixMillis(1)));
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(leader.as_mut().poll(&mut cx).is_pending());
        assert!(second.as_mut().poll(&mut cx).is_pending());
        drop(leader);
        let signed = second.now_or_never().unwrap().unwrap();
        assert_eq!(check_head(&public, NETWORK, &signed), Ok(()));
    }
}
