//! What is found, in which order, and what is gone.

use plenary_proto::ids::{ClientId, Epoch, Seq, Signature};
use proptest::prelude::*;

use super::*;
use crate::content::{Draft, Salt, ThreadId};

const HERE: ChannelId = ChannelId([0xAB; 16]);
const THERE: ChannelId = ChannelId([0xCD; 16]);

fn encoded(draft: Draft) -> Vec<u8> {
    let content = draft.into_content(Salt([3; 16])).unwrap();
    content.encode().unwrap()
}

/// By device `by`, at `time`.
fn add(store: &Store, channel: ChannelId, seq: u64, (by, time): (u8, u64), content: Vec<u8>) {
    let row = MessageRow {
        position: 0,
        channel,
        seq: Seq(seq),
        client_id: ClientId([seq as u8; 16]),
        device: DeviceId([by; 16]),
        time: UnixMillis(time),
        epoch: Epoch(1),
        content,
        signature: Signature([1; 64]),
        seen: None,
        handed_by: None,
    };
    store.atomic(|| store.add_message(&row)).unwrap();
}

fn texts(store: &Store, all: &[&str]) {
    for (index, text) in all.iter().enumerate() {
        let (seq, time) = (index as u64 + 1, 1_000 + index as u64);
        add(store, HERE, seq, (1, time), encoded(Draft::text(*text)));
    }
}

fn found(store: &Store, matching: &Matching) -> Vec<u64> {
    let hits = store.search(matching, None, 100).unwrap();
    hits.iter().map(|hit| hit.row.seq.0).collect()
}

fn seqs(store: &Store, words: &str) -> Vec<u64> {
    found(store, &Matching::words(words).unwrap())
}

/// FTS5 compares the whole index with the messages.
fn is_sound(store: &Store) {
    let check = "INSERT INTO search(search, rank) VALUES('integrity-check', 1)";
    store.lock().execute(check, []).unwrap();
}

/// Whether the index still holds a word at all.
fn holds(store: &Store, word: &str) -> bool {
    let connection = store.lock();
    connection
        .execute_batch(
            "CREATE VIRTUAL TABLE IF NOT EXISTS temp.words USING fts5vocab(main, search, row)",
        )
        .unwrap();
    let sql = "SELECT EXISTS(SELECT 1 FROM temp.words WHERE term = ?)";
    connection.query_row(sql, [word], |row| row.get(0)).unwrap()
}

#[test]
fn words_are_found_from_their_beginning_whatever_their_case_and_accents() {
    let store = Store::in_memory().unwrap();
    let all = [
        "Überweisung nach Zürich, 10 000 €",
        "Łódź: прокуратура и Europol",
        "The wallets were seized; cold storage in the safe",
        "cold, and no storage",
        "Ἀθήνα, Çeşme, naïve façade",
    ];
    texts(&store, &all);
    for (words, expected) in [
        ("uberweisung", vec![1]),
        ("ZURICH", vec![1]),
        ("Прокур", vec![2]),
        ("wall", vec![3]),
        ("cold storage", vec![4, 3]),
        ("\"cold storage\"", vec![3]),
        ("\"cold storage\" wallet", vec![3]),
        ("\"cold stor\"", vec![]),
        ("ἀΘΉΝ", vec![5]),
        // SQLite takes accents off Latin letters only.
        ("αθηνα", vec![]),
        ("cesme facade", vec![5]),
        ("wallets nothing", vec![]),
        ("10", vec![1]),
        ("s", vec![]),
    ] {
        assert_eq!(seqs(&store, words), expected, "{words}");
    }
    is_sound(&store);
}

#[test]
fn the_newest_come_first_and_the_rest_after_them() {
    let store = Store::in_memory().unwrap();
    // Learned in another order than they were said: what was missed is handed on later.
    let times = [5_u64, 3, 9, 1, u64::MAX, 0, 7, 9];
    for (index, time) in times.iter().enumerate() {
        let content = encoded(Draft::text("the same word"));
        add(&store, HERE, index as u64 + 1, (1, *time), content);
    }
    let matching = Matching::words("word").unwrap();
    let mut all = Vec::new();
    let mut before = None;
    loop {
        let page = store.search(&matching, before, 3).unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.place);
        all.extend(page.iter().map(|hit| hit.row.seq.0));
    }
    // What claims to be beyond all time is no news.
    assert_eq!(all, [8, 3, 7, 1, 2, 4, 6, 5]);
    is_sound(&store);
}

