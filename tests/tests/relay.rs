//! A proxy that opens TLS, with a certificate by the network's own CA: it gets nobody in.

mod common;

use std::{net::SocketAddr, path::Path, sync::Mutex};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use common::{PROGRAM, Room};
use futures_util::{SinkExt, StreamExt};
use plenary_certs::tls::{Authority, Reloadable, client_config, server_config};
use plenary_client::{ErrorKind, ids::UnixMillis};
use plenary_proto::{
    codec::{decode_client, decode_server},
    limits,
    reply::{Code, ServerFrame},
    request::ClientFrame,
};
use plenary_tests::harness::{PATIENCE, Server};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        handshake::server::{ErrorResponse, Request, Response},
        http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL},
    },
};

const OURS: HeaderValue = HeaderValue::from_static(limits::SUBPROTOCOL);

async fn reach(server: &Server) -> Result<WebSocketStream<TlsStream<TcpStream>>> {
    let tcp = TcpStream::connect(("127.0.0.1", server.port())).await?;
    let pin = server.founder()?.ca_pin.parse()?;
    let tls = TlsConnector::from(client_config(pin)?)
        .connect(ServerName::try_from("127.0.0.1")?, tcp)
        .await?;
    let mut request = format!("wss://127.0.0.1:{}/", server.port()).into_client_request()?;
    request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, OURS);
    Ok(client_async(request, tls).await?.0)
}

/// One binary message, as it is.
async fn next<S>(socket: &mut WebSocketStream<S>) -> Result<Bytes>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match socket.next().await.context("closed")?? {
            Message::Binary(bytes) => return Ok(bytes),
            Message::Ping(_) | Message::Pong(_) => {}
            other => bail!("{other:?}"),
        }
    }
}

#[allow(
    clippy::result_large_err,
    clippy::unnecessary_wraps,
    reason = "as tungstenite has it"
)]
fn agree(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, OURS);
    Ok(response)
}

/// The server took a relayed AUTH.
const TAKEN: &str = "the server took a relayed AUTH";

/// Carries HELLO to whoever comes, what they prove themselves with to the server, and the answer
/// back. Keeps the proofs.
async fn relay(
    listener: &TcpListener,
    acceptor: &TlsAcceptor,
    server: &Server,
    proofs: &Mutex<Vec<Bytes>>,
) -> Result<()> {
    let (tcp, _) = listener.accept().await?;
    let mut victim = accept_hdr_async(acceptor.accept(tcp).await?, agree).await?;
    let mut socket = reach(server).await?;
    let hello = next(&mut socket).await?;
    victim.send(Message::Binary(hello)).await?;
    let proof = next(&mut victim).await?;
    ensure!(
        matches!(decode_client(proof.clone())?, ClientFrame::Auth(_)),
        "no AUTH"
    );
    proofs
        .lock()
        .map_err(|_| anyhow::anyhow!("a relay panicked"))?
        .push(proof.clone());
    socket.send(Message::Binary(proof)).await?;
    let answer = next(&mut socket).await?;
    ensure!(is_refused(&answer)?, TAKEN);
    victim.send(Message::Binary(answer)).await?;
    Ok(())
}

fn is_refused(answer: &Bytes) -> Result<bool> {
    Ok(matches!(
        decode_server(answer.clone())?,
        ServerFrame::Refused(failure) if failure.code == Code::Unauthenticated
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relayed_and_a_replayed_proof_open_nothing() -> Result<()> {
    let mut room = Room::of(2).await?;
    room.members[1].leave().await?;
    let (port, folder) = (room.server.port(), room.home.path().join("server"));
    room.server.stop()?;
    // The server moves; where it was, somebody with a certificate of its CA listens.
    let server = Server::start_at(Path::new(PROGRAM), &folder, "info", 0)?;
    let authority = Authority::open(&server.data())?.context("no CA")?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let identity = authority.issue(
        &["127.0.0.1".to_owned()],
        UnixMillis(now.as_millis() as u64),
    )?;
    let acceptor = TlsAcceptor::from(server_config(Reloadable::new(identity))?);
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).await?;

    let proofs = Mutex::new(Vec::new());
    let member = room.members[1].come_back().await?.clone();
    // A slow machine gives up a connection and tries again.
    let relays = async {
        loop {
            if let Err(error) = relay(&listener, &acceptor, &server, &proofs).await {
                ensure!(error.to_string() != TAKEN, "{error}");
            }
        }
    };
    let told = tokio::select! {
        ended = relays => return ended,
        told = member.caught_up(PATIENCE) => told,
    };
    assert_eq!(told.unwrap_err().kind(), ErrorKind::Unauthenticated);
    ensure!(!member.status().await?.online, "online through a relay");

    // The same proof once more, on a connection of the relay's own.
    let proof = proofs.lock().unwrap()[0].clone();
    let mut socket = reach(&server).await?;
    next(&mut socket).await?;
    socket.send(Message::Binary(proof)).await?;
    ensure!(is_refused(&next(&mut socket).await?)?, "replayed");
    Ok(())
}
