//! Sending, with stops.

use std::{
    fs,
    io::{Cursor, Read, Seek, SeekFrom},
};

use plenary_proto::limits::SMALL_CHUNK;

use super::*;
use crate::files::record::RECORD;

fn rest(mut outgoing: Outgoing<Cursor<&[u8]>>) -> Result<(Manifest, Vec<SealedChunk>), ItemError> {
    let mut chunks = Vec::new();
    while let Some(chunk) = outgoing.next_chunk()? {
        chunks.push(chunk);
    }
    outgoing.finish().map(|manifest| (manifest, chunks))
}

#[test]
fn sending_resumes_at_every_chunk_with_the_same_bytes() {
    let data = bytes(9 * SMALL_CHUNK);
    let plan = plan("nine.bin", &data);
    let (manifest, chunks) = seal(plan.clone(), &data);
    for taken in 0..=chunks.len() {
        for durable in 0..=taken {
            let desk = Desk::new();
            let mut first =
                Outgoing::create(Cursor::new(&data[..]), &desk.journal(), &plan).unwrap();
            for chunk in &chunks[..taken] {
                assert!(first.next_chunk().unwrap().as_ref() == Some(chunk));
            }
            drop(first);
            let again = Outgoing::resume(
                Cursor::new(&data[..]),
                &desk.journal(),
                &plan,
                durable as u32,
            );
            let (resumed, later) = rest(again.unwrap()).unwrap();
            assert_eq!(resumed, manifest);
            assert!(
                later == chunks[durable..],
                "taken {taken}, durable {durable}"
            );
        }
    }
}

#[test]
fn a_changed_file_is_never_sealed_under_the_same_nonce() {
    let data = bytes(9 * SMALL_CHUNK);
    let plan = plan("nine.bin", &data);
    let desk = Desk::new();
    let mut first = Outgoing::create(Cursor::new(&data[..]), &desk.journal(), &plan).unwrap();
    first.next_chunk().unwrap();
    drop(first);
    // Four chunks were sealed and journalled, one was taken: each of them is held to its plaintext.
    for index in 0..4 {
        let mut changed = data.clone();
        changed[index * SMALL_CHUNK + 77] ^= 1;
        let mut again =
            Outgoing::resume(Cursor::new(&changed[..]), &desk.journal(), &plan, 0).unwrap();
        assert_eq!(
            again.next_chunk(),
            Err(ItemError::SourceChanged),
            "chunk {index}"
        );
    }
    // Behind them nothing was sealed yet: the file may still be changed.
    let mut changed = data.clone();
    changed[5 * SMALL_CHUNK] ^= 1;
    let again = Outgoing::resume(Cursor::new(&changed[..]), &desk.journal(), &plan, 0);
    let (manifest, chunks) = rest(again.unwrap()).unwrap();
    assert!(open(&manifest, &chunks).unwrap() == changed);

    for other in [&data[..data.len() - 1], &[&data[..], &[0]].concat()] {
        let again = Outgoing::resume(Cursor::new(other), &desk.journal(), &plan, 0);
        assert!(matches!(again, Err(ItemError::SourceChanged)));
    }
}

#[test]
fn the_journal_is_on_disk_before_a_chunk_is_handed_out() {
    let data = bytes(5 * SMALL_CHUNK);
    let desk = Desk::new();
    let mut outgoing =
        Outgoing::create(Cursor::new(&data[..]), &desk.journal(), &plan("n", &data)).unwrap();
    let header = fs::metadata(desk.journal()).unwrap().len();
    assert_eq!(header, 40);
    let mut before = header;
    while let Some(chunk) = outgoing.next_chunk().unwrap() {
        let now = fs::metadata(desk.journal()).unwrap().len();
        let records = (now - header) / RECORD as u64;
        assert_eq!((now - header) % RECORD as u64, 0);
        assert!(records > u64::from(chunk.index) && now >= before);
        before = now;
    }
}

#[test]
fn a_journal_in_doubt_is_refused() {
    let data = bytes(3 * SMALL_CHUNK);
    let plan = plan("n", &data);
    let desk = Desk::new();
    let path = desk.journal();
    rest(Outgoing::create(Cursor::new(&data[..]), &path, &plan).unwrap()).unwrap();
    let good = fs::read(&path).unwrap();
    let resume = |journal: &[u8], plan: &Plan, durable| {
        fs::write(&path, journal).unwrap();
        let again = Outgoing::resume(Cursor::new(&data[..]), &path, plan, durable)?;
        rest(again)
    };
    // A record that was being written when the power went: its chunk never left.
    assert!(resume(&good[..good.len() - 1], &plan, 0).is_ok());
    assert!(resume(&good, &plan, 0).is_ok());

    let refused = Err(ItemError::Journal);
    for at in [0, 24, 40, 100, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        assert_eq!(resume(&bad, &plan, 0), refused, "byte {at}");
    }
    for cut in [0, 23, 39] {
        assert_eq!(resume(&good[..cut], &plan, 0), refused);
    }
    let end = 40 + RECORD;
    let swapped = [
        &good[..40],
        &good[end..2 * end - 40],
        &good[40..end],
        &good[2 * end - 40..],
    ]
    .concat();
    assert_eq!(resume(&swapped, &plan, 0), refused);
    // The server has more than was ever sealed.
    assert_eq!(resume(&good[..40], &plan, 1), refused);
    // Another item's.
    assert_eq!(resume(&good, &super::plan("n", &data), 0), refused);

    // A second transfer does not overwrite it, and it shows nothing of the file.
    fs::write(&path, &good).unwrap();
    assert!(matches!(
        Outgoing::create(Cursor::new(&data[..]), &path, &plan),
        Err(ItemError::Io {
            kind: std::io::ErrorKind::AlreadyExists,
            ..
        })
    ));
    let plaintext_hash = blake3::hash(&data[..SMALL_CHUNK - 32]);
    assert!(
        !good
            .windows(32)
            .any(|part| part == plaintext_hash.as_bytes())
    );
    Journal::remove(&path).unwrap();
    Journal::remove(&path).unwrap();
}

#[test]
fn one_transfer_has_the_journal() {
    let data = bytes(100);
    let plan = plan("n", &data);
    let desk = Desk::new();
    let first = Outgoing::create(Cursor::new(&data[..]), &desk.journal(), &plan).unwrap();
    let second = || Outgoing::resume(Cursor::new(&data[..]), &desk.journal(), &plan, 0);
    assert!(matches!(second(), Err(ItemError::InUse)));
    drop(first);
    assert!(second().is_ok());
}

#[test]
fn a_failed_transfer_stays_failed() {
    let data = bytes(6 * SMALL_CHUNK);
    let plan = plan("n", &data);
    let desk = Desk::new();
    // Shrinks behind the fifth chunk, after its size was looked at.
    let shrinking = Shrinking(Cursor::new(&data), 5 * SMALL_CHUNK as u64);
    let mut outgoing = Outgoing::create(shrinking, &desk.journal(), &plan).unwrap();
    for index in 0..4 {
        assert_eq!(outgoing.next_chunk().unwrap().unwrap().index, index);
    }
    for _ in 0..2 {
        assert_eq!(outgoing.next_chunk(), Err(ItemError::SourceChanged));
    }
    assert_eq!(outgoing.finish(), Err(ItemError::SourceChanged));
}

/// Tells a size, and has less.
struct Shrinking<'a>(Cursor<&'a Vec<u8>>, u64);

impl Read for Shrinking<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let left = self.1.saturating_sub(self.0.position());
        (&mut self.0).take(left).read(out)
    }
}

impl Seek for Shrinking<'_> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}
