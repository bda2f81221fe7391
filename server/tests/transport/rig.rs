//! A server with an echo behind the seam, and clients that may misbehave.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use plenary_certs::tls::{Authority, Reloadable, client_config, exporter, server_config};
use plenary_proto::codec::Payload;
use plenary_proto::ids::{DeviceId, MemberId, UnixMillis};
use plenary_proto::limits::CHAT_MESSAGE;
use plenary_proto::request::Purpose;
use plenary_server::net::{
    End, Link, Next, Presence, Registry, Service, Session, Settings, Step, Turn, serve,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Nothing here takes a tenth of it, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub address: SocketAddr,
    pub registry: Arc<Registry>,
    pub stop: watch::Sender<bool>,
    /// A session works on "wait".
    pub working: Arc<Notify>,
    /// Lets it go on.
    pub go_on: Arc<Notify>,
    finished: Arc<AtomicUsize>,
    line: Line,
    served: JoinHandle<()>,
}

/// All that a client needs of a server.
#[derive(Clone)]
pub struct Line {
    address: SocketAddr,
    pin: String,
    client: Arc<ClientConfig>,
}

#[derive(Debug)]
pub struct Client {
    pub socket: WebSocketStream<TlsStream<TcpStream>>,
}

impl Rig {
    pub async fn start(settings: Settings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = UnixMillis(now.as_millis() as u64);
        let authority = Authority::create(folder.path(), now).unwrap();
        let identity = authority.issue(&["localhost".to_owned()], now).unwrap();
        let tls = server_config(Reloadable::new(identity)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let (stop, stopping) = watch::channel(false);
        let echo = Arc::new(Echo {
            registry: Registry::new(),
            working: Arc::default(),
            go_on: Arc::default(),
            finished: Arc::default(),
        });
        Self {
            address,
            registry: echo.registry.clone(),
            stop,
            working: echo.working.clone(),
            go_on: echo.go_on.clone(),
            finished: echo.finished.clone(),
            line: Line::new(address, &authority.pin().to_string()),
            served: tokio::spawn(serve(tcp, tls, echo, settings, stopping)),
        }
    }

    pub fn line(&self) -> &Line {
        &self.line
    }

    pub async fn tls(&self) -> TlsStream<TcpStream> {
        self.line.tls().await
    }

    pub async fn try_connect(&self, subprotocol: Option<&str>) -> Result<Client, Error> {
        self.line.try_connect(subprotocol).await
    }

    pub async fn connect(&self) -> Client {
        self.line.connect().await
    }

    pub async fn settled(&self, device: DeviceId) -> Client {
        self.line.settled(device).await
    }

    /// Until no connection of the device is left.
    pub async fn gone(&self, device: DeviceId) {
        let poll = async {
            while self.registry.devices().contains(&device) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, poll).await.expect("still connected");
    }

    pub fn finished(&self) -> usize {
        self.finished.load(Ordering::SeqCst)
    }

    pub async fn stopped(self) {
        timeout(PATIENCE, self.served).await.unwrap().unwrap();
    }
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.address, self.pin)
    }
}

impl Line {
    fn new(address: SocketAddr, pin: &str) -> Self {
        Self {
            address,
            pin: pin.to_owned(),
            client: client_config(pin.parse().unwrap()).unwrap(),
        }
    }

    /// What it is shown as.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, pin) = text.split_once(' ')?;
        Some(Self::new(address.parse().ok()?, pin))
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub async fn tls(&self) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = TlsConnector::from(self.client.clone());
        connector.connect(name, tcp).await.unwrap()
    }

    pub async fn try_connect(&self, subprotocol: Option<&str>) -> Result<Client, Error> {
        let mut request = "wss://localhost/".into_client_request().unwrap();
        if let Some(name) = subprotocol {
            let headers = request.headers_mut();
            headers.insert("sec-websocket-protocol", name.parse().unwrap());
        }
        let (socket, response) = client_async(request, self.tls().await).await?;
        assert_eq!(response.headers()["sec-websocket-protocol"], "plenary.v1");
        Ok(Client { socket })
    }

    pub async fn connect(&self) -> Client {
        self.try_connect(Some("plenary.v1")).await.unwrap()
    }

    pub async fn settled(&self, device: DeviceId) -> Client {
        let mut client = self.connect().await;
        client.next().await;
        client.settle(device).await;
        client
    }
}

