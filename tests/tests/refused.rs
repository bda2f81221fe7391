//! Who and what is refused, and how.

mod common;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use common::{PROGRAM, Room};
use plenary_client::EntryRule;
use plenary_client::{
    BoardKeyFile, Capacity, Client, Error, ErrorKind, Joining, Label, NewChannel, Presence, Reason,
    Requested, Standing, content::Draft, ids::DeviceId,
};
use plenary_tests::harness::{Network, PATIENCE, Server, Watch, claim, passphrase, person};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_revoked_and_wrong_key_get_one_same_answer() -> Result<()> {
    let mut room = Room::of(3).await?;
    let revoked = room.client(2)?.device();
    let live = room.client(1)?.device();

    // With its own right key: somebody whom the Board never admitted.
    let home = room.home.path().join("stranger");
    let builder = Client::builder(&home, passphrase());
    builder
        .join(&Joining {
            invitation: room.client(0)?.invite().await?,
            person: person("Stranger", "Nowhere"),
            capacity: Capacity::Member,
            nominated_by: "nobody".to_owned(),
            reason: "none".to_owned(),
            member: None,
        })
        .await?;
    let unknown = no_way_in(&builder.open().await?).await?;

    let asked = Requested::RevokeMember(room.members[2].id, Reason::Misuse);
    room.network.decide(vec![asked]).await?;
    room.members[2].leave().await?;
    let put_out = no_way_in(room.members[2].come_back().await?).await?;
    assert_eq!(unknown, put_out, "the client tells no difference");
    assert_eq!(unknown.kind(), ErrorKind::Unauthenticated);

    // With a wrong key, byte for byte.
    let answers = [
        claim(&room.server, DeviceId([9; 16])).await?,
        claim(&room.server, revoked).await?,
        claim(&room.server, live).await?,
    ];
    assert_eq!(answers[0].frames.len(), 1, "{answers:?}");
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_ca_and_another_network_are_not_trusted() -> Result<()> {
    let mut room = Room::of(1).await?;
    let port = room.server.port();
    room.members[0].leave().await?;
    room.server.stop()?;

    // Another server where ours was: another CA.
    let folder = room.home.path().join("other-ca");
    let mut other = Server::start_at(Path::new(PROGRAM), &folder, "info", port)?;
    let client = room.members[0].come_back().await?.clone();
    assert_eq!(no_way_in(&client).await?.kind(), ErrorKind::Trust);
    room.members[0].leave().await?;
    other.stop()?;

    // The same CA, but the network was founded anew.
    let folder = room.home.path().join("other-network");
    fs::create_dir_all(folder.join("data"))?;
    for file in ["plenary-server.format", "ca.pem", "ca.key", "server.key"] {
        fs::copy(
            room.server.data().join(file),
            folder.join("data").join(file),
        )
        .with_context(|| file.to_owned())?;
    }
    let mut other = Server::start_at(Path::new(PROGRAM), &folder, "info", port)?;
    let profiles = room.home.path().join("other-profiles");
    fs::create_dir(&profiles)?;
    let founder = person("Somebody else", "Nowhere");
    let network = Network::found(&other, &profiles, founder, &[("x", "y")]).await?;
    let client = room.members[0].come_back().await?.clone();
    assert_eq!(no_way_in(&client).await?.kind(), ErrorKind::Trust);
    drop(network);
    other.stop()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_board_decides_only_with_enough_signatures_of_its_own() -> Result<()> {
    let room = Room::of(2).await?;
    let founder = room.client(0)?;
    let victim = room.members[1].id;
    let asked = vec![Requested::RevokeMember(victim, Reason::Misuse)];
    let request = founder.board_request(asked).await?;
    let one = room.network.sign(&[1], &request).await?;
    let twice = vec![one[0].clone(), one[0].clone()];
    let (foreign, _, _) = BoardKeyFile::generate(None, &passphrase())?;
    let foreign = BoardKeyFile::sign(&foreign, &passphrase(), &request)?;
    let with_foreign = vec![one[0].clone(), foreign];
    let not_his = room
        .network
        .sign(&[1], &other_request(founder, victim).await?)
        .await?;
    let wrong = vec![one[0].clone(), not_his[0].clone()];
    for (what, signatures) in [
        ("none", Vec::new()),
        ("too few", one.clone()),
        ("doubled", twice),
        ("foreign", with_foreign),
        ("of another request", wrong),
    ] {
        let refused = founder.submit(&request, &signatures).await.unwrap_err();
        assert!(
            matches!(
                refused.kind(),
                ErrorKind::Refused | ErrorKind::Input | ErrorKind::NotAllowed
            ),
            "{what}: {refused:?}"
        );
    }
    let seen = founder.find_member("Member 1").await?;
    assert_eq!(seen.standing, Standing::Live);
    let closed = BoardKeyFile::sign(
        &room.network.board[0].file,
        &"wrong".to_owned().into(),
        &request,
    );
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::WrongPassphrase);

    // Two of them do.
    let both = room.network.sign(&[0, 2], &request).await?;
    founder.submit(&request, &both).await?;
    let seen = founder.find_member("Member 1").await?;
    assert_ne!(seen.standing, Standing::Live);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_is_entered_by_its_rule_only() -> Result<()> {
    let room = Room::of(3).await?;
    let asked = Requested::Channel(NewChannel {
        name: "task force".to_owned(),
        purpose: "closed".to_owned(),
        rule: EntryRule::Granted,
        ceiling: Label::Red,
    });
    room.network.decide(vec![asked]).await?;
    let founder = room.client(0)?;
    let channel = founder.channel("task force").await?.id;
    founder.enter(channel).await?;
    tokio::time::timeout(PATIENCE, founder.entered(channel)).await??;

    let outsider = room.client(1)?;
    wait_for_ledger(outsider, founder).await?;
    let sent = match outsider.enter(channel).await {
        Err(error) => Err(error),
        Ok(()) => {
            // Bounded: it must not get in, so there is no event to wait for.
            let entered = outsider.entered(channel);
            let got_in = tokio::time::timeout(Duration::from_secs(3), entered).await;
            assert!(got_in.is_err(), "entered a closed channel");
            let info = outsider.channels().await?;
            let info = info.iter().find(|one| one.id == channel).context("gone")?;
            assert_ne!(info.presence, Presence::In);
            Ok(())
        }
    };
    if let Err(error) = sent {
        assert_eq!(error.kind(), ErrorKind::NotAllowed, "{error:?}");
    }

    let said = founder
        .send(channel, Draft::text("closed"))
        .await?
        .delivered()
        .await?;
    let audience = founder.audience(channel).await?;
    assert_eq!(audience.members.len(), 1);
    assert!(outsider.messages(channel, said, 10).await?.is_empty());

    // With a grant, the owner lets the member in.
    let member = room.members[2].id;
    let granted = room.client(2)?;
    let mut watch = Watch::default();
    watch.listen(2, granted);
    room.network
        .decide(vec![Requested::Grant { channel, member }])
        .await?;
    wait_for_ledger(granted, founder).await?;
    granted.enter(channel).await?;
    tokio::time::timeout(PATIENCE, granted.entered(channel)).await??;
    let said = founder
        .send(channel, Draft::text("welcome"))
        .await?
        .delivered()
        .await?;
    let got = common::read(granted, channel, said).await?;
    assert_eq!(common::texts(&got), ["welcome"], "{:?}", watch.troubles());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_needs_its_passphrase_and_one_process() -> Result<()> {
    let mut room = Room::of(1).await?;
    let folder = room.members[0].folder.clone();
    let again = Client::builder(&folder, passphrase()).open().await;
    assert_eq!(again.map(drop).unwrap_err().kind(), ErrorKind::InUse);
    room.members[0].leave().await?;
    let wrong = Client::builder(&folder, "wrong".to_owned().into())
        .open()
        .await;
    assert_eq!(
        wrong.map(drop).unwrap_err().kind(),
        ErrorKind::WrongPassphrase
    );
    let nothing = Client::builder(room.home.path(), passphrase()).open().await;
    assert_eq!(
        nothing.map(drop).unwrap_err().kind(),
        ErrorKind::NotAProfile
    );
    room.members[0].come_back().await?.online(PATIENCE).await?;
    Ok(())
}

/// Why a client does not get online.
async fn no_way_in(client: &Client) -> Result<Error> {
    match client.online(PATIENCE).await {
        Ok(()) => anyhow::bail!("{client:?} is online"),
        Err(error) => Ok(error),
    }
}

async fn other_request(founder: &Client, member: plenary_client::ids::MemberId) -> Result<String> {
    let asked = Requested::RevokeMember(member, Reason::Left);
    Ok(founder.board_request(vec![asked]).await?)
}

/// Waits until one client knows as many statements as another.
async fn wait_for_ledger(client: &Client, than: &Client) -> Result<()> {
    let wanted = than.status().await?.ledger;
    let mut events = client.events();
    let wait = async {
        while client.status().await?.ledger < wanted {
            events.next().await.context("the client was closed")?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait).await?
}
