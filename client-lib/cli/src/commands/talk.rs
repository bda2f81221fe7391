//! Discussing in one channel: what comes is shown, every line typed is sent.

use std::io::BufRead;

use plenary_client::{Event, Outgoing, Presence, content::Draft};
use tokio::sync::mpsc;

use super::{
    send::{allowed, audience, delivered, in_thread, labelled},
    tail::{Reader, Wanted},
};
use crate::{
    args::TalkArgs,
    exit::Failure,
    session::{Context, Need},
};

/// Lines typed ahead of the outbox.
const AHEAD: usize = 64;

/// Longest line in bytes; what a message holds is less.
const LINE: usize = 64 * 1024;

pub(super) async fn run(context: &Context, args: TalkArgs) -> Result<(), Failure> {
    let mut session = context.session(Need::Fresh).await?;
    let client = session.client.clone();
    let channel = client.channel(&args.channel).await?;
    if channel.presence != Presence::In {
        let hint = format!("not in this channel: plenary enter {}", args.channel);
        return Err(Failure::not_found(hint));
    }
    // Told at once, not after the first line.
    allowed(&channel, args.label)?;
    if let Some(stale) = session.stale.take() {
        context.out.note(&format!("{}; going on", stale.message));
    }
    let mut events = client.events();
    let shown = std::slice::from_ref(&channel);
    let mut reader = Reader::new(client.clone(), context.out, shown, Wanted::default());
    reader.history(args.lines).await?;
    audience(context, &client, &channel).await?;
    let mut typed = typed();
    let mut last: Option<Outgoing> = None;
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Messages { channel, .. }) => reader.news(channel).await?,
                Some(Event::Failed { reason, .. }) => {
                    context.out.note(&format!("not sent: {reason}"));
                }
                Some(Event::Offline) => context.out.note("(offline; what is typed is queued)"),
                Some(Event::Online) => context.out.note("(online)"),
                Some(_) => {}
                None => break,
            },
            line = typed.recv() => {
                let Some(line) = line else { break };
                let line = line?;
                if line.is_empty() {
                    continue;
                }
                let mut draft = labelled(Draft::text(line), &channel, args.label)?;
                if let Some(title) = args.thread.clone() {
                    draft = in_thread(draft, channel.id, title);
                }
                match client.send(channel.id, draft).await {
                    Ok(outgoing) => last = Some(outgoing),
                    Err(error) => context.out.note(&format!("not sent: {error}")),
                }
            }
        }
    }
    if let Some(last) = last.filter(|_| !context.global.offline) {
        delivered(context, &last).await?;
        reader.news(channel.id).await?;
    }
    session.finish().await
}

/// Lines of standard input. A thread of its own: a read from a terminal cannot be called off.
fn typed() -> mpsc::Receiver<Result<String, Failure>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let line = match line(&mut stdin) {
                Ok(Some(line)) => Ok(line),
                Ok(None) => return,
                Err(failure) => Err(failure),
            };
            let failed = line.is_err();
            if sender.blocking_send(line).is_err() || failed {
                return;
            }
        }
    });
    receiver
}

fn line(from: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut bytes = Vec::new();
    let mut bounded = std::io::Read::take(&mut *from, LINE as u64 + 1);
    bounded
        .read_until(b'\n', &mut bytes)
        .map_err(|error| Failure::io("standard input", &error))?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > LINE {
        return Err(Failure::usage(format!("a line has at most {LINE} bytes")));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::usage("standard input is no UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bounded_and_text() {
        let mut input = "one\r\n\ntwo".as_bytes();
        assert_eq!(line(&mut input), Ok(Some("one".to_owned())));
        assert_eq!(line(&mut input), Ok(Some(String::new())));
        assert_eq!(line(&mut input), Ok(Some("two".to_owned())));
        assert_eq!(line(&mut input), Ok(None));
        assert!(line(&mut &[0xff, b'\n'][..]).is_err());
        assert!(line(&mut "x".repeat(LINE + 1).as_bytes()).is_err());
        assert!(line(&mut "x".repeat(LINE).as_bytes()).is_ok());
    }
}
