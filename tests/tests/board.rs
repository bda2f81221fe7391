//! From nomination to the first message; suspension and return; what members are told.

mod common;

use anyhow::{Context, Result, ensure};
use common::{PROGRAM, Room};
use plenary_client::{
    Admission, Capacity, Client, Contact, ErrorKind, Joining, Kind, Reason, RequestFile, Requested,
    Standing, Tally, Target, content::Draft, ids::MemberId,
};
use plenary_tests::harness::{Network, Newcomer, PATIENCE, Server, passphrase, person};
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nominated_expert_is_countersigned_admitted_and_all_are_told() -> Result<()> {
    let home = tempfile::tempdir()?;
    let server = Server::start(Path::new(PROGRAM), &home.path().join("server"), "info")?;
    let channel = [("encryption", "for the test")];
    let founder = person("Founder", "Norway");
    let mut network = Network::found(&server, home.path(), founder, &channel).await?;
    let newcomers = vec![
        Newcomer {
            person: person("Bo", "Utopia"),
            capacity: Capacity::Member,
            seat: Some(1),
        },
        Newcomer::member(person("Cleo", "Portugal")),
    ];
    let members = network.admit(newcomers, &|| {}).await?;
    let (bo, cleo) = (members[0].client()?, members[1].client()?);
    cleo.caught_up(PATIENCE).await?;
    bo.caught_up(PATIENCE).await?;
    let before = cleo.status().await?.ledger;

    // Nominated by the founder, who names a contact point.
    let invitation = network.founder.client()?.invite_for(cleo.member()).await?;
    let folder = home.path().join("dora");
    let builder = Client::builder(&folder, passphrase());
    let fingerprint = builder
        .join(&Joining {
            invitation,
            person: person("Dora", "University of Ruritania"),
            capacity: Capacity::Expert,
            nominated_by: "Prosecutor General of Ruritania".to_owned(),
            reason: "reads ransomware".to_owned(),
            member: None,
        })
        .await?;

    // The Board reads it from a device that did not invite; it is not from there, so Bo cannot
    // countersign. Cleo can.
    let asked = bo.admission_requests().await?;
    ensure!(
        asked.len() == 1 && asked[0].fingerprint == fingerprint,
        "{asked:?}"
    );
    ensure!(asked[0].countersigned.is_empty() && !asked[0].may_countersign);
    let which = asked[0].invitation;
    let refused = bo.countersign(which).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotAllowed);
    ensure!(cleo.admission_requests().await?[0].may_countersign);
    let drafted = bo.board_request(vec![Requested::Admit(which)]).await?;
    let nobody = RequestFile::parse(&drafted)?.words();
    ensure!(
        nobody[1].text().contains("NOBODY has countersigned"),
        "{nobody:?}"
    );
    cleo.countersign(which).await?;
    let asked = bo.admission_requests().await?;
    let by = &asked[0].countersigned[0];
    assert_eq!((&*by.name, by.contact), ("Cleo", Contact::Named));
    ensure!(!cleo.admission_requests().await?[0].may_countersign);

    // As somebody reads it on a machine that has nothing but the file.
    let drafted = bo.board_request(vec![Requested::Admit(which)]).await?;
    let paper = RequestFile::parse(&drafted)?;
    let words: Vec<_> = paper.words().iter().map(|words| words.text()).collect();
    let words = words.join("\n");
    for said in [
        "Admit Dora, University of Ruritania",
        "as an expert, until ",
        "Nominated by: Prosecutor General of Ruritania",
        "Reason: reads ransomware",
        "Countersigned by Cleo, Portugal (whom the invitation names)",
        &by.fingerprint,
        &fingerprint,
    ] {
        ensure!(words.contains(said), "{words} lacks {said}");
    }
    let one = network.sign(&[1], &drafted).await?;
    let tally = paper.tally(&one)?;
    let need = &tally[0].needs.as_ref().context("no ROOT")?[0];
    assert_eq!((need.missing(), need.signed.len()), (1, 1));
    assert_eq!(need.signed[0].member, Some(bo.member()));
    assert_eq!(paper.name(bo.member()).as_deref(), Some("Bo, Utopia"));
    assert_eq!(need.open.len(), 2);
    let two = network.sign(&[1, 2], &drafted).await?;
    ensure!(paper.tally(&two)?.iter().all(Tally::complete));
    bo.submit(&drafted, &two).await?;
    assert_eq!(builder.admission().await?, Admission::Admitted);

    // She is in, and says so.
    let dora = builder.open().await?;
    dora.caught_up(PATIENCE).await?;
    let channel = dora.channel("encryption").await?.id;
    for client in [network.founder.client()?, cleo, &dora] {
        client.enter(channel).await?;
        tokio::time::timeout(PATIENCE, client.entered(channel))
            .await
            .context("not in the channel")??;
    }
    let said = dora
        .send(channel, Draft::text("Hello."))
        .await?
        .delivered()
        .await?;
    let read = common::read(cleo, channel, said).await?;
    assert_eq!(common::texts(&read).last(), Some(&"Hello."));

    // All are told who came and by whom. The name comes a moment after.
    let mut events = cleo.events();
    let named = async {
        loop {
            let notices = cleo.notices(before, 100).await?;
            if notices.iter().all(|notice| notice.named) {
                return anyhow::Ok(notices);
            }
            events.next().await.context("the client was closed")?;
        }
    };
    let notices = tokio::time::timeout(PATIENCE, named)
        .await
        .context("no name")??;
    assert_eq!(notices.len(), 2);
    ensure!(
        notices[0].words.headline.starts_with("Admit Dora"),
        "{notices:?}"
    );
    let signers: Vec<_> = notices[0].signers.iter().map(|one| &*one.name).collect();
    ensure!(
        signers.contains(&"Bo, Utopia") && signers.len() == 2,
        "{signers:?}"
    );
    ensure!(notices[0].first && notices[0].named);
    // Cleo has not read them; Dora begins with nothing to read.
    assert_eq!(cleo.notices_read().await?, before);
    cleo.read_notices(notices[1].seq).await?;
    assert_eq!(cleo.notices_read().await?, notices[1].seq);
    assert_eq!(dora.notices_read().await?, dora.status().await?.ledger);

    // An expert has an end; everybody is to be looked at again.
    let info = cleo.find_member("Dora").await?;
    ensure!(
        info.ends.is_some() && info.revalidate_by.is_some(),
        "{info:?}"
    );
    network
        .decide(vec![Requested::Renew {
            member: dora.member(),
            capacity: Some(Capacity::Member),
            ends: None,
        }])
        .await?;
    wait(cleo, dora.member(), |info| {
        info.capacity == Some(Capacity::Member)
    })
    .await?;
    assert_eq!(cleo.find_member("Dora").await?.ends, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_member_is_out_and_comes_back() -> Result<()> {
    let room = Room::of(3).await?;
    let member = room.members[2].id;
    let before = room.client(1)?.status().await?.ledger;
    let target = Target::Member(member);
    let suspend = Requested::Suspend(target, Reason::Misuse);
    room.network.decide(vec![suspend.clone()]).await?;
    let out = |standing| matches!(standing, Standing::Suspended { .. });
    wait(room.client(1)?, member, |info| out(info.standing)).await?;
    let said = room
        .client(0)?
        .send(room.channel, Draft::text("without"))
        .await?;
    let said = said.delivered().await?;
    room.read(1, said).await?;
    let heard = room
        .client(2)?
        .messages(room.channel, plenary_client::ids::Seq(0), 99)
        .await?;
    ensure!(!common::texts(&heard).contains(&"without"), "{heard:?}");

    room.network.decide(vec![Requested::Resume(target)]).await?;
    let live = |standing| standing == Standing::Live;
    wait(room.client(1)?, member, |info| live(info.standing)).await?;
    // Resumed twice makes no sense, and nobody is asked to sign it.
    let senseless = room
        .client(0)?
        .board_request(vec![Requested::Resume(target)])
        .await;
    assert_eq!(senseless.unwrap_err().kind(), ErrorKind::Input);
    let kinds: Vec<_> = room.client(1)?.notices(before, 10).await?;
    let kinds: Vec<_> = kinds.iter().map(|notice| notice.kind).collect();
    assert_eq!(kinds, [Kind::Suspend, Kind::Resume]);
    Ok(())
}

/// Waits until a client sees a member so.
async fn wait(
    client: &Client,
    member: MemberId,
    so: impl Fn(&plenary_client::MemberInfo) -> bool,
) -> Result<()> {
    let mut events = client.events();
    let wait = async {
        loop {
            let all = client.members().await?;
            if all.iter().any(|one| one.id == member && so(one)) {
                return anyhow::Ok(());
            }
            events.next().await.context("the client was closed")?;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .context("the member is not seen so")?
}
