//! Who reads what is sent to a channel: asked for, and said before a message goes out.

use plenary_client::{Audience, AudienceChange, ChannelInfo, Client, MemberInfo, Presence};
use serde_json::{Value, json};

use super::show::{channel_name, count};
use crate::{
    args::{AudienceArgs, ReaderArgs},
    ask::confirmed,
    exit::Failure,
    output::Style,
    session::{Context, Need},
};

/// So many names are said before a message; the command lists all.
const NAMES: usize = 12;

pub(super) async fn run(context: &Context, args: &AudienceArgs) -> Result<(), Failure> {
    let session = context.session(Need::Fresh).await?;
    let channel = session.client.channel(&args.channel).await?;
    let audience = session.client.audience(channel.id).await?;
    let change = session
        .client
        .audience_change(channel.id, &audience)
        .await?;
    context.out.emit(
        || value(&channel, &audience, &change),
        |mut line| {
            line = line.add(Style::Bold, &words(&channel, &audience));
            for member in &audience.members {
                line = line.end().plain("  ").plain(&person(member));
            }
            line.end().plain(&since(&audience, &change))
        },
    )?;
    session.finish().await
}

/// Says who will read it, before a channel's first message and whenever that changed since this
/// device's last one there; on a terminal whoever sits there is asked. `None`: not known yet.
pub(super) async fn before_sending(
    context: &Context,
    client: &Client,
    channel: &ChannelInfo,
    readers: &ReaderArgs,
) -> Result<Option<Audience>, Failure> {
    if channel.presence != Presence::In {
        if readers.audience.is_some() {
            return Err(Failure::not_allowed(format!(
                "not in {} yet, so who will read it is not known: nothing was sent",
                channel_name(channel)
            )));
        }
        return Ok(None);
    }
    let audience = client.audience(channel.id).await?;
    if let Some(wanted) = readers.audience {
        if wanted != audience.digest {
            return Err(Failure::not_allowed(format!(
                "the audience of {} is another one, {}: nothing was sent; see `plenary audience`",
                channel_name(channel),
                audience.digest
            )));
        }
        return Ok(Some(audience));
    }
    let change = client.audience_change(channel.id, &audience).await?;
    if change != AudienceChange::Same {
        context.out.note(&words(channel, &audience));
        context.out.note(&since(&audience, &change));
        if !readers.yes
            && confirmed(&context.out, "Type yes to send it to them: ").await? == Some(false)
        {
            return Err(Failure::not_allowed("nothing was sent"));
        }
    }
    Ok(Some(audience))
}

/// Something went out to this audience.
pub(super) async fn sent_to(
    client: &Client,
    channel: &ChannelInfo,
    audience: Option<&Audience>,
) -> Result<(), Failure> {
    if let Some(audience) = audience {
        client.audience_shown(channel.id, audience).await?;
    }
    Ok(())
}

/// Says it to whoever watches, changed or not.
pub(super) async fn tell(
    context: &Context,
    client: &Client,
    channel: &ChannelInfo,
) -> Result<(), Failure> {
    if context.out.is_watched() {
        let audience = client.audience(channel.id).await?;
        context.out.note(&words(channel, &audience));
    }
    Ok(())
}

fn words(channel: &ChannelInfo, audience: &Audience) -> String {
    let ceiling = channel
        .ceiling
        .map(|ceiling| format!("; up to {ceiling}"))
        .unwrap_or_default();
    format!(
        "{}: read by {} from {}, among them {} and {}{ceiling}.",
        channel_name(channel),
        count(audience.members.len(), "person", "persons"),
        count(audience.states, "State or body", "States and bodies"),
        count(audience.observers, "observer", "observers"),
        count(audience.experts, "expert", "experts"),
    )
}

fn since(audience: &Audience, change: &AudienceChange) -> String {
    let listed = |people: Vec<String>| match people.len() {
        0 => "nobody".to_owned(),
        more if more > NAMES => {
            let rest = more - NAMES;
            format!("{} and {rest} more", people[..NAMES].join("; "))
        }
        _ => people.join("; "),
    };
    match change {
        AudienceChange::Same => "The same as at this device's last message there.".to_owned(),
        AudienceChange::Changed { joined, left } => {
            let new = audience.members.iter();
            let new = new.filter(|member| joined.contains(&member.id));
            format!(
                "Since this device's last message there: new {}; gone {}.",
                listed(new.map(person).collect()),
                listed(left.iter().map(ToString::to_string).collect())
            )
        }
        _ => format!(
            "This device's first message there. They are: {}.",
            listed(audience.members.iter().map(person).collect())
        ),
    }
}

fn person(member: &MemberInfo) -> String {
    match &member.person {
        Some(person) => format!("{}, {}", person.name, person.state),
        None => member.id.to_string(),
    }
}

fn value(channel: &ChannelInfo, audience: &Audience, change: &AudienceChange) -> Value {
    let (word, joined, left) = match change {
        AudienceChange::Same => ("same", Vec::new(), Vec::new()),
        AudienceChange::Changed { joined, left } => ("changed", joined.clone(), left.clone()),
        _ => ("first", Vec::new(), Vec::new()),
    };
    let ids = |ids: &[plenary_client::ids::MemberId]| -> Vec<String> {
        ids.iter().map(ToString::to_string).collect()
    };
    json!({
        "channel": channel.id.to_string(),
        "digest": audience.digest.to_string(),
        "persons": audience.members.len(),
        "states": audience.states,
        "observers": audience.observers,
        "experts": audience.experts,
        "members": audience.members.iter().map(|member| json!({
            "member": member.id.to_string(),
            "name": member.person.as_ref().map(|person| &person.name),
            "state": member.person.as_ref().map(|person| &person.state),
        })).collect::<Vec<_>>(),
        "change": word,
        "joined": ids(&joined),
        "left": ids(&left),
    })
}
