//! Nothing that members say or name is found on the server, in any form.

mod common;

use std::fs;

use anyhow::{Context, Result, ensure};
use common::Room;
use plenary_client::{
    NewChannel, Requested, SendFile,
    content::{Draft, ThreadId},
};
use plenary_tests::harness::{PASSPHRASE, find, forms, sha256_of};

const TEXT: &str = "Quenneville-7311-text";
const TITLE: &str = "Ostrobothnia-7312-title";
const MEMBER: &str = "Ysolde-7313-Marchbanks";
const CHANNEL: &str = "zymurgy-7314-channel";
const PURPOSE: &str = "Vexillology-7315-purpose";
const LATER: &str = "petrichor-7316-channel";
const FILE: &str = "kookaburra-7317-report";
const CONTENT: &str = "Thessalonike-7318-content";
const DIRECT: &str = "Marzipan-7319-direct";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markers_are_found_nowhere_on_the_server() -> Result<()> {
    let mut room = Room::with(&[MEMBER, "Other"], (CHANNEL, PURPOSE), "trace").await?;
    let writer = room.client(1)?.clone();
    let asked = Requested::Channel(NewChannel::open(LATER, PURPOSE));
    room.network.decide(vec![asked]).await?;

    let thread = ThreadId::of_title(room.channel, TITLE);
    let draft = Draft::text(TEXT).thread(thread).title(TITLE);
    let first = writer.send(room.channel, draft).await?.delivered().await?;
    let got = room.read(2, first).await?;
    let [message] = got.as_slice() else {
        panic!("{got:?}")
    };
    assert_eq!((message.text(), message.title()), (Some(TEXT), Some(TITLE)));
    assert_eq!(message.sender.as_deref(), Some(MEMBER));

    let path = room.home.path().join(format!("{FILE}.txt"));
    fs::write(&path, CONTENT.repeat(20_000))?;
    let sending = writer.send_file(room.channel, SendFile::new(&path)).await?;
    let seq = sending.finish().await?.delivered().await?;
    let got = room.read(2, seq).await?;
    let message = got.last().context("the item's message did not come")?;
    let folder = room.home.path().join("received");
    fs::create_dir(&folder)?;
    let received = room.client(2)?.fetch(message, &folder)?.finish().await?;
    assert_eq!(sha256_of(&received)?, sha256_of(&path)?);

    let direct = writer.direct(vec![room.members[2].id]).await?;
    let said = writer
        .send(direct, Draft::text(DIRECT))
        .await?
        .delivered()
        .await?;
    let got = common::read(room.client(2)?, direct, said).await?;
    assert_eq!(common::texts(&got), [DIRECT]);

    room.server.stop()?;
    let logs = fs::read_to_string(room.server.logs().join("1.err"))?;
    ensure!(logs.contains("DEBUG"), "the log is not verbose: {logs}");
    let markers = [
        TEXT, TITLE, MEMBER, CHANNEL, PURPOSE, LATER, FILE, CONTENT, DIRECT, PASSPHRASE,
    ];
    for marker in markers {
        for folder in [room.server.data(), room.server.logs()] {
            let found = find(&folder, &forms(marker))?;
            assert_eq!(found, [], "{marker} lies in {}", folder.display());
        }
    }
    Ok(())
}
