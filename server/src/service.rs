//! The core's sessions on the transport's connections, and the registry as the core's hub.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use plenary_core::hub::{ConnectionId, Hub, To, moved_frame};
use plenary_core::network::Network;
use plenary_core::session::{self, Closed};
use plenary_core::store::Moved;
use plenary_proto::ids::{ChannelId, DeviceId, Digest, MemberId};
use plenary_proto::request::Purpose;
use ring::rand::{SecureRandom, SystemRandom};

use crate::clock::now;
use crate::net::{Closing, End, Link, Next, Presence, Registry, Service, Session, Step, Turn};

/// A client that is told goodbye by a server that stops may try again after so long.
const COME_BACK_MS: u64 = 1_000;

/// Serves one network.
pub struct Plenary {
    network: Arc<Network>,
    registry: Arc<Registry>,
}

impl Plenary {
    /// `registry` must be the hub of `network`.
    pub fn new(network: Arc<Network>, registry: Arc<Registry>) -> Self {
        Self { network, registry }
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
            _presence: self.registry.link(link.outbox),
        })
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
    _presence: Presence,
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
        Step::reply(frames)
    }

    async fn message(&mut self, message: Bytes) -> Turn {
        let Some(state) = self.state.take() else {
            return Step::close(Vec::new(), Closing::Failed).into();
        };
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
        Turn {
            step: Step {
                frames: turn.frames,
                next,
            },
            later: turn.later,
        }
    }

    fn farewell(&mut self, end: End) -> Vec<Bytes> {
        let (reason, retry_after_ms) = match end {
            End::Shutdown => ("the server stops", COME_BACK_MS),
            End::Cut(_) => ("this device has no access", 0),
        };
        let bye = self
            .state
            .as_ref()
            .and_then(|state| state.farewell(reason, retry_after_ms));
        Vec::from_iter(bye)
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

    fn moved(&self, moved: Moved) {
        self.push_watchers(moved.channel, || moved_frame(&moved));
    }
}