impl Client {
    pub fn binding(&self) -> [u8; 32] {
        exporter(self.socket.get_ref().get_ref().1).unwrap()
    }

    pub async fn send(&mut self, message: impl Into<Bytes>) {
        let message = Message::Binary(message.into());
        // A server that has seen enough may be gone before all is written.
        let _ = self.socket.send(message).await;
    }

    pub async fn frame(&mut self, frame: Frame) {
        let _ = self.socket.send(Message::Frame(frame)).await;
    }

    /// Authenticates, as far as the echo is concerned.
    pub async fn settle(&mut self, device: DeviceId) {
        let mut message = b"settle".to_vec();
        message.extend_from_slice(device.as_bytes());
        self.send(message).await;
        assert_eq!(self.next().await[..], *b"settled");
    }

    /// The next binary message.
    pub async fn next(&mut self) -> Bytes {
        loop {
            match self.receive().await {
                Some(Ok(Message::Binary(bytes))) => return bytes,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no message: {other:?}"),
            }
        }
    }

    pub async fn until(&mut self, wanted: &[u8]) {
        while self.next().await != wanted {}
    }

    /// The code of the close frame, which must come next.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.receive().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    }

    /// The code of the close frame if it is there already; 0 if the connection is gone without one.
    pub async fn closed_yet(&mut self) -> Option<u16> {
        match self.socket.next().now_or_never()? {
            Some(Ok(Message::Close(Some(frame)))) => Some(frame.code.into()),
            Some(Ok(_)) => None,
            Some(Err(_)) | None => Some(0),
        }
    }

    async fn receive(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.socket.next())
            .await
            .expect("silence")
    }
}

/// A frame by hand, with its mask still to be set by the client.
pub fn data_frame(kind: Data, payload: Vec<u8>, last: bool) -> Frame {
    Frame::message(payload, OpCode::Data(kind), last)
}

struct Echo {
    registry: Arc<Registry>,
    working: Arc<Notify>,
    go_on: Arc<Notify>,
    finished: Arc<AtomicUsize>,
}

struct EchoSession {
    link: Link,
    registry: Arc<Registry>,
    working: Arc<Notify>,
    go_on: Arc<Notify>,
    finished: Arc<AtomicUsize>,
    _presence: Presence,
}

impl Service for Echo {
    fn open(&self, link: Link) -> Box<dyn Session> {
        let presence = self.registry.link(link.outbox.clone(), link.peer);
        Box::new(EchoSession {
            link,
            registry: self.registry.clone(),
            working: self.working.clone(),
            go_on: self.go_on.clone(),
            finished: self.finished.clone(),
            _presence: presence,
        })
    }
}

#[async_trait]
impl Session for EchoSession {
    async fn opened(&mut self) -> Step {
        Step::reply(vec![Bytes::copy_from_slice(&self.link.exporter).into()])
    }

    async fn message(&mut self, message: Bytes) -> Turn {
        if let Some(device) = message.strip_prefix(b"settle") {
            let device = DeviceId::try_from(device).unwrap();
            let member = MemberId(device.0);
            let id = self.link.outbox.id();
            self.registry.enter(id, device, member, Purpose::Chat);
            return Step {
                frames: vec![Bytes::from_static(b"settled").into()],
                next: Next::Settled {
                    message: CHAT_MESSAGE,
                },
            }
            .into();
        }
        if message[..] == *b"later" {
            let (working, go_on) = (self.working.clone(), self.go_on.clone());
            let finished = self.finished.clone();
            return Turn {
                step: Step::reply(Vec::new()),
                later: Some(Box::pin(async move {
                    working.notify_one();
                    go_on.notified().await;
                    finished.fetch_add(1, Ordering::SeqCst);
                    vec![Bytes::from_static(b"done later").into()]
                })),
            };
        }
        if message[..] == *b"wait" {
            self.working.notify_one();
            self.go_on.notified().await;
            self.finished.fetch_add(1, Ordering::SeqCst);
            return Step::reply(vec![Bytes::from_static(b"waited").into()]).into();
        }
        Step::reply(vec![message.into()]).into()
    }

    fn farewell(&mut self, _end: End) -> Vec<Payload> {
        vec![Bytes::from_static(b"bye").into()]
    }
}
