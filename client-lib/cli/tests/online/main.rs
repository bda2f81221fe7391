//! The real binary against a real server, each in a process of its own.
//!
//! No test harness of its own: run with `serve` first, this program is the server.
#![cfg(unix)]

mod files;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use plenary_client::{
    Client, EntryRule, HeartbeatKeyFile, NewChannel, Presence, Requested, content::Draft,
    ids::ChannelId,
};
use plenary_tests::harness::{
    Member, Network, Newcomer, PASSPHRASE, PATIENCE, SERVE, Server, passphrase, person,
};
use serde_json::Value;
use tempfile::TempDir;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = std::env::args_os().collect();
    if arguments.get(1).is_some_and(|first| first == SERVE) {
        arguments.remove(1);
        return plenary_server::cli::main_with(arguments);
    }
    let wanted = arguments.iter().skip(1).filter_map(|one| one.to_str());
    let wanted: Vec<_> = wanted.filter(|one| !one.starts_with('-')).collect();
    let mut failed = false;
    let mut run = |name: &str, test: fn() -> Result<()>| {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part)) {
            return;
        }
        match test() {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => {
                println!("test {name} ... FAILED\n{error:?}");
                failed = true;
            }
        }
    };
    run("a_machine_vouches_on_until_it_is_killed", || {
        wait(a_machine_vouches_on_until_it_is_killed())
    });
    run(
        "an_owner_and_the_board_put_members_out_of_a_channel",
        || wait(an_owner_and_the_board_put_members_out_of_a_channel()),
    );
    run("what_was_said_is_found_by_its_words", || {
        wait(what_was_said_is_found_by_its_words())
    });
    run(
        "a_file_is_shown_fetched_stamped_and_its_bundle_mailed",
        || wait(files::a_file_is_shown_fetched_stamped_and_its_bundle_mailed()),
    );
    run("what_came_down_a_pipe_is_not_lost_with_its_process", || {
        wait(files::what_came_down_a_pipe_is_not_lost_with_its_process())
    });
    match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn wait(test: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(Box::pin(test))
}

/// A network and a folder to run the binary in.
struct Desk {
    home: TempDir,
    network: Network,
    members: Vec<Member>,
    _server: Server,
}

impl Desk {
    /// With these members beside the founder, and a key that the network's ROOT names for
    /// heartbeats, in `beat.key`.
    async fn new(names: &[&str]) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let server = Server::start(
            &std::env::current_exe()?,
            &home.path().join("server"),
            "info",
        )?;
        let (key, public) = HeartbeatKeyFile::generate(&passphrase())?;
        fs::write(home.path().join("beat.key"), key)?;
        let pass = home.path().join("pass");
        fs::write(&pass, PASSPHRASE)?;
        fs::set_permissions(&pass, fs::Permissions::from_mode(0o600))?;
        let founder = person("Alice Ames", "Utopia");
        let channels = [("encryption", "for the test")];
        let mut network =
            Network::found_with(&server, home.path(), founder, &channels, vec![public]).await?;
        let newcomers = names
            .iter()
            .map(|name| Newcomer::member(person(*name, "Ruritania")));
        let members = network.admit(newcomers.collect(), &|| {}).await?;
        Ok(Self {
            home,
            network,
            members,
            _server: server,
        })
    }

    fn command(&self, profile: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plenary"));
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("HOME", self.home.path())
            .args(["--json", "--passphrase-file", "pass", "--profile"])
            .arg(profile)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary on the profile of somebody who is away, to its end.
    async fn run(&self, profile: &Path, words: &[&str]) -> Result<Output> {
        let mut command = self.command(profile, words);
        let ran = tokio::task::spawn_blocking(move || command.output());
        Ok(tokio::time::timeout(PATIENCE, ran).await???)
    }
}

/// What a run printed, which must have ended well.
fn printed(ran: &Output) -> Result<Vec<Value>> {
    let said = String::from_utf8_lossy(&ran.stderr);
    ensure!(ran.status.success(), "{}: {said}", ran.status);
    let lines = std::str::from_utf8(&ran.stdout)?.lines();
    Ok(lines.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// A process that goes on, and the lines that it prints. Killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Result<Self> {
        let mut child = command.stderr(Stdio::null()).spawn()?;
        let out = BufReader::new(child.stdout.take().context("its output is not piped")?);
        let (said, lines) = channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let _ = said.send(line);
            }
        });
        Ok(Self { child, lines })
    }

    /// Up to which statement it vouched next.
    fn vouched(&self) -> Result<u64> {
        let line = self.lines.recv_timeout(PATIENCE)?;
        let value: Value = serde_json::from_str(&line)?;
        value["vouched"].as_u64().with_context(|| line.clone())
    }

    fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn a_machine_vouches_on_until_it_is_killed() -> Result<()> {
    let mut desk = Desk::new(&["The machine"]).await?;
    desk.members[0].leave().await?;
    let profile = desk.members[0].folder.clone();
    let once = [
        "board",
        "heartbeat",
        "--key",
        "beat.key",
        "--folder",
        "beat",
    ];
    let forever = [&once[..], &["--every", "1s"]].concat();
    let machine = Running::start(desk.command(&profile, &forever))?;
    let first = machine.vouched()?;
    let founder = desk.network.founder.client()?.clone();
    ensure!(founder.status().await?.ledger.0 == first, "of all there is");
    ensure!(machine.vouched()? == first, "again after a second");
    // What the Board says meanwhile is vouched for with one of the next.
    let channel = NewChannel::open("metaverse", "Worlds");
    desk.network
        .decide(vec![Requested::Channel(channel)])
        .await?;
    let mut next = first;
    while next == first {
        next = machine.vouched()?;
    }
    ensure!(next == first + 1, "{next} after {first}");
    let heard = async {
        while founder.status().await?.heartbeat.map(|(_, seq)| seq.0) != Some(next) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, heard).await??;
    machine.kill()?;
    // Its folder goes on from there, in the hands of whoever starts it next.
    let again = printed(&desk.run(&profile, &once).await?)?;
    ensure!(again[0]["vouched"] == next, "{again:?}");
    Ok(())
}

