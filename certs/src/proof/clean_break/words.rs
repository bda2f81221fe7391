//! In words.

use std::fmt;

use super::Proven;
use crate::{ledger::Subject, proof::two_logs::moment};

impl Proven {
    /// In words, a line each thing said; `name` gives the names that the reader knows.
    pub fn words(&self, name: &dyn Fn(Subject) -> Option<String>) -> Vec<String> {
        let said = &self.said;
        let named = |subject: Subject| match name(subject) {
            Some(name) => format!("{name:?} ({subject})"),
            None => subject.to_string(),
        };
        let channel = |id| named(Subject::Channel(id));
        let device = |id| named(Subject::Device(id));
        let mut lines = vec![
            format!(
                "Clean break with {} of network {}.",
                named(Subject::Member(said.member)),
                said.network
            ),
            format!(
                "Out since {} by statement {} ({}) of the Board's ledger, hash {}.",
                moment(said.since),
                said.statement.seq.0,
                self.kind,
                said.statement.hash
            ),
            format!(
                "Issued by {} at {}, with the ledger up to statement {}.",
                device(said.issuer),
                moment(said.issued),
                said.ledger.seq.0
            ),
        ];
        for gone in &said.gone {
            lines.push(format!(
                "In {}, {} could read up to record {} (epoch {}). Record {} removed it (epoch {}) at \
                 {}, by {}; log hash {}, {}.",
                channel(gone.channel),
                device(gone.device),
                gone.removal.seq.0.saturating_sub(1),
                gone.epoch.0,
                gone.removal.seq.0,
                gone.epoch.0.saturating_add(1),
                moment(gone.time),
                device(gone.by),
                gone.removal.hash,
                match gone.signed {
                    Some(_) => "signed by the server",
                    None => "by the issuer's word alone",
                }
            ));
        }
        for exposure in &said.exposure {
            lines.push(format!(
                "In {} it could read {} messages, files handed over: {}, in records {} to {}{}.",
                channel(exposure.channel),
                exposure.messages,
                exposure.items.len(),
                exposure.after.0.saturating_add(1),
                exposure.through.0,
                match exposure.whole {
                    true => "",
                    false => ", and whatever was there before the issuer came",
                }
            ));
            lines.extend(exposure.items.iter().map(|item| match &item.name {
                Some(name) => format!("  file {} {name:?}", item.sha256),
                None => format!("  file {}", item.sha256),
            }));
        }
        for (place, leaf) in &said.pending {
            lines.push(format!(
                "PENDING: {} is still in {}.",
                device(*leaf),
                channel(*place)
            ));
        }
        for place in &said.unexamined {
            lines.push(format!(
                "Not examined: {}. Those inside can.",
                channel(*place)
            ));
        }
        lines.push(match said.is_complete() {
            true => "Complete as far as examined.".to_owned(),
            false => "NOT complete.".to_owned(),
        });
        lines
    }
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words(&|_| None).join("\n"))
    }
}
