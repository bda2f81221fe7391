//! The core's sessions on the transport's connections, and the registry as the core's hub.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use plenary_core::hub::{ConnectionId, Hub, To, moved_frame};
use plenary_core::network::Network;
use plenary_core::session::{self, Closed};
use plenary_core::store::Moved;
use plenary_proto::codec::Payload;
use plenary_proto::ids::{ChannelId, DeviceId, Digest, MemberId};
use plenary_proto::request::Purpose;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::now;
use crate::metrics::Metrics;
use crate::net::{
    Closing, Cut, End, Later, Link, Next, Note, Presence, Registry, Service, Session, Step, Turn,
};

/// How many connections are asked back in a second: a handshake costs half a millisecond of CPU, so
/// this takes a fifth of a core.
const BACK_A_SECOND: u64 = 400;

/// Serves one network.
pub struct Plenary {
    network: Arc<Network>,
    registry: Arc<Registry>,
    come_back: Arc<ComeBack>,
    metrics: Arc<Metrics>,
}

/// When clients are to come back to a server that stops.
#[derive(Debug, Default)]
pub struct ComeBack(AtomicU64);

impl ComeBack {
    /// From so many seconds on.
    pub fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::Relaxed);
    }

    /// In milliseconds, for one of so many connections: spread, so that they do not all come at
    /// once. `dice` is any number.
    fn draw(&self, connections: u64, dice: u64) -> u64 {
        let first = self.0.load(Ordering::Relaxed).saturating_mul(1_000);
        let spread = connections * 1_000 / BACK_A_SECOND;
        first.saturating_add(dice % (spread + 1))
    }
}

impl Plenary {
    /// `registry` must be the hub of `network`.
    pub fn new(
        network: Arc<Network>,
        registry: Arc<Registry>,
        come_back: Arc<ComeBack>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            network,
            registry,
            come_back,
            metrics,
        }
    }
}

impl Service for Plenary {
    fn open(&self, link: Link) -> Box<dyn Session> {
        Box::new(Conversation {
            network: self.network.clone(),
            exporter: link.exporter,
            connection: link.outbox.id(),
            state: None,
            settled: false,
            come_back: self.come_back.clone(),
            metrics: self.metrics.clone(),
            presence: self.registry.link(link.outbox, link.peer),
        })
    }

    fn note(&self, what: Note) {
        self.metrics.note(what);
    }
}

/// One connection's session.
struct Conversation {
    network: Arc<Network>,
    exporter: [u8; 32],
    connection: ConnectionId,
    /// `None` before HELLO, and while a message is worked on.
    state: Option<session::Session>,
    settled: bool,
    come_back: Arc<ComeBack>,
    metrics: Arc<Metrics>,
    presence: Presence,
}

#[async_trait]
impl Session for Conversation {
    async fn opened(&mut self) -> Step {
        let mut nonce = Digest([0; 32]);
        if SystemRandom::new().fill(&mut nonce.0).is_err() {
            tracing::error!("the system gives no randomness");
            return Step::close(Vec::new(), Closing::Failed);
        }
        let network = self.network.clone();
        let (state, frames) =
            session::Session::open(network, self.connection, self.exporter, nonce, now());
        self.state = Some(state);
        Step::reply(frames.into_iter().map(Payload::from).collect())
    }

    async fn message(&mut self, message: Bytes) -> Turn {
        let Some(state) = self.state.take() else {
            return Step::close(Vec::new(), Closing::Failed).into();
        };
        let began = Instant::now();
        let (state, turn) = state.take(message, now()).await;
        let next = match &state {
            session::Session::Opening(_) => Next::Stay,
            session::Session::Open(_) if self.settled => Next::Stay,
            session::Session::Open(_) => {
                self.settled = true;
                Next::Settled {
                    message: state.message_limit(),
                }
            }
            session::Session::Closed(closed) => Next::Close(closing(*closed)),
        };
        self.state = Some(state);
        let metrics = self.metrics.clone();
        let later: Option<Later> = match turn.later {
            None => {
                metrics.message(began.elapsed());
                None
            }
            Some(later) => Some(Box::pin(async move {
                let frames = later.await;
                metrics.message(began.elapsed());
                frames
            })),
        };
        Turn {
            step: Step {
                frames: turn.frames,
                next,
            },
            later,
        }
    }

    fn farewell(&mut self, end: End) -> Vec<Payload> {
        let (reason, retry_after_ms) = match end {
            End::Shutdown => ("the server stops", self.back_in()),
            End::Cut(Cut::Dropped) => ("ended by the operator", 1_000),
            End::Cut(Cut::Revoked | Cut::Lagging) => ("this device has no access", 0),
        };
        let bye = self
            .state
            .as_ref()
            .and_then(|state| state.farewell(reason, retry_after_ms));
        bye.map(Payload::from).into_iter().collect()
    }
}

impl Conversation {
    fn back_in(&self) -> u64 {
        let mut dice = [0; 8];
        // Without randomness all come at once, which is no reason to fail.
        let _ = SystemRandom::new().fill(&mut dice);
        let connections = self.presence.beside() as u64;
        self.come_back.draw(connections, u64::from_be_bytes(dice))
    }
}

fn closing(closed: Closed) -> Closing {
    match closed {
        Closed::Unauthenticated => Closing::Policy,
        Closed::Malformed => Closing::Protocol,
        Closed::Finished => Closing::Normal,
        Closed::Failed => Closing::Failed,
    }
}

impl Hub for Registry {
    fn enter(
        &self,
        connection: ConnectionId,
        device: DeviceId,
        member: MemberId,
        purpose: Purpose,
    ) {
        Self::enter(self, connection, device, member, purpose);
    }

    fn watch(&self, connection: ConnectionId, channels: &[ChannelId]) {
        Self::watch(self, connection, channels);
    }

    fn unwatch(&self, channel: ChannelId, devices: &[DeviceId]) {
        Self::unwatch(self, channel, devices);
    }

    fn devices(&self) -> Vec<DeviceId> {
        Self::devices(self)
    }

    fn push(&self, to: To<'_>, frame: Bytes) {
        match to {
            To::Everyone => self.push_all(&frame),
            To::Device(device) => Self::push(self, device, &frame),
            To::Members(members) => self.push_members(members, &frame),
        };
    }

    fn cut(&self, devices: &[DeviceId]) {
        Self::cut(self, devices);
    }

    fn moved(&self, moved: &[Moved]) {
        for moved in moved.chunk_by(|one, next| one.channel == next.channel) {
            if let Some(first) = moved.first() {
                let frames = || moved.iter().map(moved_frame).collect();
                self.push_watchers(first.channel, frames);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_asked_back_over_a_while_and_few_at_once() {
        let come_back = ComeBack::default();
        come_back.set(1);
        assert_eq!(come_back.draw(1, u64::MAX / 3), 1_000 + u64::MAX / 3 % 3);
        let draws: Vec<_> = (0..5_000)
            .map(|n| come_back.draw(5_000, n * 7_919))
            .collect();
        assert!(draws.iter().all(|at| (1_000..=13_500).contains(at)));
        for second in 1..13 {
            let here = draws.iter().filter(|at| **at / 1_000 == second).count();
            assert!((350..450).contains(&here), "{here} in second {second}");
        }
        come_back.set(u64::MAX);
        assert_eq!(come_back.draw(5_000, 5), u64::MAX);
    }
}
