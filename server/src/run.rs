//! One run of the server, from the data folder to the last connection.

use std::sync::Arc;

use anyhow::Context;
use plenary_certs::tls::{Reloadable, server_config};
use plenary_core::network::Network;
use plenary_core::store::Store;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::admin::{Loader, Office, Parts, SetFilter, Socket, socket_path};
use crate::backend::Backend;
use crate::certificate::Keeper;
use crate::clock::now;
use crate::config::Config;
use crate::folder::{FOUNDER_FILE, Folder};
use crate::metrics::{self, Metrics};
use crate::net::{Registry, serve};
use crate::notify;
use crate::service::{ComeBack, Plenary};
use crate::upkeep::{self, Tasks};

/// Files that the store, items under way and logs need beside connections.
const OWN_FILES: u64 = 1024;

/// What a run begins with.
pub struct Start {
    /// As loaded.
    pub config: Config,
    /// Loads it again.
    pub load: Loader,
    /// Changes what is logged.
    pub set_filter: SetFilter,
}

/// Serves until SIGTERM, SIGINT or the operator's word.
///
/// # Errors
/// A data folder, certificate, store or address that cannot be used.
pub async fn run(start: Start) -> anyhow::Result<()> {
    let Start {
        config,
        load,
        set_filter,
    } = start;
    let (stop, stopping) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Before anybody can be told that the server is there: unheard, it would end the process.
    let hangup = signal(SignalKind::hangup())?;
    raise_open_files(config.limits.connections);
    let folder = Arc::new(Folder::open(&config.data, now())?);
    let registry = Registry::new();
    let Backend {
        network,
        store,
        items,
        courtesy,
    } = Backend::open(&config, &folder, registry.clone()).await?;
    let certificates = Keeper::start(&config, folder.clone(), now())?;
    let identity = certificates.served();
    let tcp = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {}", config.listen))?;
    let local = tcp.local_addr()?;
    let socket = Socket::bind(&socket_path(&config));
    let metrics_listener = match config.metrics.listen {
        Some(address) => Some(metrics::Listener::bind(address).await?),
        None => None,
    };
    tell(&config, &folder, &network, &identity, local.port()).await?;
    if let Some(listener) = &metrics_listener {
        println!("plenary-server: metrics on {}", listener.local()?);
    }
    println!("plenary-server: listening on {local}");
    info!(%local, "listening");

    let come_back = Arc::new(ComeBack::default());
    come_back.set(config.limits.come_back_seconds);
    let settings = config.settings();
    let metrics = Arc::new(Metrics::new());
    let counted = metrics.clone();
    store.watch(Box::new(move |moved| counted.records(moved.len())));
    let office = Arc::new(Office::new(Parts {
        config,
        load,
        set_filter,
        folder,
        network: network.clone(),
        store: store.clone(),
        items,
        courtesy,
        registry: registry.clone(),
        certificates,
        come_back: come_back.clone(),
        stop: stop.clone(),
        local,
        runtime: Handle::current(),
        metrics: metrics.clone(),
    }));
    let mut tasks = Tasks::default();
    match socket {
        Ok(socket) => tasks.start(socket.serve(office.clone())),
        // Members come first: the server runs, and can be ended by a signal.
        Err(error) => error!("no admin socket: {error:#}"),
    }
    if let Some(listener) = metrics_listener {
        tasks.start(listener.serve(office.clone()));
    }
    tasks.start(notify::watchdog(office.clone()));
    tasks.start(hangups(office.clone(), hangup));
    tasks.start(upkeep::certificates(office.clone()));
    tasks.start(upkeep::sweep(network.clone(), registry.clone()));
    tasks.start(upkeep::tidy(network.clone()));
    tasks.start(upkeep::scrubs(office, network.clone(), store.clone()));
    let service = Arc::new(Plenary::new(network, registry, come_back, metrics));
    let mut asked = stopping.clone();
    let serving = tokio::spawn(serve(
        tcp,
        server_config(identity)?,
        service,
        settings,
        stopping,
    ));
    notify::ready();
    tokio::select! {
        _ = terminate.recv() => info!("SIGTERM"),
        _ = interrupt.recv() => info!("SIGINT"),
        _ = asked.wait_for(|stop| *stop) => info!("the operator ends the server"),
    }
    notify::stopping();
    stop.send_replace(true);
    serving.await?;
    drop(tasks);
    tokio::task::spawn_blocking(move || store.close()).await??;
    info!("ended");
    Ok(())
}

/// Reloads at SIGHUP, as `admin reload` does.
async fn hangups(office: Arc<Office>, mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        let office = office.clone();
        let reloaded = tokio::task::spawn_blocking(move || office.reload()).await;
        if let Ok(Err(error)) = reloaded {
            error!("{error:#}; everything stays as it was");
        }
    }
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
