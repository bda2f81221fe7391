//! Sending and answering.

use std::{io::IsTerminal, time::Duration};

use plenary_client::{
    ChannelInfo, Client, Label, Outgoing,
    content::{Draft, ThreadId},
    ids::{ChannelId, Seq},
};
use serde_json::json;

use super::{
    audience::{before_sending, sent_to},
    find::find,
};
use crate::{
    args::{MarkArgs, ReplyArgs, SendArgs},
    exit::Failure,
    output::Style,
    paths,
    session::{Context, Need, Session},
};

/// Bytes of a text taken from standard input. It is held in memory; more is a file.
const MOST: u64 = 16 << 20;

/// How often to look whether a message is held back.
const LOOK: Duration = Duration::from_millis(300);

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
    let draft = answer(&session.client, channel.id, &args.message, text).await?;
    dispatch(context, session, &channel, draft, &args.marks).await
}

/// An answer to a message, in its thread.
pub(super) async fn answer(
    client: &Client,
    channel: ChannelId,
    which: &str,
    text: String,
) -> Result<Draft, Failure> {
    let answered = find(client, channel, which).await?;
    let draft = Draft::text(text).reply_to(answered.message_id);
    Ok(match answered.thread() {
        Some(thread) => draft.thread(thread),
        None => draft,
    })
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
    allowed(channel, label)?;
    Ok(match label {
        Some(label) => draft.label(label),
        None => draft,
    })
}

/// Refuses what a channel may not discuss, before anybody is asked about readers.
pub(super) fn allowed(channel: &ChannelInfo, label: Option<Label>) -> Result<(), Failure> {
    Ok(label.map_or(Ok(()), |label| channel.may_carry(label))?)
}

async fn open(context: &Context, marks: &MarkArgs) -> Result<Session, Failure> {
    // Without the server the message waits in the outbox: being online is not asked for.
    let need = if marks.no_wait {
        Need::Stored
    } else {
        Need::Fresh
    };
    let mut session = context.session(need).await?;
    match session.stale.take() {
        // It may come back in time; whether the message is delivered is reported by itself.
        None | Some(Failure { exit: 6, .. }) => Ok(session),
        Some(failure) => Err(failure),
    }
}

async fn dispatch(
    context: &Context,
    session: Session,
    channel: &ChannelInfo,
    draft: Draft,
    marks: &MarkArgs,
) -> Result<(), Failure> {
    let draft = labelled(draft, channel, marks.label)?;
    let readers = before_sending(context, &session.client, channel, &marks.audience).await?;
    let outgoing = put(context, &session.client, channel.id, draft).await?;
    sent_to(&session.client, channel, readers.as_ref()).await?;
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

/// Puts a message into the outbox. A long text goes as an item by itself, which needs the server.
pub(super) async fn put(
    context: &Context,
    client: &Client,
    channel: ChannelId,
    draft: Draft,
) -> Result<Outgoing, Failure> {
    let done = context.within("sending", client.send(channel, draft)).await;
    done.map_err(|failure| match failure.exit {
        6 => failure.hint("a text this long is not queued: it goes as a file, online"),
        _ => failure,
    })
}

/// Waits until a message is in the log, for as long as the user is patient.
pub(super) async fn delivered(context: &Context, outgoing: &Outgoing) -> Result<Seq, Failure> {
    let delivery = async {
        tokio::select! {
            delivered = outgoing.delivered() => delivered.map_err(Failure::from),
            held = held(outgoing) => Err(Failure::offline(format!("queued, not sent: {}", held?))),
        }
    };
    let done = context.within("delivery", delivery).await;
    done.map_err(|failure| match failure.exit {
        6 => failure.hint("the message is queued and goes out with the next connection"),
        _ => failure,
    })
}

/// Waits until the message is held back, and says why.
async fn held(outgoing: &Outgoing) -> Result<String, Failure> {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Some(reason) = outgoing.held().await? {
            return Ok(reason);
        }
    }
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
