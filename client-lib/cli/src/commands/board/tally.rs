//! Who has signed a request, and who is still to sign.

use plenary_client::{Need, RequestFile, Role, Seat, Tally, fingerprint};
use serde_json::{Value, json};

use crate::{
    exit::Failure,
    output::{Output, Style},
};

/// Prints it, statements that stand alike together.
pub(super) fn print(
    out: &Output,
    paper: &RequestFile,
    signatures: &[String],
) -> Result<(), Failure> {
    let tallies = paper.tally(signatures)?;
    let complete = tallies.iter().all(Tally::complete);
    out.emit(
        || {
            json!({
                "complete": complete,
                "statements": tallies.iter().map(|one| value(paper, one)).collect::<Vec<_>>(),
            })
        },
        |mut line| {
            for (which, words) in grouped(paper, &tallies) {
                line = line.add(Style::Bold, &which).end();
                for word in words {
                    line = line.plain("  ").plain(&word).end();
                }
            }
            match complete {
                true => line.add(Style::Good, "Enough have signed: submit it."),
                false => line.add(Style::Bad, "More must sign."),
            }
        },
    )
}

/// Refuses a submission that the ledger would refuse for lack of signatures.
pub(super) fn must_be_complete(paper: &RequestFile, signatures: &[String]) -> Result<(), Failure> {
    let tallies = paper.tally(signatures)?;
    // What cannot be told here, the server tells.
    let lacks = |tally: &Tally| tally.needs.is_some() && !tally.complete();
    if !tallies.iter().any(lacks) {
        return Ok(());
    }
    let mut told = "not enough of the Board have signed".to_owned();
    for (which, words) in grouped(paper, &tallies) {
        told.push_str(&format!("\n{which}"));
        words
            .iter()
            .for_each(|word| told.push_str(&format!("\n  {word}")));
    }
    Err(Failure::not_allowed(&told))
}

fn grouped(paper: &RequestFile, tallies: &[Tally]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for (number, tally) in (1..).zip(tallies) {
        let which = format!("{number}. {}", tally.kind);
        let words = words(paper, tally);
        match groups.last_mut() {
            Some((together, before)) if *before == words => {
                together.push_str(&format!(", {which}"));
            }
            _ => groups.push((which, words)),
        }
    }
    groups
}

fn words(paper: &RequestFile, tally: &Tally) -> Vec<String> {
    let Some(needs) = &tally.needs else {
        return vec!["Who must sign cannot be told: the file does not hold its ROOT.".to_owned()];
    };
    let mut lines: Vec<_> = needs
        .iter()
        .flat_map(|need| need_words(paper, need))
        .collect();
    for key in &tally.foreign {
        lines.push(format!(
            "has no say in this and is left out: key {}",
            fingerprint::of_key(key)
        ));
    }
    lines
}

fn need_words(paper: &RequestFile, need: &Need) -> Vec<String> {
    let of = match need.role {
        Role::Board(version) => format!("the Board of ROOT {version}"),
        Role::Recovery => "the recovery role".to_owned(),
    };
    let names = |seats: &[Seat]| {
        let names: Vec<_> = seats.iter().map(|seat| who(paper, seat)).collect();
        names.join("; ")
    };
    let mut lines = vec![format!(
        "{of}: {} of {} needed have signed",
        need.signed.len(),
        need.needed
    )];
    if !need.signed.is_empty() {
        lines.push(format!("signed: {}", names(&need.signed)));
    }
    match need.missing() {
        0 => {}
        missing => lines.push(format!("still {missing} of: {}", names(&need.open))),
    }
    lines
}

fn who(paper: &RequestFile, seat: &Seat) -> String {
    let keys: Vec<_> = seat.keys.iter().map(fingerprint::of_key).collect();
    let keys = keys.join(", ");
    match seat.member {
        Some(member) => match paper.name(member) {
            Some(name) => name,
            None => format!("member {member}, key {keys}"),
        },
        None => format!("key {keys}"),
    }
}

fn value(paper: &RequestFile, tally: &Tally) -> Value {
    let seat = |seat: &Seat| {
        json!({
            "member": seat.member.map(|member| member.to_string()),
            "name": seat.member.and_then(|member| paper.name(member)),
            "keys": seat.keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    let need = |need: &Need| {
        json!({
            "of": match need.role {
                Role::Board(version) => format!("root {version}"),
                Role::Recovery => "recovery".to_owned(),
            },
            "needed": need.needed,
            "missing": need.missing(),
            "signed": need.signed.iter().map(seat).collect::<Vec<_>>(),
            "open": need.open.iter().map(seat).collect::<Vec<_>>(),
        })
    };
    json!({
        "kind": tally.kind.to_string(),
        "complete": tally.complete(),
        "needs": tally.needs.as_ref().map(|needs| needs.iter().map(need).collect::<Vec<_>>()),
        "foreign": tally.foreign.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}
