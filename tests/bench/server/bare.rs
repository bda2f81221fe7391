//! What the stack itself can do: tokio-tungstenite over rustls with our TLS settings and a read buffer
//! of 4 KiB, and nothing else: no store, no authentication, no limits, no signatures. Whatever is said
//! to a channel goes to everybody in it, and is acknowledged once it is queued.
//!
//! Frames: a byte for the kind, then big-endian integers. `j channel` joins, `s channel number bytes`
//! says; `t number` acknowledges (0: the joining), `d bytes` delivers.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, Result, bail};
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use plenary_certs::tls::{Authority, Reloadable, server_config};
use plenary_proto::limits::READ_BUFFER;
use plenary_server::clock::now;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    accept_hdr_async_with_config,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
        protocol::WebSocketConfig,
    },
};

use super::line::Said;

/// First argument by which the bench runs this server.
pub const BARE: &str = "bare";

pub fn join(channel: u32) -> Bytes {
    let mut frame = BytesMut::with_capacity(5);
    frame.put_u8(b'j');
    frame.put_u32(channel);
    frame.freeze()
}

pub fn say(channel: u32, number: u64, bytes: usize, stamp: u64) -> Bytes {
    let mut frame = BytesMut::with_capacity(13 + bytes);
    frame.put_u8(b's');
    frame.put_u32(channel);
    frame.put_u64(number);
    frame.put_bytes(0x5A, bytes - 8);
    frame.put_u64(stamp);
    frame.freeze()
}

pub fn heard(frame: &Bytes) -> Result<Said> {
    match frame.split_first() {
        Some((b't', number)) => Ok(Said::Taken(u64::from_be_bytes(number.try_into()?))),
        Some((b'd', _)) => Ok(Said::Delivered(frame.slice(1..))),
        _ => bail!("the bare server said what it cannot"),
    }
}

/// The server in a process of its own. Killed when dropped.
pub struct Bare {
    child: Child,
    pub address: SocketAddr,
    pub pin: String,
}

impl Bare {
    pub fn start() -> Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg(BARE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let (address, pin) = line.trim().split_once(' ').context("it did not start")?;
        Ok(Self {
            address: address.parse()?,
            pin: pin.to_owned(),
            child,
        })
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

type Channel = Vec<mpsc::UnboundedSender<Bytes>>;
type Channels = Arc<RwLock<HashMap<u32, Channel>>>;

/// Serves until it is killed.
pub async fn serve() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let authority = Authority::create(folder.path(), now())?;
    let identity = authority.issue(&["127.0.0.1".to_owned()], now())?;
    let tls = TlsAcceptor::from(server_config(Reloadable::new(identity))?);
    let tcp = TcpListener::bind("127.0.0.1:0").await?;
    println!("{} {}", tcp.local_addr()?, authority.pin());
    let channels = Channels::default();
    loop {
        let (stream, _) = tcp.accept().await?;
        let (tls, channels) = (tls.clone(), channels.clone());
        tokio::spawn(async move {
            // The generator sees for itself when a connection ends.
            let _ = serve_one(stream, tls, channels).await;
        });
    }
}

async fn serve_one(stream: TcpStream, tls: TlsAcceptor, channels: Channels) -> Result<()> {
    stream.set_nodelay(true)?;
    let stream = Box::pin(tls.accept(stream)).await?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER);
    let accept = accept_hdr_async_with_config(stream, agree, Some(config));
    let mut socket = Box::pin(accept).await?;
    let (queue, mut queued) = mpsc::unbounded_channel();
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(Message::Binary(mut frame)) = message.transpose()? else {
                    return Ok(());
                };
                let taken = take(&mut frame, &queue, &channels).context("no such frame")?;
                socket.feed(Message::Binary(taken)).await?;
            }
            Some(frame) = queued.recv() => socket.feed(Message::Binary(frame)).await?,
        }
        while let Ok(frame) = queued.try_recv() {
            socket.feed(Message::Binary(frame)).await?;
        }
        socket.flush().await?;
    }
}

/// Does what a frame asks; returns the answer.
fn take(
    frame: &mut Bytes,
    queue: &mpsc::UnboundedSender<Bytes>,
    channels: &Channels,
) -> Option<Bytes> {
    let channel = u32::from_be_bytes(*frame.get(1..)?.first_chunk()?);
    let mut taken = BytesMut::with_capacity(9);
    taken.put_u8(b't');
    match frame.first()? {
        b'j' => {
            let mut channels = channels.write().unwrap_or_else(PoisonError::into_inner);
            channels.entry(channel).or_default().push(queue.clone());
            taken.put_u64(0);
        }
        b's' => {
            taken.put_slice(frame.get(5..13)?);
            let mut delivered = BytesMut::with_capacity(frame.len() - 12);
            delivered.put_u8(b'd');
            delivered.put_slice(&frame[13..]);
            let delivered = delivered.freeze();
            let channels = channels.read().unwrap_or_else(PoisonError::into_inner);
            for queue in channels.get(&channel)? {
                let _ = queue.send(delivered.clone());
            }
        }
        _ => return None,
    }
    Some(taken.freeze())
}

#[allow(clippy::result_large_err, reason = "the shape is tungstenite's")]
fn agree(request: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    if let Some(name) = request.headers().get("sec-websocket-protocol") {
        let headers = response.headers_mut();
        headers.insert("sec-websocket-protocol", name.clone());
    }
    Ok(response)
}
