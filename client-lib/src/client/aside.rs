//! The Board's ledger, held against what came by another way than the server.

use plenary_certs::{
    board::{self, NoFacts, SignatureFile, describe},
    ledger::{Heartbeat, SignedStatement},
};
use plenary_proto::ids::LedgerSeq;

use super::Client;
use crate::{
    engine::Aside,
    error::{Error, ErrorKind},
};

/// What a file told of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checked {
    /// A statement of a request, with the signatures given.
    Statement {
        /// What it says.
        words: String,
        /// How it stands to the ledger.
        aside: Aside,
    },
    /// A heartbeat that came by another way. What it says is in the status, or an alarm.
    Heartbeat,
}

impl Client {
    /// Holds a request with its signature files, or a heartbeat, against this client's ledger. What
    /// proves misuse is raised as an alarm and kept.
    ///
    /// Errors: [`ErrorKind::Input`] for other files.
    pub async fn check_ledger(
        &self,
        file: String,
        signatures: Vec<String>,
    ) -> Result<Vec<Checked>, Error> {
        if let Ok(signed) = Heartbeat::parse_text(&file) {
            self.driver
                .run(move |engine, now| engine.take_heartbeat(now, signed.into()))
                .await?;
            return Ok(vec![Checked::Heartbeat]);
        }
        let request = board::Request::parse(&file).map_err(input)?;
        let files: Vec<_> = signatures
            .iter()
            .map(|file| SignatureFile::parse(file))
            .collect::<Result<_, _>>()
            .map_err(input)?;
        let signed = board::combine(&request, &files).map_err(input)?;
        self.driver
            .run(move |engine, _| {
                let mut checked = Vec::new();
                for signed in &signed {
                    let words = SignedStatement::decode(signed)
                        .map(|(_, statement)| describe(&statement, &NoFacts).text())
                        .unwrap_or_default();
                    let aside = engine.check_aside(signed)?;
                    checked.push(Checked::Statement { words, aside });
                }
                Ok(checked)
            })
            .await
    }

    /// Somebody has made sure, by voice, that the Board which a recovery put in force is the right
    /// one. Where that recovery lies in the ledger; `None` if none waited.
    pub async fn confirm_recovery(&self) -> Result<Option<LedgerSeq>, Error> {
        self.driver
            .run(|engine, now| engine.confirm_recovery(now))
            .await
    }
}

fn input(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Input, error.to_string())
}
