//! Where fuzzing begins: writes `corpus/TARGET/` from the bytes that the tests of each format pin,
//! which are what its encoder wrote. Needs nothing but the standard library; `run.sh` runs it.

use std::{fs, path::Path};

/// Target, and a file with pinned bytes in hex, as Rust or as lines.
const SOURCES: &[(&str, &str)] = &[
    ("frames", "proto/src/codec/tests.rs"),
    ("statements", "certs/src/ledger/tests/statements.hex"),
    ("ledger_files", "certs/src/ledger/tests/statements.hex"),
    ("content", "client-lib/src/content/vectors.rs"),
    ("content", "client-lib/src/content/tests.rs"),
    ("manifests", "client-lib/src/files/tests"),
    ("manifests", "client-lib/src/files/manifest.rs"),
    ("bundles", "certs/src/custody/tests"),
    ("store_rows", "server/src/store/rows.rs"),
    ("store_rows", "server/src/store/journal/frame.rs"),
];

/// Hex digits of the shortest seed.
const SHORTEST: usize = 24;

fn main() -> std::io::Result<()> {
    let here = Path::new(".");
    for (target, source) in SOURCES {
        let source = here.join("../..").join(source);
        let files = if source.is_dir() {
            fs::read_dir(source)?
                .map(|entry| entry.map(|entry| entry.path()))
                .collect::<Result<Vec<_>, _>>()?
        } else {
            vec![source]
        };
        let corpus = here.join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for file in files.iter().filter(|file| file.is_file()) {
            for seed in pinned(&fs::read_to_string(file)?) {
                let seed = match *target {
                    "ledger_files" => [&(seed.len() as u16).to_be_bytes()[..], &seed].concat(),
                    _ => seed,
                };
                fs::write(corpus.join(name(&seed)), seed)?;
            }
        }
    }
    // Lists of operations have no encoder: some of each kind, some with a restart.
    let corpus = here.join("corpus/operations");
    fs::create_dir_all(&corpus)?;
    for first in 0..16u8 {
        let step = |n: u8| {
            [
                n.wrapping_mul(7).wrapping_add(first),
                n % 3,
                n,
                n.wrapping_mul(31),
            ]
        };
        let seed: Vec<u8> = [[0, 0, 0, 1], [0, 1, 0, 2]]
            .into_iter()
            .chain((0..30).map(step))
            .flatten()
            .collect();
        fs::write(corpus.join(name(&seed)), seed)?;
    }
    Ok(())
}

/// Every run of hex digits in a text, lines that end in a backslash joined.
fn pinned(text: &str) -> Vec<Vec<u8>> {
    let joined: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
    let joined = joined.concat();
    joined
        .split(|digit: char| !digit.is_ascii_hexdigit())
        .filter(|run| run.len() >= SHORTEST && run.len() % 2 == 0)
        .filter_map(|run| {
            let byte = |at: usize| u8::from_str_radix(run.get(at..at + 2)?, 16).ok();
            (0..run.len()).step_by(2).map(byte).collect()
        })
        .collect()
}

/// FNV-1a: the same seed has the same name.
fn name(seed: &[u8]) -> String {
    let hash = seed.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
