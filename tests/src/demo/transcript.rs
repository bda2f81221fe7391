//! A transcript, as one member's client has it: by channel, by thread, answers below.

use std::{collections::HashMap, fmt::Write};

use anyhow::Result;
use plenary_client::{Message, content::ThreadId, ids::Seq};

use super::{script::CHANNELS, stage::Stage};

/// Columns of text.
const WIDTH: usize = 84;
/// Messages of one channel that are shown.
const SHOWN: u32 = 40;

impl Stage {
    /// What a member reads.
    pub(super) async fn transcript(&self, who: usize) -> Result<String> {
        let reader = &self.members[who];
        let client = reader.client()?;
        let states: HashMap<_, _> = client
            .members()
            .await?
            .into_iter()
            .filter_map(|member| Some((member.id, member.person?.state)))
            .collect();
        let mut out = format!("\nAs {} reads it\n", reader.person.name);
        for (id, (name, purpose)) in self.channels.iter().zip(CHANNELS) {
            writeln!(out, "\n=== {name}: {purpose}")?;
            let messages = client.messages(*id, Seq(0), SHOWN).await?;
            let mut threads: Vec<Option<ThreadId>> = Vec::new();
            for message in &messages {
                if !threads.contains(&message.thread()) {
                    threads.push(message.thread());
                }
            }
            for thread in threads {
                let of = |message: &&Message| message.thread() == thread;
                let title = messages.iter().filter(of).find_map(Message::title);
                writeln!(out, "\n  # {}", title.unwrap_or("(no thread)"))?;
                for message in messages.iter().filter(of) {
                    let state = states.get(&message.member).map_or("?", String::as_str);
                    say(&mut out, message, state, &messages)?;
                }
            }
        }
        Ok(out)
    }
}

fn say(out: &mut String, message: &Message, state: &str, all: &[Message]) -> Result<()> {
    let answered = message
        .content
        .in_reply_to
        .and_then(|id| all.iter().find(|one| one.message_id == id))
        .and_then(|one| one.sender.as_deref());
    let to = answered.map_or(String::new(), |name| format!(", to {name}"));
    let indent = if answered.is_some() { "      " } else { "    " };
    let sender = message.sender.as_deref().unwrap_or("somebody");
    writeln!(out, "{indent}{sender} ({state}){to}")?;
    let mut line = String::new();
    for word in message.text().unwrap_or("(a file)").split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() >= WIDTH {
            writeln!(out, "{indent}  {line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(out, "{indent}  {line}")?;
    Ok(())
}
