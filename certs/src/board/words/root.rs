//! A Board in words, and what is new in it.

use std::collections::BTreeSet;

use plenary_proto::ids::PublicKey;

use super::{Facts, called};
use crate::{
    fingerprint,
    ledger::{Kind, Person, Recovery, Root, Statement, Subject},
};

/// Headline and details of a statement that would put `next` in force.
pub(super) fn root(statement: &Statement, next: &Root, facts: &dyn Facts) -> (String, Vec<String>) {
    let before = facts.root(statement.root_version);
    let people = next.people();
    let version = statement.root_version.saturating_add(1);
    let mut headline = format!(
        "Put the Board of ROOT {version} in force: {people} {}",
        if people == 1 { "person" } else { "people" }
    );
    if let Some(before) = &before {
        headline.push_str(&difference(before, next, facts));
    }
    headline.push('.');
    let mut details = lines(next, before.as_ref(), facts);
    if before.is_none() && version > 1 {
        details.insert(
            0,
            format!(
                "ROOT {} is not enclosed: compare with your own list.",
                version - 1
            ),
        );
    }
    (headline, details)
}

fn difference(before: &Root, next: &Root, facts: &dyn Facts) -> String {
    let members =
        |root: &Root| -> BTreeSet<_> { root.board.iter().map(|person| person.member).collect() };
    let keys =
        |root: &Root| -> BTreeSet<_> { root.board.iter().map(|person| person.key).collect() };
    let (old, new) = (members(before), members(next));
    let called = |member| called(facts, Subject::Member(member));
    let mut said: Vec<String> = Vec::new();
    said.extend(
        new.difference(&old)
            .map(|one| format!("{} is new", called(*one))),
    );
    said.extend(
        old.difference(&new)
            .map(|one| format!("{} is out", called(*one))),
    );
    let (old_keys, new_keys) = (keys(before), keys(next));
    for member in old.intersection(&new) {
        let of = |root: &Root, keys: &BTreeSet<PublicKey>| {
            let mut own = root.board.iter().filter(|person| person.member == *member);
            own.any(|person| !keys.contains(&person.key))
        };
        if of(before, &new_keys) || of(next, &old_keys) {
            said.push(format!("{} has another key", called(*member)));
        }
    }
    if before.thresholds != next.thresholds {
        said.push("other thresholds".to_owned());
    }
    if before.heartbeat != next.heartbeat {
        said.push("other heartbeat keys".to_owned());
    }
    if before.recovery != next.recovery {
        said.push("another recovery role".to_owned());
    }
    if said.is_empty() {
        return ", all as before".to_owned();
    }
    format!("; {}", said.join("; "))
}

fn lines(next: &Root, before: Option<&Root>, facts: &dyn Facts) -> Vec<String> {
    let person = |mark: &str, person: &Person| {
        format!(
            "{mark} {}, key {}",
            called(facts, Subject::Member(person.member)),
            fingerprint::of_key(&person.key)
        )
    };
    let has = |root: Option<&Root>, one: &Person| root.is_some_and(|root| root.board.contains(one));
    let mut lines: Vec<_> = next
        .board
        .iter()
        .map(|one| match before {
            Some(_) if !has(before, one) => person("+", one),
            _ => person("-", one),
        })
        .collect();
    let gone = before.map_or(&[][..], |before| &before.board);
    lines.extend(
        gone.iter()
            .filter(|one| !next.board.contains(one))
            .map(|one| person("no longer:", one)),
    );
    let thresholds: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| *kind != Kind::Recover)
        .map(|kind| {
            let needed = next.thresholds.of(kind);
            match before.map(|before| before.thresholds.of(kind)) {
                Some(was) if was != needed => format!("{kind} {needed} (before: {was})"),
                _ => format!("{kind} {needed}"),
            }
        })
        .collect();
    lines.push(format!("People that must sign: {}.", thresholds.join(", ")));
    keys(
        &mut lines,
        "heartbeat key",
        &next.heartbeat,
        before.map(|before| before.heartbeat.as_slice()),
    );
    let Recovery {
        keys: recovery,
        threshold,
    } = &next.recovery;
    match threshold {
        0 => lines.push("No recovery role.".to_owned()),
        threshold => lines.push(format!("Recovery by {threshold} of:")),
    }
    keys(
        &mut lines,
        "recovery key",
        recovery,
        before.map(|before| before.recovery.keys.as_slice()),
    );
    lines
}

fn keys(lines: &mut Vec<String>, what: &str, next: &[PublicKey], before: Option<&[PublicKey]>) {
    for key in next {
        let new = before.is_some_and(|before| !before.contains(key));
        let mark = if new { "+" } else { "-" };
        lines.push(format!("{mark} {what} {}", fingerprint::of_key(key)));
    }
    for key in before.unwrap_or_default() {
        if !next.contains(key) {
            lines.push(format!("no longer: {what} {}", fingerprint::of_key(key)));
        }
    }
}
