//! `doctor`: what is wrong with a server, or soon will be, and what to do.

use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use plenary_certs::tls::{Authority, Identity, client_config};
use plenary_proto::ids::Digest;
use rustls::NamedGroup;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::arguments::DoctorArgs;
use super::print;
use crate::admin::{Ask, Line, Status, size, socket_path};
use crate::backup::BackupKey;
use crate::clock::now;
use crate::config::Config;
use crate::folder::FILES;

/// Free bytes below which something must be done, and at which nothing need be.
const SCARCE: u64 = 1 << 30;
const ENOUGH: u64 = 10 << 30;
/// Days of certificates and backups that are no reason to speak.
const CERTIFICATE_DAYS: i64 = 21;
const BACKUP_DAYS: u64 = 2;
const DAY_MS: u64 = 24 * 3_600_000;
/// Files beside those of connections.
const OWN_FILES: u64 = 1_024;
/// For the server to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was looked at and found.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    verdict: Verdict,
    what: &'static str,
    text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Good,
    Warning,
    Bad,
}

/// `doctor`
pub fn run(config: &Config, args: &DoctorArgs) -> anyhow::Result<()> {
    let status = Line::connect(&socket_path(config)).and_then(|line| line.ask(&Ask::Status));
    let running: Option<Status> = status.ok();
    let mut findings = vec![good("configuration", "makes sense".to_owned())];
    findings.push(judged("data folder", folder(config)));
    findings.push(judged("server", server(config, running.as_ref())));
    findings.push(judged("disk", disk(config)));
    findings.push(judged("open files", open_files(config)));
    findings.push(judged("clock", clock(config)));
    findings.push(judged("certificate", certificate(config, running.as_ref())));
    findings.push(judged("connection", connection(config, running.as_ref())));
    findings.push(judged("address", address(config, running.as_ref())));
    findings.push(judged("backup", backup(config)));
    findings.push(judged("scrub", scrub(running.as_ref())));
    for finding in &findings {
        print(args.json, finding, |finding| {
            let mark = match finding.verdict {
                Verdict::Good => "good   ",
                Verdict::Warning => "WARNING",
                Verdict::Bad => "BAD    ",
            };
            format!("{mark}  {:13} {}", finding.what, finding.text)
        });
    }
    match findings
        .iter()
        .filter(|one| one.verdict == Verdict::Bad)
        .count()
    {
        0 => Ok(()),
        bad => bail!("{bad} things are wrong"),
    }
}

/// Good with a remark, or a warning; an error is bad.
type Judged = anyhow::Result<(Verdict, String)>;

fn good(what: &'static str, text: String) -> Finding {
    Finding {
        verdict: Verdict::Good,
        what,
        text,
    }
}

fn judged(what: &'static str, judged: Judged) -> Finding {
    let (verdict, text) = judged.unwrap_or_else(|error| (Verdict::Bad, format!("{error:#}")));
    Finding {
        verdict,
        what,
        text,
    }
}

fn fine(text: impl Into<String>) -> Judged {
    Ok((Verdict::Good, text.into()))
}

fn warning(text: impl Into<String>) -> Judged {
    Ok((Verdict::Warning, text.into()))
}

fn folder(config: &Config) -> Judged {
    let data = &config.data;
    let shown = data.display();
    let Ok(about) = fs::metadata(data) else {
        return warning(format!(
            "{shown} is not there yet: the first start makes it"
        ));
    };
    let mode = about.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        bail!("{shown} has mode {mode:o}, and it holds keys: chmod 700 {shown}");
    }
    let user = rustix::process::geteuid().as_raw();
    if user != 0 && about.uid() != user {
        bail!(
            "{shown} is of user {}, this is {user}: run as the server's user or root",
            about.uid()
        );
    }
    for file in FILES {
        let path = data.join(file);
        if !path.exists() {
            bail!("{} is missing: restore the newest backup", path.display());
        }
        let mode = fs::metadata(&path)?.permissions().mode() & 0o777;
        if file.ends_with(".key") && mode & 0o077 != 0 {
            bail!("{0} has mode {mode:o}: chmod 600 {0}", path.display());
        }
    }
    fine(format!("{shown} is whole and for its owner only"))
}

fn server(config: &Config, running: Option<&Status>) -> Judged {
    let Some(status) = running else {
        return warning(format!(
            "none answers at {}: start it, or run this as its user or root",
            socket_path(config).display()
        ));
    };
    if let Some(why) = &status.store {
        bail!("the store takes no more writes: {why}");
    }
    match status.version == env!("CARGO_PKG_VERSION") {
        true => fine(format!(
            "version {} runs as process {}",
            status.version, status.process
        )),
        false => warning(format!(
            "version {} runs, this is {}: restart it",
            status.version,
            env!("CARGO_PKG_VERSION")
        )),
    }
}

fn disk(config: &Config) -> Judged {
    let there = config.data.ancestors().find(|path| path.exists());
    let there = there.unwrap_or_else(|| Path::new("."));
    let space = rustix::fs::statvfs(there)?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let text = format!("{} free for {}", size(free), config.data.display());
    match free {
        0..SCARCE => bail!("{text}: make room, or writes will be refused"),
        SCARCE..ENOUGH => warning(format!("{text}: make room soon")),
        _ => fine(text),
    }
}

