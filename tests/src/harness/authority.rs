//! A time-stamping service of our own: an HTTP responder around `openssl ts -reply`.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tempfile::TempDir;

const CONFIG: &str = "\
[tsa]
default_tsa = service
[service]
serial = serial
digests = sha256
default_policy = 1.3.6.1.4.1.99999.1
signer_digest = sha256
ess_cert_id_alg = sha256
[signer]
basicConstraints = CA:FALSE
extendedKeyUsage = critical, timeStamping
[https]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1
";

/// See the module.
pub struct TimeAuthority {
    folder: TempDir,
    https: bool,
    address: SocketAddr,
    broken: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl TimeAuthority {
    /// Makes an authority and a signer of it, and listens. `None`, said loudly, where there is no
    /// `openssl`.
    ///
    /// # Errors
    /// When `openssl` is there and does not do it.
    pub fn start() -> Result<Option<Self>> {
        Self::listen(false)
    }

    /// The same behind TLS, by a certificate of [`TimeAuthority::certificate`] as well.
    ///
    /// # Errors
    /// As [`TimeAuthority::start`].
    pub fn start_https() -> Result<Option<Self>> {
        Self::listen(true)
    }

    fn listen(https: bool) -> Result<Option<Self>> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!(
                "NOT TESTED: there is no `openssl` on the path: install it to test time stamps"
            );
            return Ok(None);
        }
        let folder = tempfile::tempdir()?;
        let at = folder.path();
        fs::write(at.join("tsa.cnf"), CONFIG)?;
        fs::write(at.join("serial"), "1000\n")?;
        openssl(
            at,
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
             -subj /CN=Authority -keyout ca.key -out ca.pem",
        )?;
        issue(at, "Clock", "signer")?;
        let tls = match https {
            true => Some(tls(at)?),
            false => None,
        };
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (broken, asked, stop) = <(Arc<AtomicBool>, Arc<AtomicU64>, Arc<AtomicBool>)>::default();
        let (place, flags) = (at.to_owned(), (broken.clone(), asked.clone(), stop.clone()));
        let thread = std::thread::spawn(move || {
            let (broken, asked, stop) = flags;
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                asked.fetch_add(1, Ordering::Relaxed);
                let answered = stream.context("no connection").and_then(|stream| {
                    let broken = broken.load(Ordering::Relaxed);
                    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
                    match &tls {
                        None => answer(&place, &mut { stream }, broken),
                        Some(tls) => {
                            let connection = ServerConnection::new(tls.clone())?;
                            let mut stream = StreamOwned::new(connection, stream);
                            answer(&place, &mut stream, broken)
                        }
                    }
                });
                if let Err(error) = answered {
                    eprintln!("the time-stamping service: {error:#}");
                }
            }
        });
        Ok(Some(Self {
            folder,
            https,
            address,
            broken,
            asked,
            stop,
            thread: Some(thread),
        }))
    }

    /// Where to ask.
    pub fn url(&self) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}/tsr", self.address)
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// How often it was asked.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// From now on it answers with a page instead of a token; or no longer.
    pub fn break_down(&self, broken: bool) {
        self.broken.store(broken, Ordering::Relaxed);
    }

    /// Whether `openssl` itself takes a token for this digest (hex).
    ///
    /// # Errors
    /// What `openssl` says against it.
    pub fn verify(&self, token: &[u8], digest: &str) -> Result<()> {
        fs::write(self.folder.path().join("token"), token)?;
        let verify = format!("ts -verify -token_in -in token -CAfile ca.pem -digest {digest}");
        openssl(self.folder.path(), &verify)
    }
}

impl Drop for TimeAuthority {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn openssl(folder: &Path, arguments: &str) -> Result<()> {
    let run = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()?;
    if !run.status.success() {
        let said = String::from_utf8_lossy(&run.stderr);
        bail!("openssl {arguments}: {said}");
    }
    Ok(())
}

/// A key and the authority's certificate for it, by the extensions of the same name.
fn issue(folder: &Path, subject: &str, name: &str) -> Result<()> {
    openssl(
        folder,
        &format!(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={subject} \
             -keyout {name}.key -out {name}.csr"
        ),
    )?;
    openssl(
        folder,
        &format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile tsa.cnf -extensions {name} -out {name}.pem"
        ),
    )
}

/// A certificate of the authority for this address, and its key.
fn tls(folder: &Path) -> Result<Arc<ServerConfig>> {
    issue(folder, "Address", "https")?;
    let chain = CertificateDer::pem_file_iter(folder.join("https.pem"))?;
    let chain = chain.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("https.key"))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn answer(folder: &Path, stream: &mut (impl Read + Write), broken: bool) -> Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let (mut length, mut query) = (0, false);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        match line.split_once(": ") {
            Some(("content-length", value)) => length = value.parse()?,
            Some(("content-type", value)) => query = value == "application/timestamp-query",
            _ if line.is_empty() => break,
            _ => {}
        }
    }
    if !query || length > 4_096 {
        bail!("not asked as RFC 3161 says");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    fs::write(folder.join("query"), body)?;
    let reply = match broken {
        true => b"<html>Down for maintenance</html>".to_vec(),
        false => {
            openssl(
                folder,
                "ts -reply -config tsa.cnf -queryfile query -signer signer.pem \
                 -inkey signer.key -out reply",
            )?;
            fs::read(folder.join("reply"))?
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/timestamp-reply\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        reply.len()
    );
    stream.write_all(&[head.as_bytes(), &reply].concat())?;
    Ok(stream.flush()?)
}
