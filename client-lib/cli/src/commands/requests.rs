//! Who asks to be let in, and a contact point's word on it.

use plenary_client::{Capacity, Contact, Countersigned, PendingAdmission, ids::InvitationId};
use serde_json::{Value, json};

use super::people::capacity_word;
use crate::{
    args::{RequestsArgs, RequestsCommand},
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
    time,
};

pub(super) async fn run(context: &Context, args: &RequestsArgs) -> Result<(), Failure> {
    match &args.command {
        None => list(context).await,
        Some(RequestsCommand::Countersign { invitation }) => {
            countersign(context, *invitation).await
        }
    }
}

async fn list(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let open = context
        .within("the requests", session.client.admission_requests())
        .await?;
    for one in &open {
        context.out.emit(|| value(one), |line| lines(line, one))?;
    }
    context.out.note(if open.is_empty() {
        "Nobody waits."
    } else {
        "Compare each fingerprint by voice. Next:\n  \
         plenary requests countersign INVITATION        (a contact point)\n  \
         plenary board request admit INVITATION --out FILE\n\
         For who says to be a member already: plenary board request readmit"
    });
    session.finish().await
}

async fn countersign(context: &Context, invitation: InvitationId) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let work = session.client.countersign(invitation);
    context.within("the countersignature", work).await?;
    context.out.emit(
        || json!({ "countersigned": invitation.to_string() }),
        |line| {
            line.add(Style::Good, "Countersigned.")
                .plain(" The Board reads it with the request.")
        },
    )?;
    session.finish().await
}

fn value(one: &PendingAdmission) -> Value {
    let request = &one.request;
    let person = request.profile.member();
    json!({
        "invitation": one.invitation.to_string(),
        "fingerprint": one.fingerprint,
        "member": request.member.to_string(),
        "device": request.device.to_string(),
        "claims": one.claims,
        "name": person.map(|person| &person.name),
        "state": person.map(|person| &person.state),
        "languages": person.map(|person| &person.languages),
        "expertise": person.map(|person| &person.expertise),
        "capacity": capacity_word(Some(request.capacity)),
        "nominated_by": request.nominated_by,
        "reason": request.reason,
        "may_countersign": one.may_countersign,
        "countersigned": one.countersigned.iter().map(|by| json!({
            "member": by.member.to_string(),
            "name": by.name,
            "state": by.state,
            "why": why(by),
            "time": time::rfc3339(by.time),
        })).collect::<Vec<_>>(),
    })
}

fn why(by: &Countersigned) -> &'static str {
    match by.contact {
        Contact::SameState => "same-state",
        Contact::Named => "named",
    }
}

fn lines(mut line: Line, one: &PendingAdmission) -> Line {
    let request = &one.request;
    if let Some(person) = request.profile.member() {
        line = line
            .add(Style::Bold, &person.name)
            .plain(", ")
            .plain(&person.state);
    }
    line = match (&one.claims, request.capacity) {
        (Some(name), _) => line
            .plain(", says to be a member already, all devices lost: ")
            .add(Style::Bold, name),
        (None, Capacity::Member) => line.plain(", asks to be a member"),
        (None, Capacity::Expert) => line.plain(", asks to be an expert"),
        (None, Capacity::Observer) => line.plain(", asks to be an observer"),
    }
    .end();
    let said = |values: Option<&[String]>| values.unwrap_or_default().join(", ");
    let person = request.profile.member();
    let mut facts = vec![
        ("invitation", one.invitation.to_string()),
        ("fingerprint", one.fingerprint.clone()),
        ("languages", said(person.map(|person| &*person.languages))),
        ("expertise", said(person.map(|person| &*person.expertise))),
        ("nominated by", request.nominated_by.clone()),
        ("reason", request.reason.clone()),
    ];
    for by in &one.countersigned {
        let moment = time::local(by.time);
        facts.push((
            "countersigned",
            format!("{}, {}, {moment}", by.name, by.state),
        ));
    }
    if one.countersigned.is_empty() {
        let by_you = if one.may_countersign { ": you may" } else { "" };
        facts.push(("countersigned", format!("by nobody{by_you}")));
    }
    facts.retain(|(_, value)| !value.is_empty());
    for (index, (what, value)) in facts.iter().enumerate() {
        if index > 0 {
            line = line.end();
        }
        line = line.plain("  ").column(Style::Dim, what, 13).plain(value);
    }
    line
}
