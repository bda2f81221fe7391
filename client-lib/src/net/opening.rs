//! Opening a connection: from an address to an authenticated [`Connection`].
//!
//! Nothing signed leaves before the server has shown the pinned CA, the right network and, where it
//! is known, the right key. Nothing is believed before OK, the server's signature over the same
//! transcript: it proves that no relay sits between.

use std::{fmt, io, sync::Arc};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use plenary_certs::{
    handshake::{Opener, Transcript},
    signing::SigningKey,
    tls::{client_config, exporter},
};
use plenary_proto::{
    codec::{decode_server, encode_client},
    ids::{DeviceId, Digest, InvitationId, NetworkId, PublicKey},
    limits,
    reply::{Code, Hello, Limits, Ok as OkFrame, ServerFrame},
    request::{Auth, ClientFrame, Knock, Purpose},
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::ServerName;
use tokio::{io::BufReader, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{
        self, Message,
        client::IntoClientRequest,
        http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
        protocol::WebSocketConfig,
    },
};

use super::{
    connection::{Connection, Socket, explain},
    guard::Guarded,
};
use crate::error::{Error, ErrorKind};

/// Small frames are gathered up to so many bytes before they are written.
const WRITE_BUFFER: usize = 8 * 1024;

/// Bytes read from the system at a time: rustls alone asks for 4 KiB.
const BELOW_TLS: usize = 64 * 1024;
/// Bytes read out of TLS at a time: one record.
const READ_BUFFER: usize = 16 * 1024;

/// What opens a connection.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// Host and port.
    pub(crate) address: String,
    /// SHA-256 of the CA's certificate.
    pub(crate) ca_pin: Digest,
    /// Who comes.
    pub(crate) opener: OpenerKey,
}

/// Who opens a connection, and by what it is proved.
#[derive(Clone)]
pub(crate) enum OpenerKey {
    /// An admitted device.
    Device {
        device: DeviceId,
        purpose: Purpose,
        /// Its authentication key.
        key: Arc<SigningKey>,
    },
    /// Somebody with an invitation.
    Guest {
        invitation: InvitationId,
        /// Derived from the invitation's secret; itself a secret.
        verifier: Digest,
    },
}

impl fmt::Debug for OpenerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device {
                device, purpose, ..
            } => write!(f, "Device({device:?}, {purpose:?}, key hidden)"),
            Self::Guest { invitation, .. } => write!(f, "Guest({invitation:?}, key hidden)"),
        }
    }
}

/// Who the server must be. `None`: not known yet; then OK binds what HELLO claims, and the ledger
/// has to confirm it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) network: Option<NetworkId>,
    pub(crate) server_key: Option<PublicKey>,
}

/// Opens a connection within [`limits::HANDSHAKE`].
///
/// # Errors
/// `Offline`: not reached, no Plenary server, too slow. `Trust`: another CA, network or key, a
/// relay, limits above ours. `Unauthenticated`: the server does not admit the opener. What else the
/// server refuses keeps its kind.
pub(crate) async fn open(
    credentials: &Credentials,
    expected: Expected,
) -> Result<Connection, Error> {
    match timeout(
        limits::HANDSHAKE,
        Box::pin(establish(credentials, expected)),
    )
    .await
    {
        Ok(result) => result,
        Err(_) => Err(Error::new(
            ErrorKind::Offline,
            format!(
                "{} did not answer within {} seconds",
                credentials.address,
                limits::HANDSHAKE.as_secs()
            ),
        )),
    }
}