async fn an_owner_and_the_board_put_members_out_of_a_channel() -> Result<()> {
    let mut desk = Desk::new(&["Bob Brown", "Cleo Cook", "Dora Dean"]).await?;
    let closed = NewChannel {
        rule: EntryRule::Granted,
        ..NewChannel::open("task force", "closed")
    };
    desk.network
        .decide(vec![Requested::Channel(closed)])
        .await?;
    let owner = desk.network.founder.client()?.clone();
    let channel = owner.channel("task force").await?.id;
    owner.enter(channel).await?;
    let ids: Vec<_> = desk.members.iter().map(|member| member.id).collect();
    let grants = ids.iter().map(|member| Requested::Grant {
        channel,
        member: *member,
    });
    desk.network.decide(grants.collect()).await?;
    for member in &desk.members {
        tokio::time::timeout(PATIENCE, member.client()?.entered(channel)).await??;
    }
    let (bob, cleo) = (
        desk.members[0].client()?.clone(),
        desk.members[1].client()?.clone(),
    );

    // By the owner, in the command's words; nobody else may.
    let dora = desk.members[2].folder.clone();
    desk.members[2].leave().await?;
    let words = ["channel", "remove", "task force", "Bob Brown"];
    let refused = desk.run(&dora, &words).await?;
    let said = String::from_utf8_lossy(&refused.stderr);
    ensure!(
        refused.status.code() == Some(5),
        "{} {said}",
        refused.status
    );
    ensure!(said.contains("only the owner"), "{said}");
    desk.members[2].come_back().await?;
    let profile: PathBuf = desk.network.founder.folder.clone();
    drop(owner);
    desk.network.founder.leave().await?;
    let done = printed(&desk.run(&profile, &words).await?)?;
    ensure!(done[0]["state"] == "removed", "{done:?}");
    out(&bob, channel).await?;

    // By the Board, while the owner is away: whoever is online does it.
    desk.network.founder.come_back().await?;
    desk.network.founder.client()?.online(PATIENCE).await?;
    let withdrawn = Requested::Withdraw {
        channel,
        member: ids[1],
    };
    desk.network.decide(vec![withdrawn]).await?;
    desk.network.founder.leave().await?;
    out(&cleo, channel).await?;
    let dora = desk.members[2].client()?;
    let sent = dora.send(channel, Draft::text("we two")).await?;
    tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    ensure!(dora.audience(channel).await?.members.len() == 2);
    for gone in [&bob, &cleo] {
        let after = gone
            .messages(channel, plenary_client::ids::Seq(0), 10)
            .await?;
        ensure!(after.is_empty(), "{after:?}");
    }
    Ok(())
}

async fn what_was_said_is_found_by_its_words() -> Result<()> {
    let mut desk = Desk::new(&["Bob Brown"]).await?;
    let (alice, bob) = (
        desk.network.founder.client()?.clone(),
        desk.members[0].client()?.clone(),
    );
    let channel = alice.channel("encryption").await?.id;
    let texts = [
        "Wallets seized in Zürich",
        "a cold storage wallet",
        "cold, and no wallet in storage",
    ];
    for client in [&alice, &bob] {
        client.enter(channel).await?;
        tokio::time::timeout(PATIENCE, client.entered(channel)).await??;
    }
    for (client, text) in [&alice, &alice, &bob].into_iter().zip(texts) {
        let sent = client.send(channel, Draft::text(text)).await?;
        tokio::time::timeout(PATIENCE, sent.delivered()).await??;
    }
    drop(bob);
    desk.members[0].leave().await?;
    let profile = desk.members[0].folder.clone();
    let from = ["--from", "Alice Ames", "--channel", "encryption"];
    for (words, expected) in [
        (&["wal"][..], &[2, 1, 0][..]),
        (&["wallet", "--limit", "1"], &[2]),
        (&["cold storage"], &[1]),
        (&["cold", "storage"], &[2, 1]),
        (&["zurich", "\"seized in"], &[0]),
        (&["wal\" OR \"x", "NEAR(", "*"], &[]),
        (&["wallet", "--since", "2100-01-01"], &[]),
        (&[&["wallet"][..], &from].concat(), &[1, 0]),
    ] {
        let found = printed(&desk.run(&profile, &[&["search"], words].concat()).await?)?;
        let found: Vec<_> = found.iter().map(|one| one["text"].as_str()).collect();
        let expected: Vec<_> = expected.iter().map(|at| Some(texts[*at])).collect();
        ensure!(found == expected, "{words:?}: {found:?}");
    }
    for nothing in [&["*"][..], &["\"", "-"], &["wallet", "--from", "Nobody"]] {
        let refused = desk.run(&profile, &[&["search"], nothing].concat()).await?;
        ensure!(
            !refused.status.success() && refused.stdout.is_empty(),
            "{nothing:?}"
        );
    }
    Ok(())
}

/// Waits until a client has learnt that it is out.
async fn out(client: &Client, channel: ChannelId) -> Result<()> {
    let mut events = client.events();
    let wait = async {
        loop {
            let all = client.channels().await?;
            let presence = all.into_iter().find(|one| one.id == channel);
            match presence.map(|one| one.presence) {
                Some(Presence::Out(_)) => return Ok(()),
                Some(_) => {}
                None => bail!("no such channel"),
            }
            let _ = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await?
}
