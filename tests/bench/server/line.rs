//! One connection of the generator, to our server, to the bare one or to another's: the same TLS, the
//! same loop. Only what is said differs.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use futures_util::{
    SinkExt, Stream, StreamExt,
    stream::{SplitSink, SplitStream},
};
use plenary_certs::{
    handshake::{Opener, Transcript},
    tls::{client_config, exporter},
};
use plenary_proto::{
    codec::{Assembler, decode_server, encode_client, parts},
    ids::{ChannelId, ClientId, Digest, Epoch, InvitationId, RequestId},
    limits,
    reply::{Hello, Push, Reply, ServerFrame},
    request::{Append, Auth, ClientFrame, Knock, Purpose, Request},
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufWriter, ReadHalf, WriteHalf, split},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{bare, peers::Kind, world::Device};

type Tls = TlsStream<TcpStream>;
type Socket = WebSocketStream<Tls>;

/// Bytes that one read of the generator takes: its own cost is kept low, whichever server.
const READ: usize = 16 * 1024;

/// Where to connect, and how to know it.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    tls: Arc<ClientConfig>,
}

/// Whom to be there.
#[derive(Clone, Copy)]
pub enum Who<'a> {
    /// A device of our network.
    Device(&'a Device, Purpose),
    /// Whoever founds it.
    Founder(InvitationId, Digest),
    /// Anybody: the bare server asks for nothing.
    Anybody,
    /// Anybody, at another's.
    Client(Kind),
}

/// A connection that may speak.
pub struct Line {
    pub sink: Out,
    pub stream: Heard,
}

/// What goes out on a connection.
pub enum Out {
    Web(SplitSink<Socket, Message>),
    Plain(Box<BufWriter<WriteHalf<Tls>>>),
}

/// What comes in on a connection.
pub enum Heard {
    Ours(SplitStream<Socket>, Assembler),
    Bare(SplitStream<Socket>),
    /// With what came of the next thing said.
    Client(Kind, Box<ReadHalf<Tls>>, BytesMut),
}

/// One thing heard.
pub enum Said {
    /// A message to a channel.
    Delivered(Bytes),
    /// A message was taken: durable, for ours.
    Taken(u64),
    /// Another answer of ours.
    Answer(u64, Box<Reply>),
    /// Anything else.
    Other,
}

/// How a message is addressed.
#[derive(Clone)]
pub enum Address {
    /// A channel of ours, with a message sealed for it.
    Ours {
        channel: ChannelId,
        epoch: Epoch,
        sealed: Bytes,
    },
    /// A number, and so many bytes.
    Bare { channel: u32, bytes: usize },
    /// The same at another's.
    Client {
        kind: Kind,
        channel: u32,
        bytes: usize,
    },
}

impl Target {
    pub fn new(address: SocketAddr, pin: &str) -> Result<Self> {
        let tls = client_config(pin.parse()?)?;
        Ok(Self { address, tls })
    }

    /// One whose certificate `tls` trusts.
    pub fn of(address: SocketAddr, tls: Arc<ClientConfig>) -> Self {
        Self { address, tls }
    }

    /// Connects and does whatever comes before something may be said.
    pub async fn open(&self, who: Who<'_>) -> Result<Line> {
        let mut tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        if let Who::Client(kind) = who {
            kind.greeted(&mut tcp).await?;
        }
        let name = ServerName::try_from("127.0.0.1")?;
        let tls = TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await?;
        match who {
            Who::Client(kind) => client(tls, kind).await,
            who => web(tls, who).await,
        }
    }
}

async fn web(tls: Tls, who: Who<'_>) -> Result<Line> {
    let binding = exporter(tls.get_ref().1)?;
    let mut request = "wss://127.0.0.1/".into_client_request()?;
    let name = limits::SUBPROTOCOL.parse()?;
    request.headers_mut().insert("sec-websocket-protocol", name);
    let config = WebSocketConfig::default().read_buffer_size(READ);
    let (mut socket, _) = client_async_with_config(request, tls, Some(config)).await?;
    let bare = matches!(who, Who::Anybody);
    if !bare {
        authenticate(&mut socket, &binding, who).await?;
    }
    let (sink, stream) = socket.split();
    Ok(Line {
        sink: Out::Web(sink),
        stream: match bare {
            true => Heard::Bare(stream),
            false => Heard::Ours(stream, Assembler::default()),
        },
    })
}