async fn establish(credentials: &Credentials, expected: Expected) -> Result<Connection, Error> {
    let address = &credentials.address;
    let (mut socket, binding) = reach(credentials).await?;
    let hello_bytes = next_message(&mut socket, address).await?;
    let hello = match understand(hello_bytes.clone())? {
        ServerFrame::Hello(hello) => hello,
        ServerFrame::Refused(failure) => return Err(failure.into()),
        _ => return Err(nonsense("something else than HELLO")),
    };
    check_hello(&hello, expected)?;

    let mut nonce = Digest([0; 32]);
    SystemRandom::new()
        .fill(&mut nonce.0)
        .map_err(|_| Error::new(ErrorKind::Io, "the system gives no randomness"))?;
    let (transcript, frame) = present(&credentials.opener, &hello_bytes, &binding, nonce);
    socket
        .send(Message::Binary(encode_client(frame)))
        .await
        .map_err(|error| explain(&error, address))?;

    let ok = match understand(next_message(&mut socket, address).await?)? {
        ServerFrame::Ok(ok) => ok,
        ServerFrame::Refused(failure) => {
            let refused = failure.code == Code::Unauthenticated;
            return Err(match refused {
                true => unauthenticated(&credentials.opener),
                false => failure.into(),
            });
        }
        _ => return Err(nonsense("something else than OK")),
    };
    check_ok(&transcript, &hello, &ok)?;
    let message = match credentials.opener {
        OpenerKey::Device {
            purpose: Purpose::Bulk,
            ..
        } => hello.limits.bulk_message,
        _ => hello.limits.chat_message,
    } as usize;
    Ok(Connection::new(
        socket,
        address.clone(),
        hello,
        ok.key_packages,
        message,
    ))
}

/// TCP, TLS and the upgrade.
pub(super) async fn reach(credentials: &Credentials) -> Result<(Socket, [u8; 32]), Error> {
    let address = &credentials.address;
    let name = server_name(address)?;
    let tls = client_config(credentials.ca_pin)
        .map_err(|error| Error::new(ErrorKind::Io, format!("TLS is not to be had: {error}")))?;
    let tcp = TcpStream::connect(address.as_str())
        .await
        .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
        .map_err(|error| offline(address, &error))?;
    let tls = TlsConnector::from(tls)
        .connect(name, BufReader::with_capacity(BELOW_TLS, tcp))
        .await
        .map_err(|error| tls_error(address, &error))?;
    let binding = exporter(tls.get_ref().1)
        .map_err(|error| Error::new(ErrorKind::Io, format!("no channel binding: {error}")))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 2 * limits::BULK_MESSAGE)
        .max_message_size(Some(limits::BULK_MESSAGE))
        .max_frame_size(Some(limits::BULK_MESSAGE));
    let (socket, response) =
        client_async_with_config(upgrade_request(address)?, Guarded::new(tls), Some(config))
            .await
            .map_err(|error| not_plenary(address, &error))?;
    let agreed = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
    if agreed.is_none_or(|name| name.as_bytes() != limits::SUBPROTOCOL.as_bytes()) {
        return Err(nonsense("another subprotocol"));
    }
    Ok((socket, binding))
}

fn server_name(address: &str) -> Result<ServerName<'static>, Error> {
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => address,
    };
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    ServerName::try_from(host.to_owned()).map_err(|_| bad_address(address))
}

fn upgrade_request(address: &str) -> Result<tungstenite::handshake::client::Request, Error> {
    let mut request = format!("wss://{address}/")
        .into_client_request()
        .map_err(|_| bad_address(address))?;
    let name = HeaderValue::from_static(limits::SUBPROTOCOL);
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    Ok(request)
}

/// The transcript and the frame that proves the opener on it.
fn present(
    opener: &OpenerKey,
    hello: &[u8],
    binding: &[u8; 32],
    nonce: Digest,
) -> (Transcript, ClientFrame) {
    match opener {
        OpenerKey::Device {
            device,
            purpose,
            key,
        } => {
            let opener = Opener::Device(*device, *purpose);
            let transcript = Transcript::new(hello, binding, opener, &nonce);
            let signature = transcript.sign_auth(key.pair());
            let auth = Auth {
                device: *device,
                purpose: *purpose,
                nonce,
                signature,
            };
            (transcript, ClientFrame::Auth(auth))
        }
        OpenerKey::Guest {
            invitation,
            verifier,
        } => {
            let transcript = Transcript::new(hello, binding, Opener::Guest(*invitation), &nonce);
            let mac = transcript.knock_mac(verifier);
            let knock = Knock {
                invitation: *invitation,
                nonce,
                mac,
            };
            (transcript, ClientFrame::Knock(knock))
        }
    }
}

