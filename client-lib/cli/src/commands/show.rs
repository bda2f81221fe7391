//! How messages, channels and standings are shown.

use std::{collections::HashMap, fmt::Display};

use indicatif::HumanBytes;
use plenary_client::{
    ChannelInfo, Message, Standing,
    content::{Kind, MessageId, ThreadId},
    files::Manifest,
    ids::{ChannelId, Seq},
};
use serde_json::{Value, json};

use crate::{
    output::{Line, Style},
    time,
};

/// Digits of an id that people see; enough to find it again.
const SHORT: usize = 8;

/// The beginning of an id, for people.
pub(super) fn short(id: &impl Display) -> String {
    id.to_string().chars().take(SHORT).collect()
}

/// A number and what is counted.
pub(super) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// What a channel is called.
pub(super) fn channel_name(channel: &ChannelInfo) -> String {
    match (&channel.name, channel.rule) {
        (Some(name), _) => name.clone(),
        (None, None) => format!("direct {}", short(&channel.id)),
        (None, Some(_)) => format!("({})", short(&channel.id)),
    }
}

/// A standing in one word, for programs.
pub(super) fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Live => "live",
        Standing::Unknown => "unknown",
        Standing::Revoked { .. } => "revoked",
        Standing::Suspended { .. } => "suspended",
        Standing::Lapsed => "lapsed",
    }
}

/// What messages refer to, gathered while reading.
#[derive(Debug, Default)]
pub(super) struct Index {
    titles: HashMap<(ChannelId, ThreadId), String>,
    numbers: HashMap<MessageId, Seq>,
}

impl Index {
    /// Takes note of a message; in order of the channel.
    pub(super) fn learn(&mut self, message: &Message) {
        if let (Some(thread), Some(title)) = (message.thread(), message.title()) {
            // The first title stands: nobody renames what others began.
            self.titles
                .entry((message.channel, thread))
                .or_insert_with(|| title.to_owned());
        }
        self.numbers.insert(message.message_id, message.seq);
    }

    fn title(&self, message: &Message) -> Option<&str> {
        let key = (message.channel, message.thread()?);
        self.titles.get(&key).map(String::as_str)
    }

    fn refer(&self, id: &MessageId) -> String {
        match self.numbers.get(id) {
            Some(seq) => format!("#{}", seq.0),
            None => format!("a message not held here ({}..)", &id.to_string()[2..10]),
        }
    }

    /// For programs.
    pub(super) fn json(&self, message: &Message, channel: Option<&str>) -> Value {
        let content = &message.content;
        let (kind, text) = kind_word(&content.kind());
        let number = |id: Option<MessageId>| id.and_then(|id| self.numbers.get(&id)).map(|n| n.0);
        let id = |id: Option<MessageId>| id.map(|id| id.to_string());
        json!({
            "channel": message.channel.to_string(),
            "channel_name": channel,
            "seq": message.seq.0,
            "time": time::rfc3339(message.time),
            "member": message.member.to_string(),
            "device": message.device.to_string(),
            "sender": message.sender,
            "id": message.id.to_string(),
            "message_id": message.message_id.to_string(),
            "thread": message.thread().map(|thread| thread.to_string()),
            "thread_title": self.title(message),
            "label": content.extensions.label().map(|label| label.to_string()),
            "notice": content.extensions.is_notice(),
            "kind": kind,
            "text": text,
            "item": item_json(&content.kind()),
            "in_reply_to": id(content.in_reply_to),
            "in_reply_to_seq": number(content.in_reply_to),
            "handed_by": message.handed_by.map(|device| device.to_string()),
            "replaces": id(content.replaces),
            "replaces_seq": number(content.replaces),
        })
    }

