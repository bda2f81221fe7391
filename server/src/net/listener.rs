//! Accepts connections, sees them through the handshakes, and starts their tasks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use plenary_proto::limits;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::select;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tracing::{Instrument, debug, info, info_span, warn};

use super::beside::Beside;
use super::connection::{Connection, Ended, Entered, Pace};
use super::gate::{Gate, Slot, Verdict};
use super::lanes::{Kind, Lanes};
use super::outbox::{ConnectionId, outbox};
use super::session::{Closing, Link, Note, Service};
use super::upgrade::{Upgraded, upgrade};

/// What the task of an idle connection may take: of memory for ten thousand it is most.
const TASK: usize = 4096;
/// After a failed accept (out of file descriptors, mostly).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What an operator may tune of the listener.
///
/// Memory in the worst case: every connection 24 KiB, its outbound queue of 256 KiB, and one
/// message in each direction (72 KiB chat, 1,028 KiB bulk).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// From accept to OK.
    pub handshake: Duration,
    /// Handshakes in progress.
    pub handshakes: usize,
    /// Of them, from one address.
    pub handshakes_per_address: usize,
    /// Connections in all.
    pub connections: usize,
    /// Silence after which a peer is pinged.
    pub ping_after: Duration,
    /// Silence after which it is gone.
    pub gone_after: Duration,
    /// How long connections may take to end when the server stops.
    pub drain: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            handshake: limits::HANDSHAKE,
            handshakes: limits::HANDSHAKES_IN_FLIGHT,
            handshakes_per_address: limits::HANDSHAKES_PER_ADDRESS,
            connections: 10_000,
            ping_after: limits::PING_AFTER,
            gone_after: limits::GONE_AFTER,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves until `stop` turns true, then ends every connection and returns.
pub async fn serve(
    tcp: TcpListener,
    tls: Arc<ServerConfig>,
    service: Arc<dyn Service>,
    settings: Settings,
    mut stop: watch::Receiver<bool>,
) {
    let gate = Gate::new(settings.handshakes, settings.handshakes_per_address);
    let places = Arc::new(Semaphore::new(settings.connections));
    // Every task holds a sender: when all are gone, all tasks are.
    let (alive, mut all_gone) = mpsc::channel::<()>(1);
    let shared = Arc::new(Shared {
        acceptor: TlsAcceptor::from(tls),
        service,
        settings,
        stop: stop.clone(),
        ids: AtomicU64::new(1),
        door: Lanes::start(Kind::Handshakes),
        items: Lanes::start(Kind::Items),
    });
    loop {
        let accepted = select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&tcp, &gate, &places) => accepted,
        };
        let Some((stream, peer, slot, place)) = accepted else {
            continue;
        };
        shared.service.note(Note::Accepted);
        let arrival = Arrival {
            shared: shared.clone(),
            peer,
            settle_by: Instant::now() + settings.handshake,
            _place: place,
            _alive: alive.clone(),
        };
        match gate.judge(peer.ip(), slot) {
            Verdict::Pass(slot) => {
                tokio::spawn(arrival.enter(stream, slot));
            }
            Verdict::Wait(waiting) => {
                tokio::spawn(async move {
                    match timeout_at(arrival.settle_by, waiting.turn()).await {
                        Ok(Some(slot)) => arrival.enter(stream, slot).await,
                        _ => {
                            arrival.shared.service.note(Note::Refused("full"));
                            debug!(%peer, "gave up: its address has its share of handshakes");
                        }
                    }
                });
            }
            Verdict::Full => {
                shared.service.note(Note::Refused("full"));
                debug!(%peer, "closed: too many wait from its address");
            }
        }
    }
    drop(tcp);
    drop(alive);
    info!("no longer accepting; ending connections");
    if timeout(settings.drain, all_gone.recv()).await.is_err() {
        warn!("some connections did not end in time");
    }
}

type Accepted = (
    TcpStream,
    SocketAddr,
    OwnedSemaphorePermit,
    OwnedSemaphorePermit,
);