async fn client(tls: Tls, kind: Kind) -> Result<Line> {
    let (read, write) = split(tls);
    let mut line = Line {
        sink: Out::Plain(Box::new(BufWriter::new(write))),
        stream: Heard::Client(kind, Box::new(read), BytesMut::with_capacity(READ)),
    };
    line.sink.send(kind.connect()).await?;
    line.stream.taken().await?;
    Ok(line)
}

async fn authenticate(socket: &mut Socket, binding: &[u8; 32], who: Who<'_>) -> Result<()> {
    let hello_bytes = binary(socket).await?;
    let ServerFrame::Hello(hello) = decode_server(hello_bytes.clone())? else {
        bail!("no HELLO");
    };
    let nonce = hello.nonce;
    let (transcript, frame) = match who {
        Who::Device(device, purpose) => {
            let opener = Opener::Device(device.id, purpose);
            let transcript = Transcript::new(&hello_bytes, binding, opener, &nonce);
            let signature = transcript.sign_auth(device.authentication.pair());
            let auth = Auth {
                device: device.id,
                purpose,
                nonce,
                signature,
            };
            (transcript, ClientFrame::Auth(auth))
        }
        Who::Founder(invitation, verifier) => {
            let opener = Opener::Guest(invitation);
            let transcript = Transcript::new(&hello_bytes, binding, opener, &nonce);
            let mac = transcript.knock_mac(&verifier);
            let knock = Knock {
                invitation,
                nonce,
                mac,
            };
            (transcript, ClientFrame::Knock(knock))
        }
        Who::Anybody | Who::Client(_) => return Ok(()),
    };
    socket.send(Message::Binary(encode_client(frame))).await?;
    check_ok(&transcript, &hello, binary(socket).await?)
}

fn check_ok(transcript: &Transcript, hello: &Hello, frame: Bytes) -> Result<()> {
    match decode_server(frame)? {
        ServerFrame::Ok(ok) => Ok(transcript.check_ok(&hello.server_key, &ok.signature)?),
        other => bail!("not authenticated: {other:?}"),
    }
}

async fn binary(
    stream: &mut (impl Stream<Item = Result<Message, tungstenite::Error>> + Unpin),
) -> Result<Bytes> {
    loop {
        match stream.next().await.context("the server hung up")?? {
            Message::Binary(bytes) => return Ok(bytes),
            Message::Close(frame) => bail!("the server closed: {frame:?}"),
            _ => {}
        }
    }
}

impl Line {
    /// A number for the next request. No other line has it: a device's message of a number that it
    /// said before, on whatever line, is a repeat.
    pub fn number(&mut self) -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Asks ours, and waits for the answer; what comes between is dropped.
    pub async fn ask(&mut self, request: Request) -> Result<Reply> {
        let number = self.send(request).await?;
        loop {
            if let Said::Answer(to, reply) = self.stream.next().await?
                && to == number
            {
                return Ok(*reply);
            }
        }
    }

    async fn send(&mut self, request: Request) -> Result<u64> {
        let number = self.number();
        let frame = encode_client(ClientFrame::Request(RequestId(number), request));
        match parts(&frame, limits::CHAT_MESSAGE) {
            None => self.sink.feed(frame).await?,
            Some(parts) => {
                for part in parts {
                    self.sink
                        .feed(encode_client(ClientFrame::Part(part)))
                        .await?;
                }
            }
        }
        self.sink.flush().await?;
        Ok(number)
    }

    /// Asks ours for what is answered by being taken.
    pub async fn told(&mut self, request: Request) -> Result<()> {
        let number = self.send(request).await?;
        while !matches!(self.stream.next().await?, Said::Taken(to) if to == number) {}
        Ok(())
    }

