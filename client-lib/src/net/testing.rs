//! A scripted server over real TLS on loopback: it says what the test wants, true or not.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_certs::{
    handshake::{Opener, Transcript},
    signing::SigningKey,
    tls::{Authority, Reloadable, exporter, server_config},
};
use plenary_proto::ids::RequestId;
use plenary_proto::{
    codec::{Assembler, decode_client, encode_server},
    ids::{DeviceId, Digest, LedgerHead, NetworkId, PublicKey, UnixMillis},
    limits,
    reply::{Failure, Hello, Limits, Ok as OkFrame, Reply, ServerFrame},
    request::{ClientFrame, Purpose},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request as Upgrade, Response},
    },
};

use super::{Credentials, Expected, OpenerKey};

pub(crate) const NETWORK: NetworkId = NetworkId([7; 16]);
pub(crate) const DEVICE: DeviceId = DeviceId([3; 16]);
/// Nothing here takes a tenth of it, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that does nothing by itself.
pub(crate) struct Server {
    pub(crate) address: String,
    pub(crate) pin: Digest,
    pub(crate) key: SigningKey,
    listener: TcpListener,
    tls: TlsAcceptor,
}

/// One connection to it, after the upgrade.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TlsStream<TcpStream>>,
    pub(crate) binding: [u8; 32],
    assembler: Assembler,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = UnixMillis(now.as_millis() as u64);
        let authority = Authority::create(folder.path(), now).unwrap();
        let identity = authority.issue(&["localhost".to_owned()], now).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: format!("localhost:{}", listener.local_addr().unwrap().port()),
            pin: authority.pin(),
            key: SigningKey::from_seed(&[9; 32]).unwrap(),
            listener,
            tls: TlsAcceptor::from(server_config(Reloadable::new(identity)).unwrap()),
        }
    }

    /// The same certificate and key behind another port: what a relay has who stole the outer door.
    pub(crate) async fn twin(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: format!("localhost:{}", listener.local_addr().unwrap().port()),
            pin: self.pin,
            key: SigningKey::from_seed(&[10; 32]).unwrap(),
            listener,
            tls: self.tls.clone(),
        }
    }

    pub(crate) fn device(&self, purpose: Purpose) -> Credentials {
        Credentials {
            address: self.address.clone(),
            ca_pin: self.pin,
            opener: OpenerKey::Device {
                device: DEVICE,
                purpose,
                key: Arc::new(device_key()),
            },
        }
    }

    pub(crate) fn expected(&self) -> Expected {
        Expected {
            network: Some(NETWORK),
            server_key: Some(self.key.public()),
        }
    }

    pub(crate) fn hello(&self) -> Hello {
        Hello {
            network: NETWORK,
            server_key: self.key.public(),
            nonce: Digest([5; 32]),
            limits: Limits {
                chat_message: limits::CHAT_MESSAGE as u32,
                bulk_message: limits::BULK_MESSAGE as u32,
                read_records: limits::READ_RECORDS,
                messages_per_minute: limits::MESSAGES_PER_MINUTE,
                message_burst: limits::MESSAGE_BURST,
            },
            ledger: LedgerHead::EMPTY,
            time: super::driver::now(),
        }
    }

    /// TCP only.
    pub(crate) async fn tcp(&self) -> TcpStream {
        let (tcp, _) = timeout(PATIENCE, self.listener.accept())
            .await
            .unwrap()
            .unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    /// TLS, which the client may refuse.
    pub(crate) async fn try_tls(&self) -> std::io::Result<TlsStream<TcpStream>> {
        self.tls.accept(self.tcp().await).await
    }

    /// TLS and upgrade.
    pub(crate) async fn accept(&self) -> Peer {
        let tls = self.try_tls().await.unwrap();
        let binding = exporter(tls.get_ref().1).unwrap();
        #[allow(clippy::result_large_err, reason = "the shape is tungstenite's")]
        let agree = |_: &Upgrade, mut response: Response| -> Result<Response, ErrorResponse> {
            let name = limits::SUBPROTOCOL.parse().unwrap();
            response
                .headers_mut()
                .insert("sec-websocket-protocol", name);
            Ok(response)
        };
        let socket = accept_hdr_async(tls, agree).await.unwrap();
        Peer {
            socket,
            binding,
            assembler: Assembler::default(),
        }
    }

    /// Everything up to OK.
    pub(crate) async fn settle(&self) -> Peer {
        let mut peer = self.accept().await;
        let transcript = peer.greet(&self.hello()).await;
        peer.ok(&self.key, &transcript).await;
        peer
    }
}

pub(crate) fn device_key() -> SigningKey {
    SigningKey::from_seed(&[3; 32]).unwrap()
}

impl Peer {
    /// HELLO out, AUTH or KNOCK in and checked; the transcript.
    pub(crate) async fn greet(&mut self, hello: &Hello) -> Transcript {
        let hello = encode_server(ServerFrame::Hello(hello.clone()));
        self.raw(hello.clone()).await;
        match self.receive().await {
            ClientFrame::Auth(auth) => {
                let opener = Opener::Device(auth.device, auth.purpose);
                let transcript = Transcript::new(&hello, &self.binding, opener, &auth.nonce);
                let key: PublicKey = device_key().public();
                transcript.check_auth(&key, &auth.signature).unwrap();
                transcript
            }
            ClientFrame::Knock(knock) => {
                let opener = Opener::Guest(knock.invitation);
                let transcript = Transcript::new(&hello, &self.binding, opener, &knock.nonce);
                transcript
                    .check_knock(&Digest([4; 32]), &knock.mac)
                    .unwrap();
                transcript
            }
            other => panic!("no opening: {other:?}"),
        }
    }

    pub(crate) async fn ok(&mut self, key: &SigningKey, transcript: &Transcript) {
        self.send(ServerFrame::Ok(OkFrame {
            signature: transcript.sign_ok(key.pair()),
            key_packages: 12,
        }))
        .await;
    }

    pub(crate) async fn send(&mut self, frame: ServerFrame) {
        self.raw(encode_server(frame)).await;
    }

    pub(crate) async fn answer(&mut self, id: RequestId, reply: Result<Reply, Failure>) {
        self.send(ServerFrame::Reply(id, reply)).await;
    }

    /// Bytes as one binary message. The client may be gone.
    pub(crate) async fn raw(&mut self, bytes: Bytes) {
        let _ = self.socket.send(Message::Binary(bytes)).await;
    }

    /// The next frame, parts joined.
    pub(crate) async fn receive(&mut self) -> ClientFrame {
        self.try_receive().await.expect("the client is gone")
    }

    /// The same; `None` when the client is gone.
    pub(crate) async fn try_receive(&mut self) -> Option<ClientFrame> {
        loop {
            let next = timeout(PATIENCE, self.socket.next())
                .await
                .expect("silence");
            match next {
                Some(Ok(Message::Binary(bytes))) => match decode_client(bytes).unwrap() {
                    ClientFrame::Part(part) => {
                        if let Some(whole) = self.assembler.push(&part).unwrap() {
                            return Some(decode_client(whole.into()).unwrap());
                        }
                    }
                    frame => return Some(frame),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }
}
