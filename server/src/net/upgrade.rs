//! From a TCP connection to an upgraded socket: TLS, then WebSocket with our subprotocol.

use std::io;
use std::os::fd::AsFd;

use plenary_certs::tls::exporter;
use plenary_proto::limits::{BULK_MESSAGE, CONTROL_FRAMES_PER_SECOND, FRAGMENTS};
use plenary_proto::limits::{FRAME_BEFORE_OK, PART, READ_BUFFER, SUBPROTOCOL};
use plenary_proto::scanner::Rules;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config};

use super::guard::Guarded;
use super::wide::Wide;

/// Control frames that wait for a peer that takes nothing: the only ones that the library writes.
const CONTROL_FRAMES: usize = 1024;

/// What TLS may hold beside one part: its records' headers and tags, small frames.
const TLS_ASIDE: usize = 64 * 1024;

/// Why a connection never became one.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// TLS failed: wrong version, wrong group, not TLS at all, or gone.
    #[error("TLS: {0}")]
    Tls(#[source] std::io::Error),
    /// The exporter could not be had.
    #[error("no channel binding: {0}")]
    Binding(#[source] rustls::Error),
    /// The upgrade was malformed or refused.
    #[error("upgrade: {0}")]
    Upgrade(#[source] Box<tungstenite::Error>),
}

/// What carries a connection.
pub type Stream = TlsStream<Wide<TcpStream>>;

/// A socket ready for frames, and the binding of the TLS connection under it.
pub type Upgraded = (WebSocketStream<Guarded<Stream>>, [u8; 32]);

/// Does both handshakes. Takes as long as the peer does: the caller keeps time.
pub async fn upgrade(tcp: TcpStream, acceptor: &TlsAcceptor) -> Result<Upgraded, UpgradeError> {
    // Small frames must not wait for the acknowledgement of the ones before.
    tcp.set_nodelay(true).map_err(UpgradeError::Tls)?;
    let tcp = Wide::new(tcp);
    let tls = acceptor.accept(tcp).await.map_err(UpgradeError::Tls)?;
    let binding = exporter(tls.get_ref().1).map_err(UpgradeError::Binding)?;
    let socket = accept(tls)
        .await
        .map_err(|error| UpgradeError::Upgrade(Box::new(error)))?;
    Ok((socket, binding))
}

/// Makes a stream ready for messages of so many bytes, if they are large: read in larger pieces, and a
/// part of one encrypted in one go.
pub fn make_room(stream: &mut Stream, message: usize) {
    if message < BULK_MESSAGE {
        return;
    }
    let (tcp, tls) = stream.get_mut();
    tcp.widen();
    tls.set_buffer_limit(Some(PART + TLS_ASIDE));
}

/// Lets the runtime of the calling task tell when the stream is ready, instead of the one that accepted
/// it: a word from there to another thread for every piece that comes would cost more than the piece.
pub fn move_here(stream: &mut Stream) -> io::Result<()> {
    let tcp = stream.get_mut().0.inner_mut();
    let again = tcp.as_fd().try_clone_to_owned()?;
    *tcp = TcpStream::from_std(again.into())?;
    Ok(())
}

/// The WebSocket part, over any stream.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
) -> Result<WebSocketStream<Guarded<S>>, tungstenite::Error> {
    let guarded = Guarded::new(stream);
    let mut socket =
        accept_hdr_async_with_config(guarded, require_subprotocol, Some(config())).await?;
    socket.get_mut().expect_frames(Rules {
        message: FRAME_BEFORE_OK,
        fragments: FRAGMENTS,
        controls: CONTROL_FRAMES_PER_SECOND,
        text: false,
    });
    Ok(socket)
}

/// The limits in force are the guard's; these are the bounds of any state.
fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(CONTROL_FRAMES)
        .max_message_size(Some(BULK_MESSAGE))
        .max_frame_size(Some(BULK_MESSAGE))
}

#[allow(
    clippy::result_large_err,
    reason = "the shape is tungstenite's, once a connection"
)]
fn require_subprotocol(
    request: &Request,
    mut response: Response,
) -> Result<Response, ErrorResponse> {
    let offered = request
        .headers()
        .get_all(SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == SUBPROTOCOL);
    if offered {
        let name = HeaderValue::from_static(SUBPROTOCOL);
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
        return Ok(response);
    }
    let mut refusal = ErrorResponse::new(Some(format!("subprotocol {SUBPROTOCOL} required\n")));
    *refusal.status_mut() = StatusCode::BAD_REQUEST;
    Err(refusal)
}
