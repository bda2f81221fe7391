//! Lists of operations on both engines: the same answers, also across restarts and kills.

use bytes::Bytes;
use plenary_core::memory::MemoryStore;
use plenary_core::store_suite::client_id;
use plenary_proto::ids::ChannelId;
use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Found(u8, u64),
    Append(u8, u8, u64, u64, Vec<u8>),
    Commit(u8, u8, u64, u64, u8, Vec<u8>),
    Trim(u8, u64),
    DropWelcome(u8, u8, u64),
    Put(u8, u64, Option<Vec<u8>>),
    Push(u8, Vec<u8>),
    Pop(u8),
    Reopen,
    Kill,
}

/// Small, and now and then too large for a row; few enough values that content is shared.
fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (0u8..2).prop_map(|mark| vec![mark; 17_000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let channel = || 0u8..2;
    let epoch = || prop_oneof![3 => 0u64..3, 1 => 0u64..6];
    prop_oneof![
        2 => (channel(), 0u64..2).prop_map(|(c, e)| Step::Found(c, e)),
        10 => (channel(), 0u8..2, 0u64..30, epoch(), content())
            .prop_map(|(c, d, n, e, bytes)| Step::Append(c, d, n, e, bytes)),
        5 => (channel(), 0u8..2, 0u64..30, epoch(), any::<u8>(), proptest::collection::vec(0u8..3, 0..3))
            .prop_map(|(c, d, n, e, mark, to)| Step::Commit(c, d, n, e, mark, to)),
        2 => (channel(), 0u64..12).prop_map(|(c, seq)| Step::Trim(c, seq)),
        2 => (0u8..3, channel(), 0u64..8).prop_map(|(d, c, seq)| Step::DropWelcome(d, c, seq)),
        5 => (0u8..3, 0u64..3, proptest::option::of(content()))
            .prop_map(|(k, version, value)| Step::Put(k, version, value)),
        3 => (0u8..2, content()).prop_map(|(q, value)| Step::Push(q, value)),
        3 => (0u8..2).prop_map(Step::Pop),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// The answer as text: two engines agree if the texts do.
async fn run(store: &impl Store, step: &Step) -> String {
    match step.clone() {
        Step::Found(c, e) => {
            let founded = store.found(channel_id(c), Epoch(e), group(c, 9)).await;
            format!("{founded:?}")
        }
        Step::Append(c, d, n, e, bytes) => {
            let append = message(channel_id(c), d, n, e, &bytes);
            format!("{:?}", store.append(append).await)
        }
        Step::Commit(c, d, n, e, mark, to) => {
            let size = if mark % 4 == 0 { 17_000 } else { 9 };
            let welcomes = to
                .iter()
                .map(|d| (device_id(*d), Bytes::from(vec![mark; 5])));
            let state = group(mark, size);
            let append = commit(channel_id(c), d, n, e, state, welcomes.collect());
            format!("{:?}", store.append(append).await)
        }
        Step::Trim(c, seq) => format!("{:?}", store.trim(channel_id(c), Seq(seq)).await),
        Step::DropWelcome(d, c, seq) => {
            let dropped = store.drop_welcome(device_id(d), channel_id(c), Seq(seq));
            format!("{:?}", dropped.await)
        }
        Step::Put(k, version, value) => {
            let value = value.map(Bytes::from);
            let put = store.put_if(Bytes::from(vec![k]), version, value).await;
            format!("{put:?}")
        }
        Step::Push(q, value) => {
            let pushed = store.push(Bytes::from(vec![q]), value.into()).await;
            format!("{pushed:?}")
        }
        Step::Pop(q) => format!("{:?}", store.pop_one(Bytes::from(vec![q])).await),
        Step::Reopen | Step::Kill => String::new(),
    }
}

/// Everything that can be read, as text.
async fn all(store: &impl Store) -> String {
    let mut out = format!("{:?}", store.channels().await);
    for c in 0..2 {
        let channel: ChannelId = channel_id(c);
        let state = store.channel(channel).await;
        let trimmed = state.as_ref().ok().and_then(Option::as_ref);
        let after = trimmed.map_or(Seq(0), |state| state.trimmed);
        let log = store.read(channel, after, 99, usize::MAX).await;
        out += &format!("\n{state:?}\n{log:?}");
        for n in 0..30 {
            let mark = store.find(channel, device_id(0), client_id(n)).await;
            out += &format!("\n{mark:?}");
        }
    }
    for n in 0..3 {
        let mut waiting = store.welcomes(device_id(n)).await.unwrap();
        waiting.sort_by_key(|welcome| welcome.channel);
        let queue = store.queue_len(&[n]).await;
        out += &format!("\n{waiting:?}\n{queue:?}");
    }
    out + &format!("\n{:?}", store.list(b"", None, 99).await)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_engines_give_the_same_answers(steps in proptest::collection::vec(step(), 1..60)) {
        block_on(async {
            let mut folder = tempfile::tempdir().unwrap();
            let mut store = open(folder.path()).unwrap();
            let memory = MemoryStore::new();
            for step in &steps {
                match step {
                    Step::Reopen => {
                        drop(store);
                        store = open(folder.path()).unwrap();
                    }
                    Step::Kill => {
                        let copy = tempfile::tempdir().unwrap();
                        copy_dir(folder.path(), copy.path());
                        drop(store);
                        folder = copy;
                        store = open(folder.path()).unwrap();
                    }
                    step => {
                        let (ours, theirs) = (run(&store, step).await, run(&memory, step).await);
                        assert_eq!(ours, theirs, "{step:?}");
                    }
                }
            }
            assert_eq!(all(&store).await, all(&memory).await);
            drop(store);
            // Large content is there exactly as often as it is named: a start checks the one, this
            // the other.
            let store = open(folder.path()).unwrap();
            assert_eq!(all(&store).await, all(&memory).await);
        });
    }
}