#[test]
fn channel_sender_and_time_narrow_it_down() {
    let store = Store::in_memory().unwrap();
    for (seq, channel, by, time) in [(1, HERE, 1, 10), (2, THERE, 1, 20), (3, HERE, 2, 30)] {
        let text = format!("word abababababababababababababababab {by}");
        add(&store, channel, seq, (by, time), encoded(Draft::text(text)));
    }
    let words = || Matching::words("word").unwrap();
    let devices = |all: &[u8]| all.iter().map(|by| DeviceId([*by; 16])).collect::<Vec<_>>();
    assert_eq!(found(&store, &words().within(HERE)), [3, 1]);
    assert_eq!(found(&store, &words().by(&devices(&[1]))), [2, 1]);
    assert_eq!(
        found(&store, &words().by(&devices(&[1, 2])).within(HERE)),
        [3, 1]
    );
    assert_eq!(found(&store, &words().by(&[])), [0; 0]);
    assert_eq!(found(&store, &words().since(UnixMillis(20))), [3, 2]);
    assert_eq!(found(&store, &words().since(UnixMillis(u64::MAX))), [0; 0]);
    // Where a message lies and by whom it is are no words of it.
    let id = "CDCDCDCDCDCDCDCDCDCDCDCDCDCDCDCD";
    assert_eq!(seqs(&store, id), [0; 0]);
}

#[test]
fn an_excerpt_shows_the_words_in_their_place() {
    let store = Store::in_memory().unwrap();
    let far = format!(
        "{} the Wállet \u{1}here\u{2} {}",
        "before ".repeat(80),
        "after ".repeat(80)
    );
    texts(&store, &[&far]);
    let hits = store
        .search(&Matching::words("wallet here").unwrap(), None, 1)
        .unwrap();
    let (excerpt, marks) = hits[0].excerpt();
    assert!(
        excerpt.starts_with('…') && excerpt.ends_with('…'),
        "{excerpt}"
    );
    assert!(!excerpt.contains(['\u{1}', '\u{2}']));
    let shown: Vec<_> = marks.iter().map(|mark| &excerpt[mark.clone()]).collect();
    assert!(shown.contains(&"Wállet"), "{shown:?}");
}

#[test]
fn titles_and_file_names_are_found_and_reactions_are_not() {
    let store = Store::in_memory().unwrap();
    let titled = Draft::text("body")
        .thread(ThreadId([1; 16]))
        .title("Seized phones");
    add(&store, HERE, 1, (1, 1), encoded(titled));
    let plan = crate::files::Plan::new("Disk-Image_März.E01", "application/octet-stream", 1);
    let manifest = plan.unwrap().to_bytes().to_vec();
    add(&store, HERE, 2, (1, 2), encoded(Draft::item(manifest)));
    let other = MessageId([1; 32]);
    add(
        &store,
        HERE,
        3,
        (1, 3),
        encoded(Draft::reaction(other, "phones")),
    );
    add(&store, HERE, 4, (1, 4), encoded(Draft::deletion(other)));
    assert_eq!(seqs(&store, "phones"), [1]);
    assert_eq!(seqs(&store, "disk marz"), [2]);
    assert_eq!(seqs(&store, "e01"), [2]);
    assert_eq!(
        store.replaced_by(HERE, &other).unwrap(),
        [DeviceId([1; 16])]
    );
    assert_eq!(store.replaced_by(THERE, &other).unwrap(), []);
    is_sound(&store);
}

