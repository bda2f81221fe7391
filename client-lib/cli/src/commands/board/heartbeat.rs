//! The heartbeat's machine.

use std::{path::Path, time::Duration};

use plenary_client::{Beat, Client, Error, ErrorKind, HeartbeatKeyFile, HeartbeatMachine, Note};
use serde_json::json;
use tokio::time::Instant;

use super::public_file;
use crate::{
    args::HeartbeatArgs,
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need},
    time,
};

/// Between looks at the drop folder and the ledger: what the Board hands over is submitted soon.
const LOOK: Duration = Duration::from_secs(60);

/// The same alarm is said again after this.
const AGAIN: Duration = Duration::from_secs(3600);

pub(super) fn keygen(context: &Context, out: &Path) -> Result<(), Failure> {
    let public_file = public_file(out);
    paths::must_be_new(out)?;
    paths::must_be_new(&public_file)?;
    let passphrase = context.new_board_passphrase()?;
    let (file, key) = HeartbeatKeyFile::generate(&passphrase)?;
    let line = paths::heartbeat_line(&key);
    paths::write_new(out, &file, true)?;
    paths::write_new(&public_file, &format!("{line}\n"), false)?;
    context.out.emit(
        || {
            json!({
                "key": out.display().to_string(),
                "public": public_file.display().to_string(),
                "member": null,
                "public_key": key.to_string(),
            })
        },
        |text| text.plain(&line),
    )?;
    context.out.note(&format!(
        "It counts once ROOT names it: hand over {}.\nKeep one copy, on the machine that vouches.",
        public_file.display()
    ));
    Ok(())
}

pub(super) async fn run(context: &Context, args: &HeartbeatArgs) -> Result<(), Failure> {
    let file = paths::read(&args.key)?;
    HeartbeatKeyFile::peek(&file)?;
    let what = format!("the heartbeat key {}", args.key.display());
    let passphrase = context.key_passphrase(args.key_passphrase_file.as_deref(), &what)?;
    // Who goes on for ever does not end because the server is away just now.
    let need = match args.every {
        Some(_) => Need::Fresh,
        None => Need::Online,
    };
    let session = context.session(need).await?;
    let (client, drop_folder) = (&session.client, args.drop_folder.clone());
    let machine =
        HeartbeatMachine::open(client, &args.folder, drop_folder, &file, &passphrase).await?;
    let mut vouching = Vouching {
        context,
        client,
        machine,
        alarmed: None,
    };
    let done = match args.every {
        Some(every) => vouching.go_on(every).await,
        None => vouching.once().await,
    };
    client.clone().close().await;
    done
}

struct Vouching<'a> {
    context: &'a Context,
    client: &'a Client,
    machine: HeartbeatMachine,
    /// What was said last, and when.
    alarmed: Option<(String, Instant)>,
}

impl Vouching<'_> {
    async fn once(&mut self) -> Result<(), Failure> {
        self.look().await?;
        match self.machine.beat(self.client).await? {
            Beat::Signed { seq, time } => self.signed(seq.0, time),
            Beat::Refused(why) => {
                self.alarm(&why);
                Err(Failure::trust("nothing was vouched for: see the alarm"))
            }
            other => Err(Failure::trust(format!("not vouched for: {other:?}"))),
        }
    }

    async fn go_on(&mut self, every: Duration) -> Result<(), Failure> {
        let mut due = Instant::now();
        loop {
            match self.round(due).await {
                Ok(true) => due = Instant::now() + sooner(every),
                Ok(false) => {}
                Err(error) => match error.kind() {
                    ErrorKind::Trust | ErrorKind::Integrity => self.alarm(&error.to_string()),
                    ErrorKind::Closed | ErrorKind::Store | ErrorKind::Io => {
                        return Err(error.into());
                    }
                    _ => self.remark(&format!("{error}; it goes on")),
                },
            }
            tokio::time::sleep(every.min(LOOK)).await;
        }
    }

    /// Looks, and vouches if it is time; whether it did.
    async fn round(&mut self, due: Instant) -> Result<bool, Error> {
        self.look().await?;
        if Instant::now() < due {
            return Ok(false);
        }
        match self.machine.beat(self.client).await? {
            Beat::Signed { seq, time } => {
                // Whoever reads it may be gone; the machine goes on.
                let _ = self.signed(seq.0, time);
                self.alarmed = None;
                Ok(true)
            }
            Beat::Refused(why) => {
                self.alarm(&why);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    async fn look(&mut self) -> Result<(), Error> {
        self.client.caught_up(self.context.patience()).await?;
        for note in self.machine.look(self.client).await? {
            match note {
                Note::Taken { words, .. } => self.remark(&format!("From the Board: {words}")),
                Note::PassedOver { file, why } => self.remark(&format!("{file}: {why}")),
                Note::Overtaken { words, why } => self.remark(&format!(
                    "Too late for the ledger, {why}. The Board signs it again if it still wants \
                     it:\n{words}"
                )),
                Note::Misuse { words, proof } => {
                    let proof = proof.display();
                    let said = words.join("\n");
                    self.context.out.alarm(
                        None,
                        "misuse",
                        &format!("two different statements in one place; proof in {proof}: {said}"),
                    );
                }
                Note::Withheld { words, answer, .. } => {
                    let answer = answer.map(|answer| format!(" The server said: {answer}"));
                    self.alarm(&format!(
                        "the server's ledger lacks: {words}.{}",
                        answer.unwrap_or_default()
                    ));
                }
                other => self.remark(&format!("{other:?}")),
            }
        }
        Ok(())
    }

    fn signed(&self, seq: u64, time: plenary_client::ids::UnixMillis) -> Result<(), Failure> {
        self.context.out.emit(
            || json!({ "vouched": seq, "time": time::rfc3339(time) }),
            |line| {
                line.add(Style::Good, "Vouched")
                    .plain(&format!(" for {seq} statements, {}.", time::local(time)))
            },
        )
    }

    /// Loud, but not every minute for the same.
    fn alarm(&mut self, what: &str) {
        let known = self.alarmed.as_ref();
        if known.is_some_and(|(said, at)| said == what && at.elapsed() < AGAIN) {
            return;
        }
        self.context.out.alarm(None, "ledger_withheld", what);
        self.alarmed = Some((what.to_owned(), Instant::now()));
    }

    fn remark(&self, what: &str) {
        self.context.out.news("heartbeat", &what.into(), what);
    }
}

/// A tenth sooner at most, by chance: no two machines keep step.
fn sooner(every: Duration) -> Duration {
    let nanos = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default()
        .subsec_nanos();
    every - every / 10 * (nanos % 1_000) / 1_000
}
