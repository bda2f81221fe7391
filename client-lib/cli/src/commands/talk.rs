//! Discussing in one channel: what comes is shown, every line typed is sent.

mod typed;

use std::io::IsTerminal;

use plenary_client::{
    ChannelInfo, Client, Event, Label, Outgoing, Presence, SendFile, content::Draft, ids::LedgerSeq,
};

use super::{
    audience::{before_sending, sent_to, tell},
    custody::heard,
    files::{fetch, hand_over, marked},
    ledger,
    send::{allowed, answer, delivered, in_thread, labelled, put},
    tail::{Reader, Wanted},
};
use crate::{
    args::{ReaderArgs, TalkArgs},
    exit::Failure,
    session::{Context, Need},
};
use typed::{HELP, Typed};

/// A discussion under way.
struct Talk<'a> {
    context: &'a Context,
    client: Client,
    channel: ChannelInfo,
    thread: Option<String>,
    label: Option<Label>,
    /// What must be delivered before the end.
    last: Option<Outgoing>,
    /// Up to where the ledger was told.
    told: LedgerSeq,
}

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
    tell(context, &client, &channel).await?;
    let commands = std::io::stdin().is_terminal();
    let told = client.status().await?.ledger;
    let mut lines = typed::lines();
    let mut talk = Talk {
        context,
        client,
        channel,
        thread: args.thread,
        label: args.label,
        last: None,
        told,
    };
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::Messages { channel, .. }) => reader.news(channel).await?,
                Some(Event::Failed { reason, .. }) => {
                    context.out.note(&format!("not sent: {reason}"));
                }
                Some(Event::Offline) => context.out.note("(offline; what is typed is queued)"),
                Some(Event::Online) => context.out.note("(online)"),
                Some(event @ Event::Custody { .. }) => {
                    heard(context, &talk.client, &event).await;
                }
                Some(Event::Ledger(_) | Event::Names) => talk.notices().await?,
                Some(_) => {}
                None => break,
            },
            line = lines.recv() => {
                let Some(line) = line else { break };
                let done = match Typed::parse(&line?, commands) {
                    Ok(Typed::End) => break,
                    Ok(typed) => talk.deal_with(typed).await,
                    Err(failure) => Err(failure),
                };
                match done {
                    Err(failure) if failure.exit == 0 => return Err(failure),
                    // A slip of the fingers does not end a discussion.
                    Err(failure) => context.out.note(&format!("not done: {}", failure.message)),
                    Ok(()) => {}
                }
            }
        }
    }
    if let Some(last) = talk.last.filter(|_| !context.global.offline) {
        delivered(context, &last).await?;
        reader.news(talk.channel.id).await?;
    }
    session.finish().await
}

impl Talk<'_> {
    /// Tells what the Board said meanwhile. A name comes a moment after its statement: what is
    /// not named yet waits for it.
    async fn notices(&mut self) -> Result<(), Failure> {
        for notice in ledger::all_after(&self.client, self.told).await? {
            if !notice.named {
                break;
            }
            self.told = notice.seq;
            let signers: Vec<_> = notice.signers.iter().map(|one| one.name.as_str()).collect();
            self.context.out.note(&format!(
                "(the Board: {} Signed: {}.)",
                notice.words.headline,
                signers.join("; ")
            ));
        }
        Ok(())
    }

    async fn deal_with(&mut self, typed: Typed) -> Result<(), Failure> {
        let (client, channel) = (&self.client, self.channel.id);
        match typed {
            Typed::Nothing | Typed::End => {}
            Typed::Text(text) => {
                let mut draft = Draft::text(text);
                if let Some(title) = self.thread.clone() {
                    draft = in_thread(draft, channel, title);
                }
                self.send(draft).await?;
            }
            Typed::Reply(which, text) => {
                let draft = answer(client, channel, &which, text).await?;
                self.send(draft).await?;
            }
            Typed::File(path) => {
                let thread = self.thread.as_deref();
                let file = marked(SendFile::new(&path), channel, self.label, thread);
                hand_over(self.context, client, channel, &path, file).await?;
            }
            Typed::Get(which, into) => {
                fetch(self.context, client, channel, &which, &into, false).await?;
            }
            Typed::Thread(title) => self.thread = title,
            Typed::Label(label) => {
                allowed(&self.channel, label)?;
                self.label = label;
            }
            Typed::Who => tell(self.context, client, &self.channel).await?,
            Typed::Help => self.context.out.note(HELP),
        }
        Ok(())
    }

    async fn send(&mut self, draft: Draft) -> Result<(), Failure> {
        let draft = labelled(draft, &self.channel, self.label)?;
        // The line is typed: it is said, not asked for.
        let readers = ReaderArgs {
            yes: true,
            audience: None,
        };
        let readers = before_sending(self.context, &self.client, &self.channel, &readers).await?;
        let sent = put(self.context, &self.client, self.channel.id, draft).await?;
        sent_to(&self.client, &self.channel, readers.as_ref()).await?;
        self.last = Some(sent);
        Ok(())
    }
}
