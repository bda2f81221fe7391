//! One run of the server, from the data folder to the last connection.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use plenary_certs::tls::{Identity, RENEW_AFTER, Reloadable, server_config};
use plenary_core::network::Network;
use plenary_proto::ids::UnixMillis;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use crate::backend::Backend;
use crate::clock::now;
use crate::config::Config;
use crate::folder::{FOUNDER_FILE, Folder};
use crate::net::{Registry, serve};
use crate::service::Plenary;

/// Files that the store, items under way and logs need beside connections.
const OWN_FILES: u64 = 1024;
/// How often the age of the certificate is looked at.
const RENEWAL_CHECK: Duration = Duration::from_secs(3600);
/// How often items that are due and records past their retention are looked for.
const TIDY: Duration = Duration::from_secs(3600);
/// How often all stored items are read back.
const SCRUB: Duration = Duration::from_secs(7 * 24 * 3600);
/// Bytes a second that are read back: disk and members are not to notice.
const SCRUB_PACE: u64 = 16 << 20;
/// How often connections are looked over for devices whose admission ended by the clock.
const SWEEP: Duration = Duration::from_secs(1);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// A data folder, certificate, store or address that cannot be used.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    raise_open_files(config.limits.connections);
    let started = now();
    let folder = Arc::new(Folder::open(&config.data, started)?);
    let registry = Registry::new();
    let Backend { network, store } = Backend::open(config, &folder, registry.clone()).await?;
    let identity = Reloadable::new(identity(config, &folder, started)?);
    let tcp = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let local = tcp.local_addr()?;
    tell(config, &folder, &network, &identity, local.port()).await?;
    println!("plenary-server: listening on {local}");
    info!(%local, "listening");

    let renewal = tokio::spawn(keep_certificate(
        config.clone(),
        folder.clone(),
        identity.clone(),
        started,
    ));
    let sweep = tokio::spawn(sweep(network.clone(), registry.clone()));
    let tidy = tokio::spawn(tidy(network.clone()));
    let scrub = tokio::spawn(scrub(network.clone()));
    let service = Arc::new(Plenary::new(network, registry));
    let serving = tokio::spawn(serve(
        tcp,
        server_config(identity)?,
        service,
        config.settings(),
        stopping,
    ));
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
    }
    stop.send_replace(true);
    serving.await?;
    renewal.abort();
    sweep.abort();
    tidy.abort();
    scrub.abort();
    tokio::task::spawn_blocking(move || store.close()).await??;
    info!("ended");
    Ok(())
}

/// Every connection needs a file descriptor; the usual soft limit of 1,024 is far below what the
/// system allows. What is beyond its hard limit only an administrator can raise.
fn raise_open_files(connections: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OWN_FILES;
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "cannot raise the limit of open files");
    }
    if limit.current < Some(wanted) {
        let files = limit.current;
        warn!(
            files,
            wanted, "not enough open files for limits.connections: raise the hard limit"
        );
    }
}

/// What the founder needs: into a file, and, at the first start, onto the screen.
async fn tell(
    config: &Config,
    folder: &Folder,
    network: &Network,
    identity: &Reloadable,
    port: u16,
) -> anyhow::Result<()> {
    let first_start = folder.first_start();
    let address = config.public_address(port);
    let fresh = network.is_fresh();
    let (founder, invitation) = folder.tell_founder(address, identity.pin(), fresh, now())?;
    if let Some(invitation) = invitation {
        network
            .let_found(invitation.id, invitation.knock_key()?)
            .await?;
    }
    if first_start {
        println!("plenary-server: made {}", config.data.display());
    }
    if fresh {
        println!("  address     {}", founder.address);
        println!("  CA pin      {}", founder.ca_pin);
        println!("  server key  {}", founder.server_key);
        println!(
            "  To found the network, hand {} to its founder. It holds a secret until then.",
            folder.join(FOUNDER_FILE).display()
        );
    }
    Ok(())
}

fn identity(config: &Config, folder: &Folder, now: UnixMillis) -> anyhow::Result<Identity> {
    match (&config.tls.chain, &config.tls.key) {
        (Some(chain), Some(key)) => Ok(Identity::read(chain, key)?),
        _ => Ok(folder.authority.issue(&config.names, now)?),
    }
}

/// Renews our own certificate in time; reads one from elsewhere again at SIGHUP.
async fn keep_certificate(
    config: Config,
    folder: Arc<Folder>,
    served: Arc<Reloadable>,
    mut issued: UnixMillis,
) {
    let mut hangup = match signal(SignalKind::hangup()) {
        Ok(hangup) => hangup,
        Err(error) => {
            return error!(%error, "cannot listen for SIGHUP: certificates are not renewed");
        }
    };
    let mut check = interval(RENEWAL_CHECK);
    check.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let asked = tokio::select! {
            _ = hangup.recv() => true,
            _ = check.tick() => false,
        };
        let now = now();
        let own = config.tls.chain.is_none();
        let age = Duration::from_millis(now.0.saturating_sub(issued.0));
        if !(asked || own && age >= RENEW_AFTER) {
            continue;
        }
        match identity(&config, &folder, now) {
            Ok(identity) => {
                if identity.pin() != served.pin() {
                    warn!("the certificate has another CA: members need its pin to come back");
                }
                served.replace(identity);
                issued = now;
                info!("serving a new certificate");
            }
            Err(error) => error!(%error, "the certificate stays the old one"),
        }
    }
}

/// Cuts whoever may not be here any more.
async fn sweep(network: Arc<Network>, registry: Arc<Registry>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let here = registry.devices();
        let gone = network.not_live(&here, now());
        if !gone.is_empty() {
            let cut = registry.cut(&gone);
            info!(
                cut,
                "ended connections of devices that are no longer admitted"
            );
        }
    }
}

/// Removes items that are due, and records past the retention of POLICY.
async fn tidy(network: Arc<Network>) {
    let mut tick = interval(TIDY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match network.sweep_items(now()).await {
            Ok(swept) if swept.is_nothing() => {}
            Ok(swept) => {
                let (abandoned, expired) = (swept.abandoned, swept.expired);
                let (collected, orphans) = (swept.collected, swept.orphans);
                info!(abandoned, expired, collected, orphans, "removed items");
                for item in swept.missing {
                    error!(%item, "an item is missing: restore it from a backup");
                }
            }
            Err(error) => warn!(%error, "cannot remove items that are due"),
        }
        let usage = network.item_usage().await;
        info!(
            kept = usage.kept,
            coming = usage.coming,
            held = usage.held,
            bytes = usage.bytes,
            members = usage.members,
            most = usage.most,
            "items"
        );
        match network.trim(now()).await {
            Ok(0) => {}
            Ok(channels) => info!(channels, "dropped records past their retention"),
            Err(error) => warn!(%error, "cannot drop records past their retention"),
        }
    }
}

/// Reads stored items back, slowly, and tells of those that are not as they were put.
async fn scrub(network: Arc<Network>) {
    loop {
        sleep(SCRUB).await;
        let mut after = None;
        loop {
            match network.scrub_next(after).await {
                Ok(None) => break,
                Ok(Some((item, size, damaged))) => {
                    if let Some(chunk) = damaged {
                        error!(%item, chunk, "an item is damaged: restore it from a backup");
                    }
                    after = Some(item);
                    sleep(Duration::from_secs(size / SCRUB_PACE)).await;
                }
                Err(error) => {
                    warn!(%error, "cannot read items back");
                    break;
                }
            }
        }
    }
}
