//! Sending and answering.

use std::io::IsTerminal;

use plenary_client::{
    ChannelInfo, Client, Label, Message, Outgoing,
    content::{Draft, ThreadId},
    ids::{ChannelId, Seq},
};
use serde_json::json;

use super::show::{channel_name, short};
use crate::{
    args::{MarkArgs, ReplyArgs, SendArgs},
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need, Session},
};

/// Bytes of a text taken from standard input; what a message holds is less.
const MOST: u64 = 1 << 20;

/// Messages read at a time.
const PAGE: u32 = 256;

/// Digits of a message id that tell nothing apart: the hash function's number.
const HASH_NUMBER: usize = 2;

pub(super) async fn send(context: &Context, args: SendArgs) -> Result<(), Failure> {
    let text = text(context, args.text)?;
    let session = open(context, &args.marks).await?;
    let channel = session.client.channel(&args.channel).await?;
    let mut draft = match (args.markdown, args.notice) {
        (true, _) => Draft::markdown(text),
        (_, true) => Draft::notice(text),
        _ => Draft::text(text),
    };
    if let Some(title) = args.thread {
        draft = in_thread(draft, channel.id, title);
    }
    dispatch(context, session, &channel, draft, &args.marks).await
}

pub(super) async fn reply(context: &Context, args: ReplyArgs) -> Result<(), Failure> {
    let text = text(context, args.text)?;
    let session = open(context, &args.marks).await?;
    let channel = session.client.channel(&args.channel).await?;
    let answered = find(&session.client, channel.id, &args.message).await?;
    let mut draft = Draft::text(text).reply_to(answered.message_id);
    if let Some(thread) = answered.thread() {
        draft = draft.thread(thread);
    }
    dispatch(context, session, &channel, draft, &args.marks).await
}

/// The draft in the thread of this title.
pub(super) fn in_thread(draft: Draft, channel: ChannelId, title: String) -> Draft {
    draft
        .thread(ThreadId::of_title(channel, &title))
        .title(title)
}

/// The draft under a label, if the channel may discuss that.
pub(super) fn labelled(
    draft: Draft,
    channel: &ChannelInfo,
    label: Option<Label>,
) -> Result<Draft, Failure> {
    match (label, channel.ceiling) {
        (Some(label), Some(ceiling)) if label > ceiling => Err(Failure::not_allowed(format!(
            "{label} may not be discussed in {}: it goes up to {ceiling}",
            channel_name(channel)
        ))),
        (Some(label), _) => Ok(draft.label(label)),
        (None, _) => Ok(draft),
    }
}

/// Says who will read what is sent, to whoever watches.
pub(super) async fn audience(
    context: &Context,
    client: &Client,
    channel: &ChannelInfo,
) -> Result<(), Failure> {
    if !context.out.is_watched() {
        return Ok(());
    }
    let audience = client.audience(channel.id).await?;
    let ceiling = channel
        .ceiling
        .map(|ceiling| format!("; up to {ceiling}"))
        .unwrap_or_default();
    context.out.note(&format!(
        "{}: read by {} from {}, among them {} and {}{ceiling}.",
        channel_name(channel),
        count(audience.members.len(), "person", "persons"),
        count(audience.states, "State or body", "States and bodies"),
        count(audience.observers, "observer", "observers"),
        count(audience.experts, "expert", "experts"),
    ));
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

async fn open(context: &Context, marks: &MarkArgs) -> Result<Session, Failure> {
    // Without the server the message waits in the outbox: being online is not asked for.
    let need = if marks.no_wait {
        Need::Stored
    } else {
        Need::Fresh
    };
    let mut session = context.session(need).await?;
    // What matters is whether the message is delivered; that is reported by itself.
    session.stale = None;
    Ok(session)
}

async fn dispatch(
    context: &Context,
    session: Session,
    channel: &ChannelInfo,
    draft: Draft,
    marks: &MarkArgs,
) -> Result<(), Failure> {
    let draft = labelled(draft, channel, marks.label)?;
    audience(context, &session.client, channel).await?;
    let outgoing = session.client.send(channel.id, draft).await?;
    let stay = marks.no_wait || context.global.offline;
    let seq = if stay {
        None
    } else {
        Some(delivered(context, &outgoing).await?)
    };
    let id = outgoing.id().to_string();
    context.out.emit(
        || {
            json!({
                "id": id,
                "channel": channel.id.to_string(),
                "state": if seq.is_some() { "delivered" } else { "queued" },
                "seq": seq.map(|seq| seq.0),
            })
        },
        |line| match seq {
            Some(seq) => line
                .add(Style::Good, "delivered")
                .plain(&format!(" #{}", seq.0)),
            None => line.plain("queued"),
        },
    )?;
    session.finish().await
}

/// Waits until a message is in the log, for as long as the user is patient.
pub(super) async fn delivered(context: &Context, outgoing: &Outgoing) -> Result<Seq, Failure> {
    let done = context.within("delivery", outgoing.delivered()).await;
    done.map_err(|failure| match failure.exit {
        6 => failure.hint("the message is queued and goes out with the next connection"),
        _ => failure,
    })
}

/// The text given, or standard input without one line end at its end.
fn text(context: &Context, given: Option<String>) -> Result<String, Failure> {
    match given {
        Some(text) if text != "-" => Ok(text),
        _ => {
            let stdin = std::io::stdin();
            if stdin.is_terminal() {
                context.out.note("Type the message; end with Ctrl-D.");
            }
            let mut text = paths::read_from(stdin.lock(), "the text", MOST)?;
            if text.ends_with('\n') {
                text.pop();
                if text.ends_with('\r') {
                    text.pop();
                }
            }
            Ok(text)
        }
    }
}

/// A message by its number in the channel, or by the beginning of its id.
async fn find(client: &Client, channel: ChannelId, which: &str) -> Result<Message, Failure> {
    let digits = which.strip_prefix('#').unwrap_or(which);
    // Ids are asked for with eight digits at least; numbers have fewer for a long time to come.
    if digits.len() < 8
        && let Ok(number) = digits.parse::<u64>()
    {
        let after = Seq(number.saturating_sub(1));
        let next = client.messages(channel, after, 1).await?;
        let found = next.into_iter().find(|one| one.seq.0 == number);
        return found.ok_or_else(|| {
            Failure::not_found(format!("no message has number {number} in this channel"))
        });
    }
    if digits.len() < 8 {
        return Err(Failure::usage(
            "give the message's number in the channel, or at least 8 digits of its id",
        ));
    }
    let mut fits = Vec::new();
    let mut after = Seq(0);
    loop {
        let page = client.messages(channel, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        fits.extend(page.into_iter().filter(|one| {
            let id = one.message_id.to_string();
            id.starts_with(digits) || id[HASH_NUMBER..].starts_with(digits)
        }));
    }
    match fits.len() {
        1 => Ok(fits.remove(0)),
        0 => Err(Failure::not_found(format!(
            "no message in this channel has an id that begins with {digits}"
        ))),
        _ => Err(Failure::usage(format!(
            "several messages fit: {}",
            fits.iter()
                .map(|one| format!("#{} ({})", one.seq.0, short(&one.member)))
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}
