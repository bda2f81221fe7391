//! The demo itself, small; and what texts a discussion may hold.

mod common;

use std::{fs, path::Path};

use anyhow::Result;
use common::{PROGRAM, Room, texts};
use plenary_client::content::Draft;
use plenary_tests::demo::{Args, run};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_built_in_discussion_holds_every_check() -> Result<()> {
    let args = Args {
        log: "info".to_owned(),
        json: true,
        ..Args::default()
    };
    let report = Box::pin(run(&args, Path::new(PROGRAM))).await?;
    assert!(report.ok, "{report}");
    assert_eq!(report.members, 7);
    assert_eq!(report.received, report.expected);
    assert_eq!(report.equal, report.sent * 7);
    for said in ["Ingrid Solheim (Norway)", "# Privacy coins in confiscation"] {
        assert!(report.transcript.contains(said), "{}", report.transcript);
    }
    Ok(())
}

/// Empty, very long and odd texts in a corpus; authors come and go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_corpus_with_odd_texts_arrives_equal() -> Result<()> {
    let home = tempfile::tempdir()?;
    let file = home.path().join("corpus.jsonl");
    let texts = [
        String::new(),
        "x".repeat(60_416),
        "é".repeat(30_001),
        "a very long text, which goes as an item. ".repeat(5_000),
        "\u{0}\u{1}\r\n\t\u{feff}\u{202e}\u{10ffff}e\u{301}".to_owned(),
        "last".to_owned(),
    ];
    let lines: String = (0..24)
        .map(|n| {
            let line = json!({
                "ts": "2020-01-01T00:00:00Z",
                "author": format!("author-{}", n % 5),
                "thread": format!("thread-{}", n % 4),
                "title": (n < 4).then(|| format!("Title {n}")),
                "labels": ["security"],
                "text": texts[n % texts.len()],
            });
            format!("{line}\n")
        })
        .collect();
    fs::write(&file, lines)?;
    let args = Args {
        corpus: Some(file),
        members: Some(6),
        log: "info".to_owned(),
        json: true,
        ..Args::default()
    };
    let report = Box::pin(run(&args, Path::new(PROGRAM))).await?;
    assert!(report.ok, "{report}");
    assert_eq!(report.equal, 24 * 6);
    Ok(())
}

/// Every Unicode scalar value there is, in texts of up to 60,000 bytes, which are messages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_utf_8_arrives_as_it_was_sent() -> Result<()> {
    let room = Room::of(2).await?;
    let mut sent = vec![String::new()];
    for char in '\0'..=char::MAX {
        if sent.last().is_some_and(|text| text.len() + 4 > 60_000) {
            sent.push(String::new());
        }
        if let Some(text) = sent.last_mut() {
            text.push(char);
        }
    }
    assert!(sent.len() > 70);
    let mut last = None;
    for text in &sent {
        last = Some(
            room.client(0)?
                .send(room.channel, Draft::text(text))
                .await?,
        );
    }
    let Some(last) = last else {
        panic!("nothing was sent")
    };
    let got = room.read(1, last.delivered().await?).await?;
    assert!(texts(&got) == sent, "texts differ");
    Ok(())
}
