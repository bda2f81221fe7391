//! A ledger as it is handed over: entries, each two bytes of length and so many bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plenary_certs::ledger::Extract;

fuzz_target!(|data: &[u8]| {
    let mut entries = Vec::new();
    let mut rest = data;
    while let Some((len, after)) = rest.split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len)).min(after.len());
        let (entry, after) = after.split_at(len);
        entries.push(entry);
        rest = after;
    }
    let _ = Extract::verify(entries);
});