#[test]
fn what_is_gone_or_changed_is_out_of_the_index_with_its_words() {
    let store = Store::in_memory().unwrap();
    texts(
        &store,
        &["secretword one", "otherword two", "lastword three"],
    );
    // Segments of several transactions, and their merging.
    for seq in 4..200 {
        add(
            &store,
            HERE,
            seq,
            (1, seq),
            encoded(Draft::text(format!("filler {seq}"))),
        );
    }
    assert!(holds(&store, "secretword") && holds(&store, "otherword"));
    let deleted = store.atomic(|| {
        Ok(store
            .lock()
            .execute("DELETE FROM message WHERE seq = 1", [])?)
    });
    assert_eq!(deleted.unwrap(), 1);
    let content = encoded(Draft::text("newword two"));
    let change = "UPDATE message SET content = ? WHERE seq = 2";
    store.lock().execute(change, [content]).unwrap();
    let failed = store.atomic(|| {
        store.lock().execute("DELETE FROM message", [])?;
        Err::<(), _>(Error::new(ErrorKind::Store, "no"))
    });
    assert!(failed.is_err());
    assert_eq!(
        (seqs(&store, "secretword"), seqs(&store, "otherword")),
        (vec![], vec![])
    );
    assert_eq!(
        (seqs(&store, "newword"), seqs(&store, "lastword")),
        (vec![2], vec![3])
    );
    assert!(!holds(&store, "secretword") && !holds(&store, "otherword"));
    is_sound(&store);
    // What follows a fork is set aside.
    store
        .atomic(|| store.set_aside(HERE, Seq(2), DeviceId([9; 16])))
        .unwrap();
    assert_eq!(seqs(&store, "lastword filler"), [0; 0]);
    assert!(!holds(&store, "filler"));
    is_sound(&store);
}

/// No message is looked at that is not shown, and none is sorted.
#[test]
fn the_index_alone_finds_and_sorts() {
    let store = Store::in_memory().unwrap();
    let plan = |sql: &str| {
        let connection = store.lock();
        let mut query = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
            .unwrap();
        let count = query.parameter_count();
        let values = rusqlite::params_from_iter((0..count).map(|_| 1));
        let rows = query
            .query_map(values, |row| row.get::<_, String>(3))
            .unwrap();
        rows.collect::<Result<Vec<_>, _>>().unwrap()
    };
    let found = plan(&sql());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].starts_with("SCAN search VIRTUAL TABLE"),
        "{found:?}"
    );
    assert!(found[1].contains("USING INDEX message_place"), "{found:?}");
    // As FTS5 asks for what it shows and checks.
    let shown = plan("SELECT text FROM searched WHERE place = ?");
    assert!(shown[0].contains("USING INDEX message_place"), "{shown:?}");
    let replaced = plan(REPLACED);
    assert!(
        replaced[0].contains("USING INDEX message_replaced"),
        "{replaced:?}"
    );
}

#[test]
fn nothing_to_look_for_or_too_much_is_said() {
    let long = "word ".repeat(205);
    let many = "ab ".repeat(33);
    for words in ["", "  ", "\"\"", "+ - * ^ :", "\" ( ) \"", &long, &many] {
        let error = Matching::words(words).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{words}");
    }
}

#[test]
fn words_of_the_index_s_own_language_are_words() {
    let store = Store::in_memory().unwrap();
    texts(
        &store,
        &[
            "one NOT two",
            "one two",
            "text near one",
            "a-b c:d x*y z\"q",
        ],
    );
    for (words, expected) in [
        ("one NOT two", vec![1]),
        ("one OR three", vec![]),
        ("NEAR(one two)", vec![]),
        ("text : one", vec![3]),
        ("source:one", vec![]),
        ("a-b", vec![4]),
        ("c:d x*y", vec![4]),
        ("one AND two) OR (near", vec![]),
        ("tw* ^one", vec![2, 1]),
        ("{text} one", vec![3]),
        ("one\0two", vec![2, 1]),
        ("'; DROP TABLE message; --", vec![]),
        ("\"unfinished one", vec![]),
    ] {
        assert_eq!(seqs(&store, words), expected, "{words}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_is_typed_is_no_error(typed in ".{0,60}", odd in "[\"'*():^{}+ a-zé\\-\\\\]{0,40}") {
        let store = Store::in_memory().unwrap();
        texts(&store, &["a text with some é words"]);
        for words in [&typed, &odd, &format!("{odd}\"{typed}")] {
            match Matching::words(words) {
                Ok(matching) => { store.search(&matching, None, 10).unwrap(); }
                Err(error) => prop_assert_eq!(error.kind(), ErrorKind::Input),
            }
        }
    }

    #[test]
    fn every_word_of_a_text_finds_it(text in "\\PC{1,80}") {
        let store = Store::in_memory().unwrap();
        texts(&store, &[&text]);
        for word in text.split(|char: char| !char.is_ascii_alphanumeric()) {
            // A letter outside of ASCII beside it makes another word.
            let alone = text.is_ascii() && !word.is_empty();
            if alone {
                prop_assert_eq!(seqs(&store, word), [1]);
            }
        }
        is_sound(&store);
    }
}
