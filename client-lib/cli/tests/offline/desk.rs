//! Runs the real binary in a folder of its own.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a passphrase file, and the binary run in it.
pub struct Desk {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Desk {
    pub fn new() -> Self {
        let desk = Self {
            folder: TempDir::new().unwrap(),
        };
        desk.write("pass", "correct horse\n", 0o600);
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str, mode: u32) {
        use std::os::unix::fs::PermissionsExt;

        std::fs::write(self.path(name), text).unwrap();
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(self.path(name), mode).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Runs `plenary` with these words, parted by spaces, and the passphrase in `pass`.
    pub fn run(&self, words: &str) -> Ran {
        let words = format!("--passphrase-file pass {words}");
        self.bare(&words, "")
    }

    /// Runs `plenary` with these words and this standard input.
    pub fn bare(&self, words: &str, input: &str) -> Ran {
        let mut child = command(self.folder.path())
            .args(words.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plenary"));
    // In a session of its own there is no terminal to ask on, wherever the tests run.
    command
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("TZ", "UTC");
    command
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// It must have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// It must have failed so, in words that hold this.
    #[track_caller]
    pub fn fails(self, code: i32, with: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(with), "{self:?} lacks {with:?}");
        assert_eq!(self.out, "");
        self
    }

    /// The one line of JSON printed.
    #[track_caller]
    pub fn json(&self) -> Value {
        let mut lines = self.out.lines();
        let value = serde_json::from_str(lines.next().unwrap()).unwrap();
        assert_eq!(lines.next(), None);
        value
    }

    /// The error, as JSON: its code.
    #[track_caller]
    pub fn error_code(&self) -> String {
        let value: Value = serde_json::from_str(self.err.trim()).unwrap();
        let error = &value["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        error["code"].as_str().unwrap().to_owned()
    }
}
