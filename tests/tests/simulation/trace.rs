//! What happened, line by line: the same seed gives the same lines.

use std::collections::VecDeque;

use plenary_proto::ids::UnixMillis;
use ring::digest::{Context, SHA256};

/// Lines that are kept where not all are.
const LAST: usize = 60;

/// Virtual time, actor, operation, outcome with its position. No key, no hash, no ciphertext.
pub struct Trace {
    start: UnixMillis,
    hash: Context,
    pub count: u64,
    /// All lines, or the last ones.
    pub lines: VecDeque<String>,
    all: bool,
}

impl Trace {
    pub fn new(start: UnixMillis, all: bool) -> Self {
        Self {
            start,
            hash: Context::new(&SHA256),
            count: 0,
            lines: VecDeque::new(),
            all,
        }
    }

    pub fn line(&mut self, now: UnixMillis, actor: &str, operation: &str, outcome: &str) {
        let time = now.0.saturating_sub(self.start.0);
        let line = format!("{time} {actor} {operation}: {outcome}");
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
        self.count += 1;
        if !self.all && self.lines.len() >= LAST {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// SHA-256 over all lines, in hexadecimal.
    pub fn digest(&self) -> String {
        let hash = self.hash.clone().finish();
        hash.as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
