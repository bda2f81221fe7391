//! What was done when, across restarts: the last backup, the last scrub.
//!
//! A small file of the data folder. Nothing depends on it but reminders and schedules, so one that
//! cannot be read is as none.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use plenary_proto::ids::UnixMillis;
use serde::{Deserialize, Serialize};

const FILE: &str = "operations.json";

/// The file.
#[derive(Debug, Clone)]
pub struct Operations {
    path: PathBuf,
}

/// What it says: milliseconds since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The last backup that became whole.
    #[serde(default)]
    pub backup: Option<u64>,
    /// The last time that everything was read back to its end.
    #[serde(default)]
    pub scrub: Option<u64>,
    /// Damage that it found.
    #[serde(default)]
    pub scrub_damaged: u64,
}

impl Operations {
    /// Of a data folder.
    pub fn open(data: &Path) -> Self {
        Self {
            path: data.join(FILE),
        }
    }

    /// What was done.
    pub fn read(&self) -> Done {
        fs::read(&self.path)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default()
    }

    /// A backup became whole.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_backup(&self, now: UnixMillis) -> anyhow::Result<()> {
        self.change(|done| done.backup = Some(now.0))
    }

    /// Everything was read back.
    ///
    /// # Errors
    /// The disk's.
    pub fn note_scrub(&self, now: UnixMillis, damaged: u64) -> anyhow::Result<()> {
        self.change(|done| {
            done.scrub = Some(now.0);
            done.scrub_damaged = damaged;
        })
    }

    fn change(&self, change: impl FnOnce(&mut Done)) -> anyhow::Result<()> {
        let mut done = self.read();
        change(&mut done);
        let beside = self.path.with_extension("part");
        fs::write(&beside, serde_json::to_string(&done)? + "\n")
            .and_then(|()| fs::rename(&beside, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }
}
