//! Members, invitations, and who asks to be let in.

use plenary_client::{Capacity, MemberInfo, PendingAdmission, Standing};
use serde_json::{Value, json};

use super::show::{short, standing_word};
use crate::{
    args::MembersArgs,
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
};

pub(super) async fn invite(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let text = context
        .within("the invitation", session.client.invite())
        .await?;
    context
        .out
        .emit(|| json!({ "invitation": text }), |line| line.plain(&text))?;
    context.out.note(
        "Hand it over by a safe way: whoever has it may ask to be admitted. Valid 72 hours, once.\n\
         Next: they run `plenary join`; then plenary requests",
    );
    session.finish().await
}

pub(super) async fn requests(context: &Context) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let open = context
        .within("the requests", session.client.admission_requests())
        .await?;
    for one in &open {
        context
            .out
            .emit(|| request_json(one), |line| request_lines(line, one))?;
    }
    context.out.note(if open.is_empty() {
        "Nobody waits."
    } else {
        "Compare each fingerprint by voice. Next:\n  \
         plenary board request admit INVITATION --out FILE\n\
         For who says to be a member already: plenary board request readmit"
    });
    session.finish().await
}

fn request_json(one: &PendingAdmission) -> Value {
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
    })
}

fn request_lines(mut line: Line, one: &PendingAdmission) -> Line {
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
    let facts = [
        ("invitation", one.invitation.to_string()),
        ("fingerprint", one.fingerprint.clone()),
        ("nominated by", request.nominated_by.clone()),
        ("reason", request.reason.clone()),
    ];
    let mut facts = facts.into_iter().filter(|(_, value)| !value.is_empty());
    let first = facts.next().into_iter();
    for (index, (what, value)) in first.chain(facts).enumerate() {
        if index > 0 {
            line = line.end();
        }
        line = line.plain("  ").column(Style::Dim, what, 12).plain(&value);
    }
    line
}

pub(super) async fn members(context: &Context, args: &MembersArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let mut members = match &args.channel {
        None => session.client.members().await?,
        Some(name) => {
            let channel = session.client.channel(name).await?.id;
            session.client.audience(channel).await?.members
        }
    };
    members.retain(|member| args.all || member.standing == Standing::Live);
    members.sort_by(|a, b| {
        let key = |member: &MemberInfo| {
            let person = member.person.as_ref();
            person.map(|person| (person.state.clone(), person.name.clone()))
        };
        (key(a), a.id).cmp(&(key(b), b.id))
    });
    let own = session.client.member();
    let width = |field: fn(&MemberInfo) -> String| {
        let widths = members.iter().map(|member| field(member).chars().count());
        widths.max().unwrap_or(0).min(40)
    };
    let (names, states) = (width(name), width(state));
    for member in &members {
        context.out.emit(
            || member_json(member, member.id == own),
            |line| {
                let marks = [
                    (member.standing != Standing::Live).then(|| member.standing.to_string()),
                    (member.capacity != Some(Capacity::Member))
                        .then(|| capacity_word(member.capacity).to_owned()),
                    member.board.then(|| "Board".to_owned()),
                    (member.id == own).then(|| "you".to_owned()),
                ];
                let marks: Vec<_> = marks.into_iter().flatten().collect();
                line.add(Style::Dim, &short(&member.id))
                    .plain("  ")
                    .column(Style::Bold, &name(member), names)
                    .column(Style::Plain, &state(member), states)
                    .plain(&marks.join(", "))
            },
        )?;
    }
    session.finish().await
}

fn name(member: &MemberInfo) -> String {
    match &member.person {
        Some(person) => person.name.clone(),
        None => "(name not known here)".to_owned(),
    }
}

fn state(member: &MemberInfo) -> String {
    let person = member.person.as_ref();
    person.map_or_else(String::new, |person| person.state.clone())
}

fn member_json(member: &MemberInfo, own: bool) -> Value {
    let person = member.person.as_ref();
    let devices: Vec<_> = member
        .devices
        .iter()
        .map(|(device, standing)| {
            json!({ "device": device.to_string(), "standing": standing_word(*standing) })
        })
        .collect();
    json!({
        "member": member.id.to_string(),
        "name": person.map(|person| &person.name),
        "state": person.map(|person| &person.state),
        "languages": person.map(|person| &person.languages),
        "expertise": person.map(|person| &person.expertise),
        "capacity": capacity_word(member.capacity),
        "standing": standing_word(member.standing),
        "board": member.board,
        "self": own,
        "devices": devices,
    })
}

fn capacity_word(capacity: Option<Capacity>) -> &'static str {
    match capacity {
        Some(Capacity::Member) => "member",
        Some(Capacity::Expert) => "expert",
        Some(Capacity::Observer) => "observer",
        None => "none",
    }
}