fn check_hello(hello: &Hello, expected: Expected) -> Result<(), Error> {
    if expected
        .network
        .is_some_and(|network| network != hello.network)
    {
        return Err(trust(
            "the server serves another network: check the address, or ask for a new invitation",
        ));
    }
    if expected
        .server_key
        .is_some_and(|key| key != hello.server_key)
    {
        return Err(trust(
            "the server's key is not the one that the Board's ledger names: tell the Board",
        ));
    }
    check_limits(&hello.limits)
}

/// Sizes above ours could fill this machine's memory; below a frame's envelope nothing fits.
fn check_limits(advertised: &Limits) -> Result<(), Error> {
    let checks = [
        (
            "chat_message",
            advertised.chat_message,
            limits::FRAME_BEFORE_OK,
            limits::CHAT_MESSAGE,
        ),
        (
            "bulk_message",
            advertised.bulk_message,
            limits::FRAME_BEFORE_OK,
            limits::BULK_MESSAGE,
        ),
        (
            "read_records",
            advertised.read_records,
            1,
            limits::READ_RECORDS as usize,
        ),
    ];
    for (name, value, least, most) in checks {
        if !(least..=most).contains(&(value as usize)) {
            return Err(trust(format!(
                "the server announces {name} = {value}, this client accepts {least} to {most}: \
                 update the older of the two"
            )));
        }
    }
    Ok(())
}

fn check_ok(transcript: &Transcript, hello: &Hello, ok: &OkFrame) -> Result<(), Error> {
    transcript
        .check_ok(&hello.server_key, &ok.signature)
        .map_err(|_| {
            trust(
                "the server could not prove its key on this connection: something between reads \
                 along (a proxy that opens TLS?)",
            )
        })
}

/// The next binary message before OK.
async fn next_message(socket: &mut Socket, address: &str) -> Result<Bytes, Error> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Binary(bytes))) => return Ok(bytes),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Text(_))) => return Err(nonsense("text")),
            Some(Ok(Message::Close(_))) | None => {
                return Err(Error::new(
                    ErrorKind::Offline,
                    format!("{address} closed the connection before it was authenticated"),
                ));
            }
            Some(Err(error)) => return Err(explain(&error, address)),
        }
    }
}

fn understand(bytes: Bytes) -> Result<ServerFrame, Error> {
    decode_server(bytes).map_err(|error| nonsense(&error.to_string()))
}

fn tls_error(address: &str, error: &io::Error) -> Error {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        Some(rustls::Error::InvalidCertificate(reason)) => trust(format!(
            "{address} shows no certificate of this network ({reason:?}): check the address, the \
             clock, and for a proxy that opens TLS"
        )),
        Some(other) => Error::new(
            ErrorKind::Offline,
            format!("{address} does not speak TLS as Plenary does: {other}"),
        ),
        None => offline(address, error),
    }
}

fn not_plenary(address: &str, error: &tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Io(_) => explain(error, address),
        other => Error::new(
            ErrorKind::Offline,
            format!("{address} is no Plenary server: {other}"),
        ),
    }
}

fn unauthenticated(opener: &OpenerKey) -> Error {
    let message = match opener {
        OpenerKey::Device { .. } => {
            "the server does not admit this device: unknown, revoked or suspended; ask the Board"
        }
        OpenerKey::Guest { .. } => {
            "the server does not take this invitation: used, expired or withdrawn; ask for another"
        }
    };
    Error::new(ErrorKind::Unauthenticated, message)
}

fn offline(address: &str, error: &io::Error) -> Error {
    Error::new(
        ErrorKind::Offline,
        format!("cannot reach {address}: {error}"),
    )
}

fn bad_address(address: &str) -> Error {
    Error::new(
        ErrorKind::Input,
        format!("{address:?} is no address: use HOST:PORT, with an IPv6 host in brackets"),
    )
}

fn trust(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Trust, message)
}

fn nonsense(what: &str) -> Error {
    Error::new(
        ErrorKind::Integrity,
        format!("the server does not keep to the protocol: {what}"),
    )
}
