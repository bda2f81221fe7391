//! Brokers of others that are installed here, driven by the same generator over TLS: NATS (core, with
//! `verbose`, so that what was said is acknowledged) and mosquitto (MQTT 3.1.1; said with QoS 1, heard
//! with QoS 0). Both acknowledge what is queued; neither has stored it by then.
//!
//! Each is a process of its own with its own defaults, but for limits that would end the measurement.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
    version::TLS13,
};
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::line::{Address, Line, Said, Target, Who};

/// Where Debian puts servers, for those whose path has it not.
const PLACES: [&str; 2] = ["", "/usr/sbin/"];

/// Whose protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Nats,
    Mosquitto,
}

/// One of them, running. Killed when dropped.
pub struct Peer {
    pub kind: Kind,
    /// With its version.
    name: String,
    pub target: Target,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    /// Starts what is installed.
    pub async fn start_all() -> Result<Vec<Self>> {
        let mut peers = Vec::new();
        for kind in [Kind::Nats, Kind::Mosquitto] {
            peers.extend(Self::start(kind).await?);
        }
        Ok(peers)
    }

    async fn start(kind: Kind) -> Result<Option<Self>> {
        let Some((program, version)) = kind.installed() else {
            return Ok(None);
        };
        let folder = tempfile::tempdir()?;
        let tls = certificate(folder.path())?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = folder.path().join("config");
        fs::write(&config, kind.config(folder.path(), port))?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let peer = Self {
            kind,
            name: format!("{kind:?} {version}"),
            target: Target::of(address, tls),
            child,
            _folder: folder,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            let waited = begun.elapsed() < Duration::from_secs(10);
            ensure!(waited, "{} does not listen", peer.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Some(peer))
    }

    /// For the row of a figure of it.
    pub fn label(&self) -> String {
        format!("    {}", self.name)
    }

    /// So many connections.
    pub async fn lines(&self, count: usize) -> Result<Vec<Line>> {
        let mut lines = Vec::with_capacity(count);
        for _ in 0..count {
            lines.push(self.target.open(Who::Client(self.kind)).await?);
        }
        Ok(lines)
    }

    pub fn address(&self, channel: u32, bytes: usize) -> Address {
        Address::Client {
            kind: self.kind,
            channel,
            bytes,
        }
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate of its own for 127.0.0.1, and what trusts it.
fn certificate(folder: &Path) -> Result<Arc<ClientConfig>> {
    let made = Command::new("openssl")
        .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2".split(' '))
        .args("-subj /CN=localhost -addext subjectAltName=IP:127.0.0.1".split(' '))
        .args("-addext basicConstraints=critical,CA:FALSE".split(' '))
        .args(["-keyout", "tls.key", "-out", "tls.pem"])
        .current_dir(folder)
        .output()
        .context("openssl makes the certificates of the others")?;
    ensure!(made.status.success(), "openssl made no certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("tls.pem"))?)?;
    // They know no hybrid exchange of keys.
    let config = ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&TLS13])?
    .with_root_certificates(roots)
    .with_no_client_auth();
    Ok(Arc::new(config))
}

impl Kind {
    /// The program and its version.
    fn installed(self) -> Option<(String, String)> {
        let (name, asked) = match self {
            Self::Nats => ("nats-server", "--version"),
            Self::Mosquitto => ("mosquitto", "-h"),
        };
        PLACES.iter().find_map(|place| {
            let program = format!("{place}{name}");
            let told = Command::new(&program).arg(asked).output().ok()?;
            let told = String::from_utf8_lossy(&told.stdout);
            let version = told.lines().next()?.split_whitespace().find_map(|word| {
                let word = word.trim_start_matches('v');
                word.starts_with(|first: char| first.is_ascii_digit())
                    .then(|| word.to_owned())
            })?;
            Some((program, version))
        })
    }

    fn config(self, folder: &Path, port: u16) -> String {
        let at = folder.display();
        match self {
            Self::Nats => format!(
                "listen: \"127.0.0.1:{port}\"\nmax_connections: 20000\nping_interval: \"1h\"\n\
                 tls {{ cert_file: \"{at}/tls.pem\", key_file: \"{at}/tls.key\" }}\n"
            ),
            Self::Mosquitto => format!(
                "listener {port} 127.0.0.1\ncertfile {at}/tls.pem\nkeyfile {at}/tls.key\n\
                 tls_version tlsv1.3\nallow_anonymous true\nset_tcp_nodelay true\n\
                 max_queued_messages 0\nlog_dest none\nuser root\n"
            ),
        }
    }

    /// What comes before TLS.
    pub async fn greeted(self, tcp: &mut TcpStream) -> Result<()> {
        if self == Self::Nats {
            while tcp.read_u8().await? != b'\n' {}
        }
        Ok(())
    }

    /// The first frame, which is acknowledged.
    pub fn connect(self) -> Bytes {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        match self {
            Self::Nats => Bytes::from_static(
                b"CONNECT {\"verbose\":true,\"pedantic\":false,\"tls_required\":true}\r\n",
            ),
            Self::Mosquitto => {
                let name = format!("bench{}", NEXT.fetch_add(1, Ordering::Relaxed));
                let mut body = BytesMut::new();
                put_text(&mut body, "MQTT");
                body.put_slice(&[4, 2, 0, 0]); // 3.1.1, a clean session, no keep-alive
                put_text(&mut body, &name);
                packet(0x10, &body)
            }
        }
    }

    /// Hears a channel; acknowledged.
    pub fn join(self, channel: u32) -> Bytes {
        match self {
            Self::Nats => format!("SUB c{channel} 1\r\n").into(),
            Self::Mosquitto => {
                let mut body = BytesMut::new();
                body.put_u16(1);
                put_text(&mut body, &format!("c{channel}"));
                body.put_u8(0);
                packet(0x82, &body)
            }
        }
    }

    /// Says so many bytes, the last eight of them `stamp`; acknowledged.
    pub fn say(self, channel: u32, number: u64, bytes: usize, stamp: u64) -> Bytes {
        let mut body = BytesMut::with_capacity(bytes + 32);
        match self {
            Self::Nats => body.put_slice(format!("PUB c{channel} {bytes}\r\n").as_bytes()),
            Self::Mosquitto => {
                put_text(&mut body, &format!("c{channel}"));
                body.put_u16((number % 0xFFFF) as u16 + 1);
            }
        }
        body.put_bytes(0x5A, bytes - 8);
        body.put_u64(stamp);
        match self {
            Self::Nats => {
                body.put_slice(b"\r\n");
                body.freeze()
            }
            Self::Mosquitto => packet(0x32, &body),
        }
    }

    /// Cuts the next thing said off what came. `None`: more must come first.
    pub fn heard(self, came: &mut BytesMut) -> Result<Option<Said>> {
        match self {
            Self::Nats => nats(came),
            Self::Mosquitto => mqtt(came),
        }
    }
}

fn nats(came: &mut BytesMut) -> Result<Option<Said>> {
    while let Some(end) = came.iter().position(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(came.get(..end).unwrap_or_default()).into_owned();
        let mut words = line.split_whitespace();
        match words.next() {
            Some("MSG") => {
                let length: usize = words.next_back().context("no length")?.parse()?;
                if came.len() < end + 1 + length + 2 {
                    return Ok(None);
                }
                came.advance(end + 1);
                let message = came.split_to(length).freeze();
                came.advance(2);
                return Ok(Some(Said::Delivered(message)));
            }
            Some("+OK") => {
                came.advance(end + 1);
                return Ok(Some(Said::Taken(0)));
            }
            Some("PING" | "INFO") => came.advance(end + 1),
            _ => bail!("NATS said {line:?}"),
        }
    }
    Ok(None)
}

fn mqtt(came: &mut BytesMut) -> Result<Option<Said>> {
    let (mut length, mut head) = (0, 1);
    loop {
        let Some(byte) = came.get(head) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7F) << (7 * (head - 1));
        head += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if came.len() < head + length {
        return Ok(None);
    }
    let mut packet = came.split_to(head + length).freeze();
    let kind = packet.get_u8() >> 4;
    packet.advance(head - 1);
    Ok(Some(match kind {
        2 | 4 | 9 => Said::Taken(0),
        3 => {
            let topic = usize::from(packet.get_u16());
            packet.advance(topic);
            Said::Delivered(packet)
        }
        _ => bail!("mosquitto said a packet of kind {kind}"),
    }))
}

fn put_text(body: &mut BytesMut, text: &str) {
    body.put_u16(text.len() as u16);
    body.put_slice(text.as_bytes());
}

fn packet(head: u8, body: &[u8]) -> Bytes {
    let mut packet = BytesMut::with_capacity(body.len() + 5);
    packet.put_u8(head);
    let mut length = body.len();
    loop {
        let more = length >> 7;
        packet.put_u8((length & 0x7F) as u8 | if more > 0 { 0x80 } else { 0 });
        if more == 0 {
            break;
        }
        length = more;
    }
    packet.put_slice(body);
    packet.freeze()
}
