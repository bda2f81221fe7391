//! One connection that speaks the protocol without the client library: as a device, as the founder, or
//! as somebody who lies.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_certs::{
    handshake::{Opener, Transcript},
    invitation::Invitation,
    tls::{client_config, exporter},
};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client, parts},
    ids::{Digest, RequestId, Signature},
    limits::{CHAT_MESSAGE, SUBPROTOCOL},
    reply::{Failure, Hello, Reply, ServerFrame},
    request::{Auth, ClientFrame, Knock, Purpose, Request},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::network::Device;

/// Nothing takes a tenth of it, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(60);

pub type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// Where the server is, and how to know it.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// A connection that was let in.
pub struct Seat {
    pub socket: Socket,
    assembler: Assembler,
    next: u64,
}

impl Door {
    pub fn new(port: u16, pin: &str) -> Self {
        Self {
            address: ([127, 0, 0, 1], port).into(),
            tls: client_config(pin.parse().unwrap()).unwrap(),
        }
    }

    /// From any address of this machine.
    pub async fn tcp(&self, from: [u8; 4]) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let tcp = socket.connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    pub async fn tls(&self, from: [u8; 4]) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        let tcp = self.tcp(from).await?;
        TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await
    }

    /// Upgraded, and HELLO read.
    pub async fn greeted(&self, from: [u8; 4]) -> Result<(Socket, Bytes), Error> {
        let mut request = "wss://localhost/".into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", SUBPROTOCOL.parse().unwrap());
        let config = WebSocketConfig::default().read_buffer_size(4 * 1_024);
        let tls = self.tls(from).await?;
        let (mut socket, _) = client_async_with_config(request, tls, Some(config)).await?;
        let hello = binary(&mut socket).await?;
        Ok((socket, hello))
    }

    /// In as a device; `forged`: with a signature that is none, which never gets in.
    pub async fn enter(
        &self,
        from: [u8; 4],
        device: &Device,
        purpose: Purpose,
        forged: bool,
    ) -> Result<Seat, Error> {
        let (mut socket, hello) = self.greeted(from).await?;
        let binding = exporter(socket.get_ref().get_ref().1).unwrap();
        let nonce = Digest([7; 32]);
        let opener = Opener::Device(device.id, purpose);
        let transcript = Transcript::new(&hello, &binding, opener, &nonce);
        let signature = match forged {
            true => Signature([1; 64]),
            false => transcript.sign_auth(device.authentication.pair()),
        };
        let auth = Auth {
            device: device.id,
            purpose,
            nonce,
            signature,
        };
        let frame = encode_client(ClientFrame::Auth(auth));
        socket.send(Message::Binary(frame)).await?;
        Seat::admitted(socket, &transcript, &hello).await
    }

    /// In as whoever founds the network.
    pub async fn found(&self, invitation: &Invitation) -> Result<Seat, Error> {
        let (mut socket, hello) = self.greeted([127, 0, 0, 1]).await?;
        let binding = exporter(socket.get_ref().get_ref().1).unwrap();
        let nonce = Digest([7; 32]);
        let opener = Opener::Guest(invitation.id);
        let transcript = Transcript::new(&hello, &binding, opener, &nonce);
        let knock = Knock {
            invitation: invitation.id,
            nonce,
            mac: transcript.knock_mac(&invitation.knock_key().unwrap()),
        };
        let frame = encode_client(ClientFrame::Knock(knock));
        socket.send(Message::Binary(frame)).await?;
        Seat::admitted(socket, &transcript, &hello).await
    }
}

/// The next binary message. Errors: also a close frame.
pub async fn binary(socket: &mut Socket) -> Result<Bytes, Error> {
    loop {
        let next = timeout(PATIENCE, socket.next()).await.expect("silence");
        match next {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) | None => return Err(Error::ConnectionClosed),
        }
    }
}

/// The code of the close frame that ends the connection; 0 if there is none.
pub async fn close_code(socket: &mut Socket) -> u16 {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("silence") {
            Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 0,
        }
    }
}

impl Seat {
    async fn admitted(
        mut socket: Socket,
        transcript: &Transcript,
        hello: &Bytes,
    ) -> Result<Self, Error> {
        let answer = decode_server(binary(&mut socket).await?).unwrap();
        let (ServerFrame::Ok(ok), ServerFrame::Hello(hello)) =
            (answer, decode_server(hello.clone()).unwrap())
        else {
            return Err(Error::ConnectionClosed);
        };
        let Hello { server_key, .. } = hello;
        transcript.check_ok(&server_key, &ok.signature).unwrap();
        Ok(Self {
            socket,
            assembler: Assembler::default(),
            next: 0,
        })
    }

    /// Sends a request; its number.
    pub async fn say(&mut self, request: Request) -> Result<RequestId, Error> {
        self.next += 1;
        let id = RequestId(self.next);
        let frame = encode_client(ClientFrame::Request(id, request));
        match parts(&frame, CHAT_MESSAGE) {
            None => self.socket.feed(Message::Binary(frame)).await?,
            Some(parts) => {
                for part in parts {
                    let part = encode_client(ClientFrame::Part(part));
                    self.socket.feed(Message::Binary(part)).await?;
                }
            }
        }
        self.socket.flush().await?;
        Ok(id)
    }

    /// The answer to a request; what comes between is dropped.
    pub async fn answer(&mut self, to: RequestId) -> Result<Result<Reply, Failure>, Error> {
        loop {
            let frame = match decode_server(binary(&mut self.socket).await?).unwrap() {
                ServerFrame::Part(part) => match self.assembler.push(&part).unwrap() {
                    Some(whole) => decode_server(whole.into()).unwrap(),
                    None => continue,
                },
                frame => frame,
            };
            match frame {
                ServerFrame::Reply(id, reply) if id == to => return Ok(reply),
                _ => {}
            }
        }
    }

    /// Asks, and waits for the answer.
    pub async fn ask(&mut self, request: Request) -> Result<Result<Reply, Failure>, Error> {
        let id = self.say(request).await?;
        self.answer(id).await
    }
}