fn open_files(config: &Config) -> Judged {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let wanted = config.limits.connections as u64 + OWN_FILES;
    match limit.is_none_or(|limit| limit >= wanted) {
        true => fine(format!(
            "enough for {} connections",
            config.limits.connections
        )),
        false => warning(format!(
            "{} allowed here, {wanted} wanted for limits.connections: raise LimitNOFILE or `ulimit -Hn`",
            limit.unwrap_or(0)
        )),
    }
}

/// A clock cannot be checked without another one; but it cannot be before what it wrote.
fn clock(config: &Config) -> Judged {
    let files = FILES.iter().map(|file| config.data.join(file));
    let written = files.filter_map(|file| fs::metadata(file).ok()?.modified().ok());
    let now = SystemTime::now();
    match written.max() {
        Some(newest) if newest > now + Duration::from_secs(60) => bail!(
            "it is before the moment at which the data folder was written: set it, and keep it set (chrony, systemd-timesyncd)"
        ),
        _ => fine(format!(
            "{}",
            jiff::Timestamp::try_from(now)?.strftime("%Y-%m-%d %H:%M:%S UTC")
        )),
    }
}

fn certificate(config: &Config, running: Option<&Status>) -> Judged {
    if let (Some(chain), Some(key)) = (&config.tls.chain, &config.tls.key) {
        Identity::read(chain, key)?;
    }
    let Some(status) = running else {
        return fine("can be read; its end is told while the server runs");
    };
    let days = status.certificate_days;
    match days {
        ..2 => bail!("ends in {days} days: renew it, then `plenary-server admin reload`"),
        2..CERTIFICATE_DAYS => warning(format!(
            "ends in {days} days: renew it, then `plenary-server admin reload`"
        )),
        _ => fine(format!("{days} days left")),
    }
}

/// Connects as a member would.
fn connection(config: &Config, running: Option<&Status>) -> Judged {
    let Some(status) = running else {
        return warning("not tried: the server does not run");
    };
    let mut to: SocketAddr = status.listen.parse()?;
    if to.ip().is_unspecified() {
        to.set_ip(match to.ip() {
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        });
    }
    let pin = pin(config)?;
    let name = config.names.first().context("no name")?.clone();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let group = runtime.block_on(async {
        tokio::time::timeout(PATIENCE, handshake(to, name, pin))
            .await
            .with_context(|| format!("{to} does not answer in {PATIENCE:?}"))?
    })?;
    match group {
        NamedGroup::X25519MLKEM768 => fine(format!("TLS 1.3 with X25519MLKEM768 at {to}")),
        other => bail!("{to} negotiated {other:?}: something stands between"),
    }
}

async fn handshake(to: SocketAddr, name: String, pin: Digest) -> anyhow::Result<NamedGroup> {
    let tcp = TcpStream::connect(to)
        .await
        .with_context(|| format!("cannot connect to {to}: a firewall on this machine?"))?;
    let connector = TlsConnector::from(Arc::clone(&client_config(pin)?));
    let tls = connector
        .connect(ServerName::try_from(name)?, tcp)
        .await
        .with_context(|| format!("the TLS handshake with {to} failed"))?;
    let group = tls.get_ref().1.negotiated_key_exchange_group();
    Ok(group.context("no key exchange")?.name())
}

fn pin(config: &Config) -> anyhow::Result<Digest> {
    match (&config.tls.chain, &config.tls.key) {
        (Some(chain), Some(key)) => Ok(Identity::read(chain, key)?.pin()),
        _ => Ok(Authority::open(&config.data)?.context("no CA")?.pin()),
    }
}

fn address(config: &Config, running: Option<&Status>) -> Judged {
    let address = match running {
        Some(status) => status.address.clone(),
        None => config.public_address(config.listen.port()),
    };
    match address.to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(found)) if found.ip().is_loopback() => warning(format!(
            "members are told {address}, which only this machine reaches: set names or address"
        )),
        Ok(Some(found)) => fine(format!("members are told {address}, which is {found}")),
        Ok(None) | Err(_) => warning(format!(
            "members are told {address}, which this machine cannot resolve: check the name"
        )),
    }
}

fn backup(config: &Config) -> Judged {
    if let Some(key) = &config.backup.public_key {
        BackupKey::read(key)?;
    }
    let last = crate::operations::Operations::open(&config.data)
        .read()
        .backup;
    let Some(last) = last else {
        return warning(
            "there was none: `plenary-server backup-key` on a machine that stays offline, then `plenary-server backup`",
        );
    };
    let days = now().0.saturating_sub(last) / DAY_MS;
    match days {
        0..=BACKUP_DAYS => fine(format!("the last one is {days} days old")),
        _ => warning(format!(
            "the last one is {days} days old: see the timer plenary-backup"
        )),
    }
}

fn scrub(running: Option<&Status>) -> Judged {
    match running {
        Some(status) if status.scrub_damaged > 0 => bail!(
            "the last one found {} damaged: `plenary-server admin scrub` says which; restore them",
            status.scrub_damaged
        ),
        Some(status) if status.scrub.is_none() => fine("none yet: the first comes by itself"),
        Some(_) => fine("the last one found no damage"),
        None => fine("told while the server runs"),
    }
}
