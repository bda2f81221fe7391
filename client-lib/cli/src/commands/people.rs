//! Members and invitations.

use plenary_client::{Capacity, Kind, MemberInfo, Standing, ids::UnixMillis};
use serde_json::{Value, json};

use super::{
    ledger,
    show::{short, standing_word},
};
use crate::{
    args::{InviteArgs, MembersArgs},
    exit::Failure,
    output::Style,
    session::{Context, Need},
    time,
};

/// How long before a date members are reminded of it.
const SOON_MS: u64 = 30 * 24 * 3600 * 1000;

pub(super) async fn invite(context: &Context, args: &InviteArgs) -> Result<(), Failure> {
    let session = context.session(Need::Online).await?;
    let contact = match &args.contact {
        Some(name) => session.client.find_member(name).await?.id,
        None => session.client.member(),
    };
    let text = context
        .within("the invitation", session.client.invite_for(contact))
        .await?;
    context
        .out
        .emit(|| json!({ "invitation": text }), |line| line.plain(&text))?;
    context.out.note(
        "Hand it over by a safe way: whoever has it may ask to be admitted. Valid 72 hours, once.\n\
         Next: they run `plenary join`; then plenary requests, plenary requests countersign",
    );
    session.finish().await
}

pub(super) async fn members(context: &Context, args: &MembersArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    if args.new {
        let read = session.client.notices_read().await?;
        let mut notices = ledger::all_after(&session.client, read).await?;
        notices.retain(|notice| notice.kind == Kind::Admit && notice.first);
        ledger::print(context, &notices, false)?;
        return session.finish().await;
    }
    let mut members = match &args.channel {
        None => session.client.members().await?,
        Some(name) => {
            let channel = session.client.channel(name).await?.id;
            session.client.audience(channel).await?.members
        }
    };
    members.retain(|member| args.all || member.standing == Standing::Live);
    let now = time::now();
    members.retain(|member| !args.due || due(member, now).is_some());
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
                    member
                        .ends
                        .map(|end| format!("until {}", time::local_day(end))),
                    due(member, now),
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

/// What is to be done about a member soon. Only the end of an admission comes by itself.
fn due(member: &MemberInfo, now: UnixMillis) -> Option<String> {
    let soon = now.plus(SOON_MS);
    let looked_at = member.revalidate_by.filter(|by| *by <= soon);
    match (looked_at, member.ends.filter(|end| *end <= soon)) {
        (Some(by), _) if by <= now => {
            Some(format!("to be revalidated since {}", time::local_day(by)))
        }
        (Some(by), _) => Some(format!("to be revalidated by {}", time::local_day(by))),
        (None, Some(_)) => Some("to be renewed".to_owned()),
        (None, None) => None,
    }
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
        "ends": member.ends.map(time::rfc3339),
        "revalidate_by": member.revalidate_by.map(time::rfc3339),
        "self": own,
        "devices": devices,
    })
}

pub(super) fn capacity_word(capacity: Option<Capacity>) -> &'static str {
    match capacity {
        Some(Capacity::Member) => "member",
        Some(Capacity::Expert) => "expert",
        Some(Capacity::Observer) => "observer",
        None => "none",
    }
}
