//! A kill at every point of writing a frame; a power loss that tears one.

use std::fs;

use plenary_core::store::StoreError;

use super::*;
use crate::store::journal::{
    Journal, Position,
    frame::{SEGMENT_HEADER, write_change},
    scan::scan,
    tests::frames,
};

#[test]
fn a_journal_cut_at_any_byte_ends_at_the_last_whole_frame() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, positions) = frames(dir.path(), &[100, 700, 40]);
    let path = segment_path(dir.path());
    for cut in 0..=bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let scanned = scan(
            dir.path(),
            [1; 16],
            Position::START,
            |_, _| Ok(()),
            |_| Ok(()),
        )
        .unwrap();
        let whole = positions
            .iter()
            .rfind(|(end, _)| *end <= cut)
            .map_or((0, Position::START), |found| *found);
        assert_eq!(scanned.end, whole.1, "cut at {cut}");
        assert_eq!(scanned.torn, cut - whole.0, "cut at {cut}");
    }
}

#[test]
fn a_sector_never_written_tears_the_last_frame_only() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, positions) = frames(dir.path(), &[3_000, 3_000]);
    let path = segment_path(dir.path());
    for sector in 0..bytes.len().div_ceil(512) {
        let mut torn = bytes.clone();
        let end = (sector * 512 + 512).min(bytes.len());
        torn[sector * 512..end].fill(0);
        fs::write(&path, &torn).unwrap();
        let scanned = scan(
            dir.path(),
            [1; 16],
            Position::START,
            |_, _| Ok(()),
            |_| Ok(()),
        );
        if sector * 512 >= positions[1].0 {
            assert_eq!(scanned.unwrap().end, positions[1].1, "sector {sector}");
        } else {
            let damaged = matches!(scanned, Err(StoreError::Damaged(_)));
            assert!(damaged, "sector {sector}");
        }
    }
}

#[test]
fn a_torn_end_is_only_taken_off_the_last_segment() {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, positions) = frames(dir.path(), &[100, 100]);
    let path = segment_path(dir.path());
    let end = positions.last().unwrap().1;
    Journal::start(dir.path(), [1; 16], end).unwrap();
    let scanned =
        |dir: &std::path::Path| scan(dir, [1; 16], Position::START, |_, _| Ok(()), |_| Ok(()));
    assert_eq!(scanned(dir.path()).unwrap().end, end);
    for cut in 0..bytes.len() {
        fs::write(&path, &bytes[..cut]).unwrap();
        let damaged = matches!(scanned(dir.path()), Err(StoreError::Damaged(_)));
        assert!(damaged, "cut at {cut}");
    }
}

#[test]
fn a_store_killed_while_writing_a_frame_has_all_before_it() {
    block_on(async {
        let store = Temporary::new();
        fill(&*store).await;
        let before = contents(&*store).await.unwrap();
        let killed = store.killed();
        let from = fs::metadata(segment(killed.path())).unwrap().len() as usize;
        store.append(last_message()).await.unwrap();
        let after = contents(&*store).await.unwrap();
        let full = fs::read(segment(&store.dir.path().join("store"))).unwrap();
        let places = (from..full.len()).step_by(37).chain([
            from + 1,
            from + 79,
            from + 80,
            full.len() - 1,
            full.len(),
        ]);
        for cut in places {
            let copy = tempfile::tempdir().unwrap();
            copy_dir(killed.path(), copy.path());
            fs::write(segment(copy.path()), &full[..cut]).unwrap();
            let store = open(copy.path()).unwrap();
            // The whole frame was written: nobody had the answer yet, but it may count.
            let expected = if cut == full.len() { &after } else { &before };
            assert_eq!(&contents(&store).await.unwrap(), expected, "cut at {cut}");
            let repeated = store.append(last_message()).await.unwrap();
            assert_eq!(repeated.head, after.log.1);
            assert_eq!(repeated.repeated, cut == full.len());
            assert_eq!(contents(&store).await.unwrap(), after);
        }
    });
}

#[test]
fn a_journal_that_lost_what_was_acknowledged_is_refused() {
    block_on(async {
        let store = Temporary::new();
        fill(&*store).await;
        store.append(last_message()).await.unwrap();
        let killed = store.killed();
        let path = segment(killed.path());
        let full = fs::read(&path).unwrap();
        for cut in [0, 10, SEGMENT_HEADER, full.len() / 2, full.len() - 1] {
            fs::write(&path, &full[..cut]).unwrap();
            let error = open(killed.path()).err().unwrap();
            let StoreError::Damaged(text) = error else {
                panic!("cut at {cut}: {error}");
            };
            assert!(text.contains("were acknowledged"), "{text}");
            assert!(text.contains("restore a backup export"), "{text}");
        }
        // Refusing changed nothing: with the journal whole again all is there.
        fs::write(&path, &full).unwrap();
        let expected = contents(&*store).await.unwrap();
        let again = open(killed.path()).unwrap();
        assert_eq!(contents(&again).await.unwrap(), expected);
    });
}

#[test]
fn rows_in_a_frame_are_applied_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = Journal::start(dir.path(), [1; 16], Position::START).unwrap();
    for n in 0..3u8 {
        let totals = journal.position().totals;
        let rows = |out: &mut Vec<u8>| {
            write_change(out, (&[n], Some(&[n; 3])));
            write_change(out, (&[n], None));
        };
        journal.append(totals, rows).unwrap();
    }
    let mut seen = Vec::new();
    let applied = |frame: u64, changes: &[(&[u8], Option<&[u8]>)]| {
        seen.push((frame, changes.len(), changes[0].1.is_some()));
        Ok(())
    };
    scan(dir.path(), [1; 16], Position::START, applied, |_| Ok(())).unwrap();
    assert_eq!(seen, [(1, 2, true), (2, 2, true), (3, 2, true)]);
}

fn segment_path(dir: &std::path::Path) -> std::path::PathBuf {
    crate::store::journal::segments(dir)
        .unwrap()
        .pop()
        .unwrap()
        .1
}
