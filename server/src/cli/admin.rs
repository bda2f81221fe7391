//! The commands that ask the running server.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, bail};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::{AdminArgs, AdminCommand};
use super::print;
use crate::admin::{
    Ask, Certificates, Line, Quotas, Reloaded, Scrubbed, Sessions, Status, Trimmed, Words,
    socket_path,
};
use crate::config::Config;

/// `admin …`
pub fn run(config: &Config, args: AdminArgs) -> anyhow::Result<()> {
    let desk = Desk {
        line: Line::connect(&socket_path(config))?,
        json: args.json,
    };
    match args.command {
        AdminCommand::Status => desk.show::<Status>(&Ask::Status),
        AdminCommand::Reload => desk.show::<Reloaded>(&Ask::Reload),
        AdminCommand::Certificates => desk.show::<Certificates>(&Ask::Certificates),
        AdminCommand::Quotas => desk.show::<Quotas>(&Ask::Quotas),
        AdminCommand::Sessions => desk.show::<Sessions>(&Ask::Sessions),
        AdminCommand::Drop { connection, device } => {
            let ask = Ask::Drop { connection, device };
            desk.tell(&ask, |ended: u64| format!("{ended} connections ended"))
        }
        AdminCommand::Trim => desk.show_long::<Trimmed>(&Ask::Trim).map(drop),
        AdminCommand::Scrub => {
            let found = desk.show_long::<Scrubbed>(&Ask::Scrub)?;
            match found.damaged.len() {
                0 => Ok(()),
                damaged => bail!("{damaged} damaged; see \"Restoring\" in the operator's guide"),
            }
        }
        AdminCommand::Hold { item } => {
            let ask = Ask::Hold { item, held: true };
            desk.tell(&ask, |()| "held until `release`".to_owned())
        }
        AdminCommand::Release { item } => {
            let ask = Ask::Hold { item, held: false };
            desk.tell(&ask, |()| "released".to_owned())
        }
        AdminCommand::Export { out } => {
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&out)
                .with_context(|| format!("cannot make {}", out.display()))?;
            desk.line.stream(&Ask::Store, &mut file)?;
            file.flush()?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            print(desk.json, &bytes, |bytes| {
                format!("{}: {bytes} bytes, not sealed", out.display())
            });
            Ok(())
        }
        AdminCommand::Stop { back_in } => {
            let ask = Ask::Stop { back_in };
            desk.tell(&ask, |()| "the server ends".to_owned())
        }
    }
}

struct Desk {
    line: Line,
    json: bool,
}

impl Desk {
    fn show<T: DeserializeOwned + Serialize + Words>(self, ask: &Ask) -> anyhow::Result<()> {
        let answer: T = self.line.ask(ask)?;
        print(self.json, &answer, Words::words);
        Ok(())
    }

    fn show_long<T: DeserializeOwned + Serialize + Words>(self, ask: &Ask) -> anyhow::Result<T> {
        let answer: T = self.line.ask_long(ask)?;
        print(self.json, &answer, Words::words);
        Ok(answer)
    }

    fn tell<T>(self, ask: &Ask, words: impl FnOnce(T) -> String) -> anyhow::Result<()>
    where
        T: DeserializeOwned + Serialize + Copy,
    {
        let answer: T = self.line.ask(ask)?;
        print(self.json, &answer, |answer| words(*answer));
        Ok(())
    }
}