    /// For people.
    pub(super) fn line(&self, line: Line, message: &Message, channel: Option<&str>) -> Line {
        let content = &message.content;
        let mut line = line.add(Style::Dim, &time::local(message.time)).plain("  ");
        if let Some(channel) = channel {
            line = line.plain(channel).plain(" ");
        }
        let sender = message.sender.clone();
        line = line
            .add(Style::Dim, &format!("#{}", message.seq.0))
            .plain("  ")
            .add(
                Style::Bold,
                &sender.unwrap_or_else(|| short(&message.member)),
            )
            .plain("  ");
        if let Some(title) = self.title(message) {
            line = line.add(Style::Dim, &format!("[{title}]")).plain("  ");
        }
        if let Some(label) = content.extensions.label() {
            line = line.label(label).plain("  ");
        }
        if content.extensions.is_notice() {
            line = line.add(Style::Bold, "NOTICE").plain("  ");
        }
        if message.handed_by.is_some() {
            line = line.add(Style::Dim, "(handed on)").plain("  ");
        }
        let about = content.in_reply_to.map(|id| self.refer(&id));
        let replaced = content.replaces.map(|id| self.refer(&id));
        match (content.kind(), about, replaced) {
            (Kind::Text { text, .. }, about, replaced) => {
                if let Some(about) = about {
                    line = line.add(Style::Dim, &format!("re {about}")).plain("  ");
                }
                if let Some(replaced) = replaced {
                    line = line
                        .add(Style::Dim, &format!("instead of {replaced}"))
                        .plain("  ");
                }
                line.block(text)
            }
            (Kind::Reaction(with), about, _) => line
                .plain("reacts ")
                .plain(with)
                .plain(" to ")
                .plain(about.as_deref().unwrap_or("nothing")),
            (Kind::Deletion, _, replaced) => line
                .plain("takes back ")
                .plain(replaced.as_deref().unwrap_or("nothing")),
            (Kind::Item(manifest), _, _) => match Manifest::decode(manifest) {
                Ok(item) => item_line(line, &item, message.seq),
                Err(error) => line.add(Style::Bad, &format!("a file that does not hold: {error}")),
            },
            (Kind::Other(what), _, _) => {
                line.plain(&format!("(this version cannot show {what:?})"))
            }
            _ => line.plain("(this version cannot show this)"),
        }
    }
}

fn item_line(line: Line, item: &Manifest, seq: Seq) -> Line {
    let size = HumanBytes(item.size());
    let line = line
        .plain("file ")
        .add(Style::Bold, item.name())
        .plain(&format!(" ({size})"));
    let line = match item.carries_malware() {
        true => line.plain(" ").add(Style::Bad, "CARRIES MALWARE"),
        false => line,
    };
    let line = line.add(Style::Dim, &format!("  get it by #{}", seq.0));
    let Some(preview) = item.preview() else {
        return line;
    };
    match preview.text() {
        Some(text) => line.block(&format!("\n{text}")),
        None => {
            let size = HumanBytes(preview.bytes().len() as u64);
            let what = preview.kind().media_type();
            line.add(Style::Dim, &format!("  preview {what}, {size}"))
        }
    }
}

fn item_json(kind: &Kind<'_>) -> Option<Value> {
    let Kind::Item(manifest) = kind else {
        return None;
    };
    // What does not hold is no item: `kind` says that there was one.
    let item = Manifest::decode(manifest).ok()?;
    Some(json!({
        "item": item.item().to_string(),
        "name": item.name(),
        "size": item.size(),
        "media_type": item.media_type(),
        "sha256": item.sha256().to_string(),
        "malware": item.carries_malware(),
        "preview": item.preview().map(|preview| json!({
            "media_type": preview.kind().media_type(),
            "size": preview.bytes().len(),
            "text": preview.text(),
        })),
    }))
}

fn kind_word<'a>(kind: &Kind<'a>) -> (&'static str, Option<&'a str>) {
    match *kind {
        Kind::Text { text, markdown } => (if markdown { "markdown" } else { "text" }, Some(text)),
        Kind::Item(_) => ("item", None),
        Kind::Reaction(with) => ("reaction", Some(with)),
        Kind::Deletion => ("deletion", None),
        // What this version, or this program, does not know.
        _ => ("other", None),
    }
}
