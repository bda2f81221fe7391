//! Into a stream: the whole, ranges, and what must not come through.

use std::{
    io::{self as std_io, Write},
    ops::Range,
    sync::{Arc, Mutex},
};

use super::*;
use crate::files::Streamed;

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std_io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std_io::Result<()> {
        Ok(())
    }
}

fn stream(
    manifest: &Manifest,
    chunks: &[SealedChunk],
    range: Range<u64>,
) -> (Vec<u8>, Result<(), ItemError>, usize) {
    let sink = Sink::default();
    let mut streamed = Streamed::new(manifest, range, sink.clone()).unwrap();
    let (first, end) = streamed.due();
    let mut opened = || {
        for index in first..end {
            let mut sealed = chunks[index as usize].bytes.clone();
            streamed.write(index, &mut sealed)?;
        }
        Ok(())
    };
    let written = opened();
    let done = written.and_then(|()| {
        let given = streamed.given();
        assert_eq!(given, sink.0.lock().unwrap().len() as u64);
        streamed.finish()
    });
    let got = sink.0.lock().unwrap().clone();
    (got, done, (end - first) as usize)
}

#[test]
fn ranges_are_what_they_say_and_fetch_no_more_than_they_need() {
    let data = bytes(5 * SMALL_CHUNK + 123);
    let (manifest, chunks) = seal(plan("sample.bin", &data), &data);
    let size = data.len() as u64;
    let edge = SMALL_CHUNK as u64 - 32;
    for (range, needs) in [
        (0..1, 1),
        (0..edge, 1),
        (0..edge + 1, 2),
        (edge - 1..edge + 1, 2),
        (edge..edge + 1, 1),
        (size - 1..size, 1),
        (1..size, chunks.len()),
        (100_000..100_000, 0),
        (size..size + 10, 0),
        (size - 5..u64::MAX, 1),
        (0..u64::MAX, chunks.len()),
    ] {
        let (got, done, fetched) = stream(&manifest, &chunks, range.clone());
        assert_eq!(done, Ok(()), "{range:?}");
        assert_eq!(fetched, needs, "{range:?}");
        let (from, to) = (range.start.min(size), range.end.min(size));
        assert!(got == data[from as usize..to as usize], "{range:?}");
    }
    let (empty, chunks) = seal(plan("empty", b""), b"");
    assert_eq!(stream(&empty, &chunks, 0..u64::MAX).1, Ok(()));
}

#[test]
fn no_byte_of_a_bad_chunk_goes_out() {
    let data = bytes(4 * SMALL_CHUNK);
    let (manifest, chunks) = seal(plan("sample.bin", &data), &data);
    let edge = SMALL_CHUNK as u64 - 32;
    for range in [0..u64::MAX, 5..u64::MAX] {
        for bad in 0..chunks.len() {
            for at in [0, 40, 60_000] {
                let mut chunks = chunks.clone();
                let len = chunks[bad].bytes.len();
                chunks[bad].bytes[at.min(len - 1)] ^= 1;
                let (got, done, _) = stream(&manifest, &chunks, range.clone());
                assert!(done.is_err(), "{bad} {at}");
                let good = (bad as u64 * SMALL_CHUNK as u64).saturating_sub(32);
                let good = good.saturating_sub(range.start);
                assert!(got.len() as u64 <= good, "{bad} {at}");
            }
        }
    }
    // Another key for the same bytes.
    let (other, _) = seal(plan("other.bin", &data), &data);
    let (got, done, _) = stream(&other, &chunks, 1..2);
    assert!(done.is_err() && got.is_empty());
    let (got, done, _) = stream(&other, &chunks, edge + 5..edge + 9);
    assert!(done.is_err() && got.is_empty());
}
