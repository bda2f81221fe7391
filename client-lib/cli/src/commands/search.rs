//! Finding messages and files by their words.

use std::collections::HashMap;

use plenary_client::{Found, Search};
use serde_json::Value;

use super::show::{Index, channel_name, short};
use crate::{
    args::SearchArgs,
    exit::Failure,
    output::{Line, Style},
    session::{Context, Need},
    time,
};

pub(super) async fn run(context: &Context, args: &SearchArgs) -> Result<(), Failure> {
    let session = context.session(Need::Stored).await?;
    let client = &session.client;
    let mut search = Search::new(typed(&args.words)).limit(args.limit);
    if let Some(name) = &args.channel {
        search = search.channel(client.channel(name).await?.id);
    }
    if let Some(name) = &args.from {
        search = search.from(client.find_member(name).await?.id);
    }
    if let Some(since) = args.since {
        search = search.since(since);
    }
    let found = client.search(search).await?;
    let channels = client.channels().await?;
    let names: HashMap<_, _> = channels
        .iter()
        .map(|channel| (channel.id, channel_name(channel)))
        .collect();
    if found.is_empty() {
        context.out.note("nothing found");
    }
    let index = Index::default();
    for one in &found {
        let name = names.get(&one.message.channel).map(String::as_str);
        context.out.emit(
            || {
                let mut value = index.json(&one.message, name);
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("excerpt".to_owned(), Value::from(one.excerpt.clone()));
                }
                value
            },
            |line| shown(line, one, name),
        )?;
    }
    session.finish().await
}

/// An argument with a blank in it was quoted in the shell: a phrase.
fn typed(words: &[String]) -> String {
    let typed = words.iter().map(|word| match word {
        word if word.contains(char::is_whitespace) && !word.contains('"') => format!("\"{word}\""),
        word => word.clone(),
    });
    typed.collect::<Vec<_>>().join(" ")
}

fn shown(line: Line, found: &Found, channel: Option<&str>) -> Line {
    let message = &found.message;
    let sender = message.sender.clone();
    let mut line = line
        .add(Style::Dim, &time::local(message.time))
        .plain("  ")
        .plain(channel.unwrap_or_default())
        .plain(" ")
        .add(Style::Dim, &format!("#{}", message.seq.0))
        .plain("  ")
        .plain(&sender.unwrap_or_else(|| short(&message.member)))
        .plain("  ");
    if let Some(label) = message.content.extensions.label() {
        line = line.label(label).plain("  ");
    }
    // One line each: the message as it is, `tail` and `get` show.
    let one_line = |text: &str| text.replace(char::is_whitespace, " ");
    let mut shown = 0;
    for mark in &found.marks {
        if let (Some(before), Some(word)) = (
            found.excerpt.get(shown..mark.start),
            found.excerpt.get(mark.clone()),
        ) {
            line = line
                .plain(&one_line(before))
                .add(Style::Bold, &one_line(word));
            shown = mark.end;
        }
    }
    line.plain(&one_line(found.excerpt.get(shown..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::typed;

    #[test]
    fn what_the_shell_held_together_is_a_phrase() {
        let typed = |words: &[&str]| {
            typed(
                &words
                    .iter()
                    .map(|&word| word.to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            typed(&["cold storage", "wallet"]),
            "\"cold storage\" wallet"
        );
        assert_eq!(
            typed(&["\"cold storage\" wallet"]),
            "\"cold storage\" wallet"
        );
        assert_eq!(typed(&["wallet", "seized"]), "wallet seized");
    }
}
