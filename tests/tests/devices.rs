//! Further devices of a member, over the real server: linked, named, put out; codes in wrong hands.

mod common;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use common::{Room, texts};
use plenary_client::{
    Admission, Capacity, Client, DeviceChange, EntryRule, Error, ErrorKind, Event, Events, Joining,
    LinkCode, Linking, NewChannel, PendingLink, Reason, Requested, Standing,
    content::Draft,
    ids::{ChannelId, DeviceId},
};
use plenary_tests::harness::{PATIENCE, passphrase, person};

/// Waits for an event.
async fn hear<T>(events: &mut Events, wanted: impl Fn(Event) -> Option<T>) -> Result<T> {
    let wait = async {
        loop {
            let event = events.next().await.context("the client was closed")?;
            if let Some(found) = wanted(event) {
                return anyhow::Ok(found);
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await?
}

/// What came by a code.
async fn asked(client: &Client, code: &LinkCode) -> Result<PendingLink> {
    let open = client.link_requests().await?;
    let found = open.into_iter().find(|one| one.link == code.link);
    found.context("nobody asks")
}

impl Phone {
    /// A further device, linked by a client.
    async fn link(room: &Room, old: &Client, name: &str) -> Result<Self> {
        let folder = room.home.path().join(format!("device-{name}"));
        let builder = Client::builder(&folder, passphrase());
        let mut events = old.events();
        let code = old.link().await?;
        let fingerprint = builder.link(&code.code, name).await?;
        assert_eq!(builder.linked().await?, Linking::Waiting);
        let link = hear(&mut events, |event| match event {
            Event::LinkRequest(link) => Some(link),
            _ => None,
        })
        .await?;
        let waiting = asked(old, &code).await?;
        assert_eq!((link, &*waiting.name), (code.link, name));
        assert_eq!(waiting.fingerprint, fingerprint);
        old.accept_link(link, &fingerprint).await?;
        assert_eq!(builder.linked().await?, Linking::Linked);
        assert_eq!(builder.linked().await?, Linking::Linked, "asked again");
        let client = builder.open().await?;
        client.online(PATIENCE).await?;
        Ok(Self { client, folder })
    }
}

/// A further device of somebody.
struct Phone {
    client: Client,
    folder: PathBuf,
}

async fn entered(client: &Client, room: &Room) -> Result<()> {
    in_channel(client, room.channel).await
}

async fn in_channel(client: &Client, channel: ChannelId) -> Result<()> {
    tokio::time::timeout(PATIENCE, client.entered(channel))
        .await
        .with_context(|| format!("{client:?} does not get into {channel:?}"))??;
    Ok(())
}

/// How a device of a client's member stands, once the client's ledger is as long as another's.
async fn standing(client: &Client, device: DeviceId) -> Result<Standing> {
    let devices = client.devices().await?;
    let found = devices.into_iter().find(|one| one.id == device);
    Ok(found.context("no such device")?.standing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linked_device_discusses_as_the_same_member_until_it_is_put_out() -> Result<()> {
    let room = Room::of(3).await?;
    let (laptop, other) = (room.client(1)?, room.client(2)?);
    let phone = Phone::link(&room, laptop, "phone").await?;
    let device = phone.client.device();
    assert_eq!(phone.client.member(), laptop.member());

    // It enters the open channel by itself, knows the names, and is heard as the same member.
    entered(&phone.client, &room).await?;
    phone.client.caught_up(PATIENCE).await?;
    let said = phone
        .client
        .send(room.channel, Draft::text("from my phone"))
        .await?
        .delivered()
        .await?;
    for client in [laptop, other] {
        let all = common::read(client, room.channel, said).await?;
        let last = all.last().context("nothing")?;
        assert_eq!(last.text(), Some("from my phone"));
        assert_eq!(last.member, laptop.member());
        assert_eq!(last.device, device);
    }
    let said = other
        .send(room.channel, Draft::text("both read this"))
        .await?
        .delivered()
        .await?;
    for client in [laptop, &phone.client] {
        let all = common::read(client, room.channel, said).await?;
        assert_eq!(texts(&all).last(), Some(&"both read this"));
    }
    let own = phone.client.find_member("Member 1").await?;
    assert_eq!(own.id, laptop.member());

    // Both list both; the names came along.
    for client in [laptop, &phone.client] {
        let devices = client.devices().await?;
        let found: Vec<_> = devices
            .iter()
            .map(|one| (one.id, one.added_by, one.standing))
            .collect();
        let live = Standing::Live;
        assert_eq!(
            found,
            [
                (laptop.device(), None, live),
                (device, Some(laptop.device()), live)
            ]
        );
        assert_eq!(devices[1].name.as_deref(), Some("phone"));
    }
    laptop.name_device(device, "old phone").await?;
    assert_eq!(laptop.find_device("old phone").await?.id, device);

    // A third one is announced to the phone, which did not link it.
    let mut events = phone.client.events();
    let tablet = Phone::link(&room, laptop, "tablet").await?;
    let news = hear(&mut events, |event| match event {
        Event::Device(news) => Some(news),
        _ => None,
    })
    .await?;
    assert_eq!(
        (news.device, news.change, news.by),
        (
            tablet.client.device(),
            DeviceChange::Added,
            Some(laptop.device())
        )
    );
    assert_eq!(phone.client.device_news().await?, [news]);
    phone.client.device_news_seen(news.seq).await?;
    assert_eq!(phone.client.device_news().await?, []);
    assert_eq!(laptop.device_news().await?, [], "it said so itself");

    // Put out: cut, fenced, and nothing more is sealed to it.
    let fell = laptop.revoke_device(device, Reason::Lost).await?;
    assert_eq!(fell, []);
    let shut = phone.client.online(PATIENCE).await;
    let said = other
        .send(room.channel, Draft::text("without the phone"))
        .await?
        .delivered()
        .await?;
    for client in [laptop, &tablet.client] {
        if client.device() == tablet.client.device() {
            entered(client, &room).await?;
        }
    }
    let all = common::read(laptop, room.channel, said).await?;
    assert_eq!(texts(&all).last(), Some(&"without the phone"));
    if shut.is_ok() {
        // It was still cut when asked; by now it is known.
        let mut events = phone.client.events();
        hear(&mut events, |event| {
            matches!(event, Event::Offline).then_some(())
        })
        .await
        .ok();
    }
    let refused = phone.client.online(PATIENCE).await.map(drop);
    assert_eq!(
        refused.as_ref().map_err(Error::kind),
        Err(ErrorKind::Unauthenticated)
    );
    let seen = phone.client.messages(room.channel, said, 10).await?;
    assert_eq!(texts(&seen), Vec::<&str>::new());
    assert!(matches!(
        standing(laptop, device).await?,
        Standing::Revoked { .. }
    ));
    let audience = other.audience(room.channel).await?;
    let devices: Vec<_> = audience
        .members
        .iter()
        .flat_map(|one| &one.devices)
        .collect();
    assert!(
        devices
            .iter()
            .any(|(id, standing)| *id == device && *standing != Standing::Live)
    );
    assert!(phone.folder.exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_linking_code_alone_admits_nobody() -> Result<()> {
    let room = Room::of(2).await?;
    let (founder, laptop) = (room.client(0)?, room.client(1)?);
    let home = room.home.path();
    let builder = |name: &str| Client::builder(home.join(name), passphrase());

    // A thief was first with the code: the thief's fingerprint shows, and does nothing.
    let mut events = laptop.events();
    let code = laptop.link().await?;
    let (thief, mine) = (builder("thief"), builder("mine"));
    let shown = thief.link(&code.code, "phone").await?;
    let Err(second) = mine.link(&code.code, "phone").await else {
        bail!("the code worked twice");
    };
    assert_eq!(second.kind(), ErrorKind::Refused);
    assert!(second.to_string().contains("used already"), "{second}");
    assert!(!home.join("mine").exists(), "nothing is left of it");
    let again = hear(&mut events, |event| match event {
        Event::LinkAgain(link) => Some(link),
        _ => None,
    });
    assert_eq!(again.await?, code.link, "and the owner is told");
    let waiting = asked(laptop, &code).await?;
    assert_eq!(waiting.fingerprint, shown);
    // The owner reads another one on the machine at hand.
    let at_hand = "00000 11111 22222 33333 44444 55555 66666 77777";
    let refused = laptop.accept_link(code.link, at_hand).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Trust);
    assert_eq!(thief.linked().await?, Linking::Refused);
    let once_more = laptop.accept_link(code.link, &shown).await.unwrap_err();
    assert_eq!(once_more.kind(), ErrorKind::NotFound, "it is closed");
    let outside = thief.open().await?.online(PATIENCE).await.unwrap_err();
    assert_eq!(outside.kind(), ErrorKind::Unauthenticated);
    assert_eq!(laptop.devices().await?.len(), 1);

    // One is not the other.
    let invitation = founder.invite().await?;
    let wrong = builder("wrong")
        .link(&invitation, "phone")
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Input);
    let code = laptop.link().await?;
    let joining = Joining {
        invitation: code.code.clone(),
        person: person("Thief", "Nowhere"),
        capacity: Capacity::Member,
        nominated_by: String::new(),
        reason: String::new(),
        member: None,
    };
    let wrong = builder("wrong").join(&joining).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Input);
    assert!(wrong.to_string().contains("linking code"), "{wrong}");

    // Only the device that made the code sees and answers what comes by it.
    let phone = builder("phone");
    let shown = phone.link(&code.code, "phone").await?;
    assert_eq!(founder.link_requests().await?, []);
    assert_eq!(founder.admission_requests().await?, []);
    let foreign = founder.accept_link(code.link, &shown).await.unwrap_err();
    assert_eq!(foreign.kind(), ErrorKind::NotFound);
    // Spaces do not matter, the digits do.
    let typed: String = shown.split(' ').collect();
    laptop.accept_link(code.link, &typed).await?;
    assert_eq!(phone.linked().await?, Linking::Linked);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_device_linked_falls_with_it() -> Result<()> {
    let room = Room::of(2).await?;
    let (founder, laptop) = (room.client(0)?, room.client(1)?);
    let stolen = Phone::link(&room, laptop, "stolen").await?;
    let hidden = Phone::link(&room, &stolen.client, "hidden").await?;
    entered(&hidden.client, &room).await?;
    laptop.caught_up(PATIENCE).await?;
    let news = laptop.device_news().await?;
    assert_eq!(news.len(), 1, "{news:?}");
    assert_eq!(news[0].by, Some(stolen.client.device()));
    // Shown before it is confirmed.
    let info = laptop.find_device("stolen").await?;
    assert_eq!(info.hanging_on, [hidden.client.device()]);
    assert!(info.revocable);
    let fell = laptop.revoke_device(info.id, Reason::Lost).await?;
    assert_eq!(fell, [hidden.client.device()]);
    for gone in [&stolen.client, &hidden.client] {
        // Bounded by the patience: it may take a moment until the cut is noticed.
        let wait = async {
            loop {
                match gone.online(PATIENCE).await {
                    Err(error) => return error,
                    Ok(()) => tokio::task::yield_now().await,
                }
            }
        };
        let error = tokio::time::timeout(PATIENCE, wait).await?;
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    }
    let said = founder
        .send(room.channel, Draft::text("they are gone"))
        .await?
        .delivered()
        .await?;
    let all = common::read(laptop, room.channel, said).await?;
    assert_eq!(texts(&all).last(), Some(&"they are gone"));

    // What it linked was in honest hands after all: it is vouched for anew, and goes on as it was.
    let back = hidden.client.device();
    laptop.vouch_device(back).await?;
    assert_eq!(standing(laptop, back).await?, Standing::Live);
    hidden.client.clone().close().await;
    let client = Client::builder(&hidden.folder, passphrase()).open().await?;
    client.online(PATIENCE).await?;
    let wrong = laptop
        .vouch_device(stolen.client.device())
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::NotAllowed);

    // The thief of the laptop itself: the other device puts it out, and falls with it.
    let mut events = client.events();
    let fell = client.revoke_device(laptop.device(), Reason::Lost).await?;
    assert_eq!(fell, [back]);
    hear(&mut events, |event| {
        matches!(event, Event::Offline).then_some(())
    })
    .await?;
    let mut watch = founder.events();
    let wait = async {
        while founder
            .find_member("Member 1")
            .await?
            .devices
            .iter()
            .any(|(_, standing)| *standing == Standing::Live)
        {
            watch.next().await.context("closed")?;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, wait).await??;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_lost_all_devices_comes_back_as_the_same_member() -> Result<()> {
    let mut room = Room::of(3).await?;
    let member = room.members[1].id;
    let task_force = NewChannel {
        rule: EntryRule::Granted,
        ..NewChannel::open("task force", "closed")
    };
    room.network
        .decide(vec![Requested::Channel(task_force)])
        .await?;
    let granted = room.client(0)?.channel("task force").await?.id;
    let grant = Requested::Grant {
        channel: granted,
        member,
    };
    room.network.decide(vec![grant]).await?;
    let (founder, lost, friend) = (room.client(0)?, room.client(1)?, room.client(2)?);
    founder.enter(granted).await?;
    let direct = lost.direct(vec![room.members[2].id]).await?;
    let old = Phone::link(&room, lost, "phone").await?;
    for client in [lost, &old.client] {
        in_channel(client, granted).await?;
        in_channel(client, direct).await?;
    }
    in_channel(friend, direct).await?;
    let devices = [lost.device(), old.client.device()];
    old.client.close().await;
    room.members[1].leave().await?;
    let (founder, friend) = (room.client(0)?, room.client(2)?);

    // Somebody asks in the member's name: the Board sees whose, and cannot admit by mistake.
    let joining = Joining {
        invitation: founder.invite().await?,
        person: person("Member 1", "Portugal"),
        capacity: Capacity::Member,
        nominated_by: String::new(),
        reason: "bag stolen".to_owned(),
        member: Some(member),
    };
    let builder = Client::builder(room.home.path().join("again"), passphrase());
    let fingerprint = builder.join(&joining).await?;
    let open = founder.admission_requests().await?;
    let asked = open
        .iter()
        .find(|one| one.fingerprint == fingerprint)
        .context("nobody asks")?;
    assert_eq!(asked.claims.as_deref(), Some("Member 1, Portugal"));
    let invitation = asked.invitation;
    let admit = founder
        .board_request(vec![Requested::Admit(invitation)])
        .await;
    let refused = admit.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input);
    assert!(refused.to_string().contains("readmit"), "{refused}");
    assert_eq!(builder.admission().await?, Admission::Waiting);

    // In words, for who signs.
    let request = founder
        .board_request(vec![Requested::Readmit(invitation)])
        .await?;
    let words = format!("{:?}", founder.describe(&request).await?);
    assert!(words.contains("Member 1, Portugal"), "{words}");
    assert!(words.contains(&fingerprint), "{words}");
    for device in devices {
        assert!(words.contains(&device.to_string()), "{words}");
    }
    room.network
        .decide(vec![Requested::Readmit(invitation)])
        .await?;
    assert_eq!(builder.admission().await?, Admission::Admitted);
    let client = builder.open().await?;
    client.online(PATIENCE).await?;
    assert_eq!(client.member(), member);

    // Grant and direct channel hold: the owner adds, and the friend adds the owner.
    for channel in [granted, direct] {
        in_channel(&client, channel).await?;
        let said = client
            .send(channel, Draft::text("back"))
            .await?
            .delivered()
            .await?;
        let reader = if channel == direct { friend } else { founder };
        let all = common::read(reader, channel, said).await?;
        let last = all.last().context("nothing")?;
        assert_eq!((last.text(), last.member), (Some("back"), member));
    }
    let members = founder.find_member("Member 1").await?;
    let live: Vec<_> = members
        .devices
        .iter()
        .filter(|(_, standing)| *standing == Standing::Live)
        .map(|(device, _)| *device)
        .collect();
    assert_eq!(live, [client.device()]);
    let outside = room.members[1].come_back().await?.online(PATIENCE).await;
    assert_eq!(
        outside.map_err(|error| error.kind()),
        Err(ErrorKind::Unauthenticated)
    );
    Ok(())
}
