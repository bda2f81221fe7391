//! Somebody who speaks the protocol without the client library: says who it is, with any key.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_certs::{
    handshake::{Opener, Transcript},
    signing::SigningKey,
    tls::{client_config, exporter},
};
use plenary_proto::{
    codec::encode_client,
    ids::{DeviceId, Digest},
    limits,
    request::{Auth, ClientFrame, Purpose},
};
use ring::rand::SystemRandom;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    },
};

use super::Server;

/// Everything that a server said after AUTH, to its end: frames as they came, then the close
/// frame's code and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Binary messages.
    pub frames: Vec<Bytes>,
    /// Of the close frame.
    pub close: Option<(u16, String)>,
}

/// Connects and claims to be a device, with a fresh key.
///
/// # Errors
/// When the server is not reached, or lets it in.
pub async fn claim(server: &Server, device: DeviceId) -> Result<Answer> {
    let pin: Digest = server.founder()?.ca_pin.parse()?;
    let tcp = TcpStream::connect(("127.0.0.1", server.port())).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    let tls = TlsConnector::from(client_config(pin)?)
        .connect(name, tcp)
        .await?;
    let binding = exporter(tls.get_ref().1)?;
    let mut request = format!("wss://127.0.0.1:{}/", server.port()).into_client_request()?;
    let protocol = HeaderValue::from_static(limits::SUBPROTOCOL);
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    let (mut socket, _) = client_async(request, tls).await?;

    let hello = match socket.next().await.context("no HELLO")?? {
        Message::Binary(hello) => hello,
        other => bail!("{other:?} instead of HELLO"),
    };
    let nonce = Digest([7; 32]);
    let opener = Opener::Device(device, Purpose::Chat);
    let key = SigningKey::generate(&SystemRandom::new())?;
    let auth = Auth {
        device,
        purpose: Purpose::Chat,
        nonce,
        signature: Transcript::new(&hello, &binding, opener, &nonce).sign_auth(key.pair()),
    };
    socket
        .send(Message::Binary(encode_client(ClientFrame::Auth(auth))))
        .await?;
    let mut answer = Answer {
        frames: Vec::new(),
        close: None,
    };
    while let Some(message) = socket.next().await {
        match message? {
            Message::Binary(frame) => answer.frames.push(frame),
            Message::Close(close) => {
                answer.close = close.map(|close| (close.code.into(), close.reason.to_string()));
            }
            _ => {}
        }
    }
    Ok(answer)
}
