//! Looking for words among many messages.

use std::io::BufRead;

use plenary_client::{
    Search,
    simulation::{Shelf, Spent},
};

use super::{millis, setting, told};

const TURNS: usize = 20;

pub(super) fn run() {
    let count = setting("SEARCH_MESSAGES", 100_000);
    let texts = texts();
    let folder = tempfile::tempdir().unwrap();
    let (shelf, filling) = Spent::on(|| Shelf::fill(folder.path(), &texts, count));
    println!(
        "\nsearch: {count} messages, {} different texts, {:.0} MiB on disk, stored in {:.0} s",
        texts.len(),
        shelf.bytes() as f64 / (1 << 20) as f64,
        filling.wall.as_secs_f64()
    );
    let (channel, member) = shelf.narrow();
    let words = |words: &str| Search::new(words);
    for (what, search) in [
        ("a rare word", words("bandwidth")),
        ("a word of most messages", words("the")),
        ("beginning of many words", words("co")),
        ("four words", words("group key the members")),
        ("a phrase", words("\"the group\"")),
        ("a phrase that is nowhere", words("\"group the of\"")),
        ("a word that is nowhere", words("zyzzyva")),
        (
            "by one, in one channel",
            words("the").channel(channel).from(member),
        ),
    ] {
        let mut warm = Vec::new();
        let mut started = shelf.open();
        let (found, cold) = started.look(&search);
        for _ in 0..TURNS {
            warm.push(started.look(&search).1);
        }
        println!(
            "  {what:<26}{found:4} found; first {:7.2} ms, again {}",
            millis(cold.wall),
            told(&mut warm)
        );
    }
}

/// Of a corpus, or made: words by their rank, the way languages have them.
fn texts() -> Vec<String> {
    let Ok(path) = std::env::var("PLENARY_CORPUS") else {
        return made();
    };
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let lines = std::io::BufReader::new(file).lines();
    let texts = lines.filter_map(|line| {
        let value: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = value["text"].as_str().filter(|text| !text.is_empty())?;
        Some(text.to_owned())
    });
    texts.collect()
}

fn made() -> Vec<String> {
    const SYLLABLES: [&str; 16] = [
        "co", "the", "ra", "tion", "key", "gro", "up", "mem", "ber", "in", "ter", "op", "mes",
        "sa", "ge", "al",
    ];
    let mut state = 1_u64;
    let mut next = move || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    let word = |rank: usize| {
        let parts = [rank % 16, rank / 16 % 16, rank / 256 % 16, rank / 4096 % 16];
        let length =
            1 + usize::from(rank >= 16) + usize::from(rank >= 256) + usize::from(rank >= 4096);
        parts[..length]
            .iter()
            .map(|part| SYLLABLES[*part])
            .collect::<String>()
    };
    (0..5_000)
        .map(|_| {
            let length = 5 + next() % 120;
            // Zipf's law, about: half of all words are among the first few hundred.
            let words = (0..length).map(|_| word(60_000 / (1 + next() % 60_000)));
            words.collect::<Vec<_>>().join(" ")
        })
        .collect()
}