    /// Hears a channel from now on.
    pub async fn join(&mut self, address: &Address) -> Result<()> {
        match address {
            Address::Ours { channel, .. } => {
                match self.ask(Request::Watch(vec![*channel])).await? {
                    Reply::Heads(heads) if heads.len() == 1 => Ok(()),
                    other => bail!("not in the channel: {other:?}"),
                }
            }
            Address::Bare { channel, .. } => {
                self.sink.send(bare::join(*channel)).await?;
                self.stream.taken().await
            }
            Address::Client { kind, channel, .. } => {
                self.sink.send(kind.join(*channel)).await?;
                self.stream.taken().await
            }
        }
    }
}

impl Out {
    pub async fn feed(&mut self, frame: Bytes) -> Result<()> {
        match self {
            Self::Web(sink) => sink.feed(Message::Binary(frame)).await?,
            Self::Plain(sink) => sink.write_all(&frame).await?,
        }
        Ok(())
    }

    pub async fn flush(&mut self) -> Result<()> {
        match self {
            Self::Web(sink) => sink.flush().await?,
            Self::Plain(sink) => sink.flush().await?,
        }
        Ok(())
    }

    pub async fn send(&mut self, frame: Bytes) -> Result<()> {
        self.feed(frame).await?;
        self.flush().await
    }
}

impl Heard {
    /// Waits until something comes, and looks at no more of it than must be.
    pub async fn any(&mut self) -> Result<()> {
        match self {
            Self::Ours(stream, _) | Self::Bare(stream) => drop(binary(stream).await?),
            Self::Client(..) => drop(self.next().await?),
        }
        Ok(())
    }

    /// The next thing said.
    pub async fn next(&mut self) -> Result<Said> {
        match self {
            Self::Ours(stream, assembler) => ours(binary(stream).await?, assembler),
            Self::Bare(stream) => bare::heard(&binary(stream).await?),
            Self::Client(kind, stream, came) => loop {
                if let Some(said) = kind.heard(came)? {
                    return Ok(said);
                }
                let read = stream.read_buf(came).await?;
                ensure!(read > 0, "the server hung up");
            },
        }
    }

    /// Nothing but an acknowledgement comes next.
    async fn taken(&mut self) -> Result<()> {
        match self.next().await? {
            Said::Taken(_) => Ok(()),
            _ => bail!("it was not acknowledged"),
        }
    }
}

fn ours(frame: Bytes, assembler: &mut Assembler) -> Result<Said> {
    let frame = match decode_server(frame)? {
        ServerFrame::Part(part) => match assembler.push(&part)? {
            Some(whole) => decode_server(whole.into())?,
            None => return Ok(Said::Other),
        },
        frame => frame,
    };
    Ok(match frame {
        ServerFrame::Push(Push::Moved { record, .. }) => Said::Delivered(record.bytes),
        ServerFrame::Reply(id, reply) => match reply? {
            Reply::Appended {
                repeated: false, ..
            } => Said::Taken(id.0),
            reply => Said::Answer(id.0, Box::new(reply)),
        },
        _ => Said::Other,
    })
}

impl Address {
    /// The frame that says a message here; its last eight bytes are `stamp`.
    pub fn frame(&self, number: u64, stamp: u64) -> Bytes {
        match self {
            Self::Ours {
                channel,
                epoch,
                sealed,
            } => {
                let mut bytes = sealed.to_vec();
                let at = bytes.len() - 8;
                // The server can tell neither this nor anything else of what is sealed.
                bytes[at..].copy_from_slice(&stamp.to_be_bytes());
                let mut client_id = [0; 16];
                client_id[..8].copy_from_slice(&number.to_be_bytes());
                client_id[8..].copy_from_slice(&stamp.to_be_bytes());
                let append = Append {
                    channel: *channel,
                    client_id: ClientId(client_id),
                    epoch: *epoch,
                    bytes: bytes.into(),
                    commit: None,
                };
                encode_client(ClientFrame::Request(
                    RequestId(number),
                    Request::Append(append),
                ))
            }
            Self::Bare { channel, bytes } => bare::say(*channel, number, *bytes, stamp),
            Self::Client {
                kind,
                channel,
                bytes,
            } => kind.say(*channel, number, *bytes, stamp),
        }
    }
}

/// The stamp of a delivered message.
pub fn stamp_of(message: &[u8]) -> Option<u64> {
    message.last_chunk().map(|last| u64::from_be_bytes(*last))
}
