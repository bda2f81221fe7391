//! Time stamps over a real server and a real service: what is stated is stamped, the bundle shows it,
//! and a service that fails holds nothing up. Needs `openssl`; says so where there is none.

mod common;

use std::{fs, time::Duration};

use anyhow::{Context, Result};
use common::{Room, hand_over, heard, message};
use plenary_certs::custody::Entry;
use plenary_client::{
    Authorities, Client, CustodyRecord, ErrorKind, Event, Message, Original, TimeStamping,
    custody::verify,
};
use plenary_tests::harness::{PATIENCE, TimeAuthority};

fn stamped_by(authority: &TimeAuthority) -> Result<TimeStamping> {
    let pem = fs::read_to_string(authority.certificate())?;
    Ok(TimeStamping::by(authority.url()).authorities(pem))
}

/// Waits for so many statements; returns the record.
async fn record(client: &Client, of: &Message, statements: usize) -> Result<CustodyRecord> {
    heard(client, of, statements).await?;
    Ok(client.custody(of).await?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stated_is_stamped_and_the_bundle_shows_when() -> Result<()> {
    let (Some(authority), Some(other)) = (TimeAuthority::start()?, TimeAuthority::start()?) else {
        return Ok(());
    };
    let room = Room::of(2).await?;
    for who in [0, 1] {
        let service = stamped_by(&authority)?;
        room.client(who)?.set_time_stamping(Some(service)).await?;
    }
    let seq = hand_over(&room, "report.txt", b"what we found", false).await?;
    let client = room.client(1)?;
    let at_one = message(&room, 1, seq).await?;
    let into = room.home.path().join("inbox");
    fs::create_dir(&into)?;
    client.fetch(&at_one, &into)?.finish().await?;
    for who in [0, 1] {
        let of = message(&room, who, seq).await?;
        let record = record(room.client(who)?, &of, 3).await?;
        assert!(record.statements.iter().all(|one| one.stamp_time.is_some()));
    }
    assert_eq!(authority.asked(), 3);

    let bundle = room.home.path().join("evidence");
    let export = client.export_custody(&at_one, &bundle, Original::Fetched)?;
    export.finish().await?;
    let root1 = client.status().await?.root1;
    let pem = fs::read(bundle.join("data/authorities.pem"))?;
    assert_eq!(pem, fs::read(authority.certificate())?);
    let trusted = Authorities::from_pem(&pem)?;
    let found = verify(&bundle, Some(&root1), Some(&trusted))?;
    assert_eq!(found.statements.len(), 4);
    for said in &found.statements {
        assert_eq!(said.stamps.len(), 1);
        assert!(said.stamps[0].backed && said.stamps[0].signer == "CN=Clock");
        // Whole seconds.
        assert!(said.stamps[0].time.0 + 1_000 > said.time.0);
    }
    let alone = verify(&bundle, Some(&root1), None)?;
    let stamps = alone.statements.iter().flat_map(|said| &said.stamps);
    assert!(stamps.clone().count() == 4 && stamps.clone().all(|stamp| !stamp.backed));
    let stranger = Authorities::from_pem(&fs::read(other.certificate())?)?;
    let fault = verify(&bundle, Some(&root1), Some(&stranger)).unwrap_err();
    assert!(fault.place.starts_with("data/statements/"), "{fault}");
    assert!(fault.what.contains("authority"), "{fault}");
    let page = fs::read_to_string(bundle.join("data/record.html"))?;
    assert!(page.contains("Time stamps (RFC 3161)") && page.contains("CN=Clock"));

    // OpenSSL takes them for what they are.
    for statement in fs::read_dir(bundle.join("data/statements"))? {
        let entry = Entry::decode(&fs::read(statement?.path())?)?;
        let token = entry.tokens().next().context("no token")?;
        authority.verify(token, &entry.to_stamp().to_string())?;
        assert!(authority.verify(token, &entry.id().to_string()).is_err());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_behind_a_private_authority_is_asked_by_its_certificate_alone() -> Result<()> {
    let (Some(authority), Some(other)) = (TimeAuthority::start_https()?, TimeAuthority::start()?)
    else {
        return Ok(());
    };
    let room = Room::of(2).await?;
    let client = room.client(0)?;
    let own = fs::read_to_string(authority.certificate())?;
    let strange = fs::read_to_string(other.certificate())?;
    let plain = stamped_by(&authority)?;
    for (wrong, why) in [
        (stamped_by(&other)?.https_authorities(&own), "not https"),
        (
            plain.clone().https_authorities("no certificate"),
            "there is none",
        ),
    ] {
        let refused = client.set_time_stamping(Some(wrong)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Input);
        assert!(refused.to_string().contains(why), "{refused}");
    }
    // By this system's certificates, by another's, by its own.
    for (round, (service, stamped)) in [
        (plain.clone(), false),
        (plain.clone().https_authorities(strange), false),
        (plain.https_authorities(own), true),
    ]
    .into_iter()
    .enumerate()
    {
        client.set_time_stamping(Some(service)).await?;
        let mut events = client.events();
        let name = format!("{round}.txt");
        let seq = hand_over(&room, &name, b"what we found", false).await?;
        let of = message(&room, 1, seq).await?;
        let there = record(room.client(1)?, &of, 1).await?;
        assert_eq!(there.statements[0].stamp_time.is_some(), stamped, "{round}");
        if stamped {
            continue;
        }
        let why = async {
            loop {
                if let Some(Event::NotStamped { reason, .. }) = events.next().await {
                    return reason;
                }
            }
        };
        let why = tokio::time::timeout(PATIENCE, why).await?;
        assert!(why.contains("certificate"), "{why}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_fails_holds_nothing_up_and_that_is_said() -> Result<()> {
    let (Some(authority), Some(other)) = (TimeAuthority::start()?, TimeAuthority::start()?) else {
        return Ok(());
    };
    let room = Room::of(2).await?;
    let client = room.client(0)?;
    for url in ["ftp://127.0.0.1/", "nowhere", "http://me:secret@127.0.0.1/"] {
        let refused = client.set_time_stamping(Some(TimeStamping::by(url))).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Input, "{url}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let nobody = TimeStamping::by(format!("http://{nobody}/"));
    // A page, nobody there, and somebody whom another authority vouches for.
    authority.break_down(true);
    let page = stamped_by(&authority)?;
    let stranger = page
        .clone()
        .authorities(fs::read_to_string(other.certificate())?);
    for (round, (service, why)) in [
        (page, "malformed"),
        (nobody, "cannot be reached"),
        (stranger, "no path leads"),
    ]
    .into_iter()
    .enumerate()
    {
        authority.break_down(round == 0);
        client.set_time_stamping(Some(service)).await?;
        let mut events = client.events();
        let name = format!("{round}.txt");
        let seq = hand_over(&room, &name, b"what we found", false).await?;
        let of = message(&room, 1, seq).await?;
        let there = record(room.client(1)?, &of, 1).await?;
        assert_eq!(there.statements[0].stamp_time, None);
        let said = async {
            loop {
                if let Some(Event::NotStamped { reason, .. }) = events.next().await {
                    return reason;
                }
            }
        };
        let said = tokio::time::timeout(PATIENCE, said).await?;
        assert!(said.contains(why), "{said}");
    }
    // Nobody is asked any more.
    client.set_time_stamping(None).await?;
    assert_eq!(client.time_stamping().await?, None);
    let asked = authority.asked();
    let seq = hand_over(&room, "last.txt", b"what we found", false).await?;
    let of = message(&room, 1, seq).await?;
    let there = tokio::time::timeout(Duration::from_secs(8), record(room.client(1)?, &of, 1));
    assert_eq!(there.await??.statements[0].stamp_time, None);
    assert_eq!(authority.asked(), asked);
    Ok(())
}