/// Waits for room first, so that what is too much stays in the kernel's queue.
async fn accept(tcp: &TcpListener, gate: &Gate, places: &Arc<Semaphore>) -> Option<Accepted> {
    let place = places.clone().acquire_owned().await.ok()?;
    let slot = gate.slot().await?;
    match tcp.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot, place)),
        Err(error) => {
            warn!(%error, "cannot accept; raise the limit of open files if it is reached");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

struct Shared {
    acceptor: TlsAcceptor,
    service: Arc<dyn Service>,
    settings: Settings,
    stop: watch::Receiver<bool>,
    ids: AtomicU64,
    door: Lanes,
    items: Lanes,
}

/// An accepted TCP connection with everything it needs.
struct Arrival {
    shared: Arc<Shared>,
    peer: SocketAddr,
    settle_by: Instant,
    /// Held until it has ended.
    _place: OwnedSemaphorePermit,
    _alive: mpsc::Sender<()>,
}

impl Arrival {
    /// Sees it in on a lane; what chats then goes on here, in a task of its own: the handshake's memory
    /// is given back.
    async fn enter(self, stream: TcpStream, slot: Slot) {
        let id = ConnectionId(self.shared.ids.fetch_add(1, Ordering::Relaxed));
        let address: IpAddr = self.peer.ip();
        let span = info_span!("connection", id = id.0, %address);
        let work = Box::pin(self.handshakes(stream, slot, id));
        let work = self.shared.door.run(work).instrument(span.clone());
        let failed = Ended::Closed(Closing::Failed);
        let (mut connection, session, items) = match work.await {
            Some(None) => return,
            Some(Some(Entered::Ended(ended))) => return span.in_scope(|| self.ended(ended)),
            None => return span.in_scope(|| self.ended(failed)),
            Some(Some(Entered::Settled {
                connection,
                session,
                items,
            })) => (connection, session, items),
        };
        let task = async move {
            let shared = self.shared.clone();
            let serve = async move { connection.serve_here(session).await };
            let ended = match items {
                true => shared.items.run(Box::pin(serve)).await.unwrap_or(failed),
                false => serve.await,
            };
            self.ended(ended);
        };
        debug_assert!(size_of_val(&task) < TASK, "{}", size_of_val(&task));
        tokio::spawn(task.instrument(span));
    }

    /// Everything until it is settled or has ended. `None`: no session was ever opened.
    fn handshakes(
        &self,
        stream: TcpStream,
        slot: Slot,
        id: ConnectionId,
    ) -> impl Future<Output = Option<Entered>> + Send + use<> {
        let (shared, peer, settle_by) = (self.shared.clone(), self.peer, self.settle_by);
        async move {
            let (socket, exporter) = shared.upgrade(stream, settle_by).await?;
            let (outbox, inbox) = outbox(id);
            let link = Link {
                peer,
                exporter,
                outbox,
            };
            let connection = Box::new(Connection {
                socket,
                inbox,
                pace: Pace {
                    settle_by,
                    ping_after: shared.settings.ping_after,
                    gone_after: shared.settings.gone_after,
                },
                stop: shared.stop.clone(),
                slot: Some(slot),
                beside: Beside::default(),
            });
            let session = shared.service.open(link);
            Some(connection.enter(session).await)
        }
    }

    fn ended(&self, ended: Ended) {
        debug!(?ended, "ended");
        self.shared.service.note(Note::Ended(ended.word()));
    }
}

impl Shared {
    /// TLS and the upgrade, or `None` and why is told.
    async fn upgrade(&self, stream: TcpStream, settle_by: Instant) -> Option<Upgraded> {
        let mut stop = self.stop.clone();
        let work = timeout_at(settle_by, Box::pin(upgrade(stream, &self.acceptor)));
        let upgraded = select! {
            _ = stop.wait_for(|stop| *stop) => return None,
            upgraded = work => upgraded,
        };
        match upgraded {
            Ok(Ok(upgraded)) => return Some(upgraded),
            Ok(Err(error)) => {
                self.service.note(Note::Refused("handshake"));
                debug!(%error, "refused");
            }
            Err(_) => {
                self.service.note(Note::Refused("slow"));
                debug!("too slow to upgrade");
            }
        }
        None
    }
}
