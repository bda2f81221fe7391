//! The heartbeat's machine against a real server: what it vouches for, and what it does not.

mod common;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use common::PROGRAM;
use plenary_certs::{
    board::Request,
    ledger::{Body, Kind, Server as ServerBody, Statement},
};
use plenary_client::{
    Beat, Client, ErrorKind, Freshness, HeartbeatKeyFile, HeartbeatMachine, Note, Requested,
    ids::PublicKey, verify_proof,
};
use plenary_tests::harness::{Network, Newcomer, PATIENCE, Server, passphrase, person};
use tempfile::TempDir;

/// A network with a heartbeat key, and a machine with a member's profile.
struct Kept {
    server: Server,
    network: Network,
    home: TempDir,
    key: String,
    profile: Client,
}

impl Kept {
    async fn new() -> Result<Self> {
        let home = tempfile::tempdir()?;
        let server = Server::start(Path::new(PROGRAM), &home.path().join("server"), "info")?;
        let (key, public) = HeartbeatKeyFile::generate(&passphrase())?;
        let founder = person("Founder", "Norway");
        let channels = [("encryption", "for the test")];
        let keys = vec![public];
        let mut network =
            Network::found_with(&server, home.path(), founder, &channels, keys).await?;
        let machine = Newcomer::member(person("The heartbeat's machine", "Norway"));
        let members = network.admit(vec![machine], &|| {}).await?;
        let profile = members.first().context("nobody")?.client()?.clone();
        Ok(Self {
            server,
            network,
            home,
            key,
            profile,
        })
    }

    async fn machine(&self) -> Result<HeartbeatMachine, plenary_client::Error> {
        let folder = self.home.path().join("machine");
        let profile = &self.profile;
        HeartbeatMachine::open(profile, &folder, None, &self.key, &passphrase()).await
    }

    /// Puts a request and two signatures where the machine looks.
    async fn hand_over(&self, machine: &HeartbeatMachine, name: &str, request: &str) -> Result<()> {
        let drop_folder = machine.drop_folder();
        fs::write(drop_folder.join(name), request)?;
        for (n, file) in self
            .network
            .sign(&[0, 1], request)
            .await?
            .iter()
            .enumerate()
        {
            fs::write(drop_folder.join(format!("{name}.{n}")), file)?;
        }
        Ok(())
    }

    async fn statement(&self, body: Body) -> Result<String> {
        let client = self.network.founder.client()?;
        let statement = Statement {
            network: client.network(),
            root_version: 1,
            version: if body.kind() == Kind::Server { 2 } else { 1 },
            body,
            time: plenary_client::ids::UnixMillis(1_800_000_000_000),
        };
        Ok(Request::new(vec![statement], vec![])?.to_text())
    }
}

async fn freshness(client: &Client, wanted: impl Fn(Freshness) -> bool) -> Result<()> {
    let mut events = client.events();
    let wait = async {
        while !wanted(client.status().await?.freshness) {
            let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait).await?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_vouches_submits_what_it_was_handed_and_survives_restarts() -> Result<()> {
    let mut kept = Kept::new().await?;
    let founder = kept.network.founder.client()?.clone();
    ensure!(founder.status().await?.heartbeat.is_none());
    let mut machine = kept.machine().await?;
    ensure!(machine.look(&kept.profile).await?.is_empty());
    let Beat::Signed { seq, time } = machine.beat(&kept.profile).await? else {
        bail!("not vouched for");
    };
    // Everybody is told at once.
    freshness(
        &founder,
        |fresh| matches!(fresh, Freshness::Fresh { until } if until.0 == time.0 + 72 * 3_600_000),
    )
    .await?;
    ensure!(founder.status().await?.heartbeat == Some((time, seq)));

    // What the Board hands over and nobody submits is submitted by the machine.
    let asked = Requested::RevokeMember(founder.member(), plenary_client::Reason::Left);
    let request = founder.board_request(vec![asked]).await?;
    kept.hand_over(&machine, "out.request", &request).await?;
    let notes = machine.look(&kept.profile).await?;
    let [Note::Taken { words, .. }] = &notes[..] else {
        bail!("{notes:?}");
    };
    ensure!(words.starts_with("Revoke member"), "{words}");
    let Beat::Signed { seq: next, .. } = machine.beat(&kept.profile).await? else {
        bail!("not vouched for");
    };
    ensure!(next.0 == seq.0 + 1);

    // One process a folder; another one goes on where this one was, over a restart of the server.
    let second = kept.machine().await.map(|_| ());
    ensure!(second.is_err_and(|error| error.kind() == ErrorKind::InUse));
    drop(machine);
    kept.server.kill()?;
    let mut machine = kept.machine().await?;
    ensure!(machine.look(&kept.profile).await?.is_empty());
    let offline = machine.beat(&kept.profile).await;
    ensure!(offline.is_err(), "{offline:?}");
    kept.server.restart()?;
    kept.profile.caught_up(PATIENCE).await?;
    ensure!(machine.look(&kept.profile).await?.is_empty());
    let again = machine.beat(&kept.profile).await?;
    ensure!(
        matches!(again, Beat::Signed { seq, .. } if seq == next),
        "{again:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_does_not_take_is_named_and_nothing_is_vouched_for() -> Result<()> {
    let kept = Kept::new().await?;
    let mut machine = kept.machine().await?;
    // The Board moves the network to another server; this one does not want to hear of it.
    let other = Body::Server(ServerBody {
        key: PublicKey([7; 32]),
    });
    let request = kept.statement(other).await?;
    fs::write(machine.drop_folder().join("holiday.jpg"), [0xff, 0xd8])?;
    kept.hand_over(&machine, "server.request", &request).await?;
    let notes = machine.look(&kept.profile).await?;
    let [Note::Taken { .. }, Note::Withheld { words, answer, .. }] = &notes[..] else {
        bail!("{notes:?}");
    };
    ensure!(words.contains("known by the key 0707"), "{words}");
    let answer = answer.as_deref().unwrap_or_default();
    ensure!(answer.contains("this server's is"), "{answer}");
    for _ in 0..2 {
        let Beat::Refused(why) = machine.beat(&kept.profile).await? else {
            bail!("vouched for");
        };
        ensure!(why.contains("lacks one statement"), "{why}");
        ensure!(why.contains("known by the key 0707"), "{why}");
        // As after a crash.
        drop(machine);
        machine = kept.machine().await?;
    }
    ensure!(kept.profile.status().await?.heartbeat.is_none());

    // The Board thinks better of it, in another word about the same.
    let client = kept.network.founder.client()?;
    let own = kept.server.founder()?.server_key.parse()?;
    let request = kept
        .statement(Body::Server(ServerBody { key: own }))
        .await?;
    let signatures = kept.network.sign(&[1, 2], &request).await?;
    client.submit(&request, &signatures).await?;
    kept.profile.caught_up(PATIENCE).await?;
    let mut events = kept.profile.events();
    while kept.profile.status().await?.ledger < client.status().await?.ledger {
        events.next().await;
    }
    let notes = machine.look(&kept.profile).await?;
    let proof = notes.iter().find_map(|note| match note {
        Note::Misuse { proof, .. } => Some(proof),
        _ => None,
    });
    let proof = fs::read(proof.with_context(|| format!("{notes:?}"))?)?;
    let proven = verify_proof(&proof, client.status().await?.root1)?;
    ensure!(proven.kind() == "misuse", "{proven}");
    let beat = machine.beat(&kept.profile).await?;
    ensure!(matches!(beat, Beat::Signed { .. }), "{beat:?}");
    Ok(())
}
