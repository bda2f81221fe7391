//! A discussion from a file of JSON lines: authors become members, threads go to channels.

use std::{
    collections::HashMap,
    fs::File,
    io::{BufRead, BufReader},
    path::Path,
};

use anyhow::{Context, Result};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

use super::script::{CHANNELS, Post, Script};
use crate::harness::person;

/// Where a thread goes by its first label; others go by their name.
const BY_LABEL: [(&str, usize); 9] = [
    ("security", 0),
    ("privacy", 0),
    ("key schedule", 0),
    ("functionality", 1),
    ("interoperability", 1),
    ("enhancement", 1),
    ("analysis", 2),
    ("performance", 2),
    ("recommendation", 2),
];

/// Bytes of a title that fit a message.
const TITLE: usize = plenary_client::content::MAX_TITLE;

/// Reads a corpus.
#[derive(Debug, Clone, Copy)]
pub struct Corpus;

#[derive(Deserialize)]
struct Line {
    author: String,
    thread: String,
    title: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    text: String,
}

impl Corpus {
    /// From a file.
    ///
    /// # Errors
    /// When it cannot be read or a line is not such an object, naming the line.
    pub fn read(path: &Path) -> Result<Script> {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        Self::parse(BufReader::new(file)).with_context(|| path.display().to_string())
    }

    /// From lines of JSON.
    ///
    /// # Errors
    /// As [`Corpus::read`].
    pub fn parse(lines: impl BufRead) -> Result<Script> {
        let mut script = Script::default();
        let mut authors = HashMap::new();
        let mut threads = HashMap::new();
        for (number, line) in lines.lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let line: Line =
                serde_json::from_str(&line).with_context(|| format!("line {}", number + 1))?;
            let author = *authors.entry(line.author).or_insert_with_key(|name| {
                script.people.push(person(name, "the corpus"));
                script.people.len() - 1
            });
            let channel = *threads
                .entry(line.thread.clone())
                .or_insert_with(|| channel(&line.thread, &line.labels));
            script.posts.push(Post {
                author,
                channel,
                thread: line.thread,
                title: line.title.map(|title| shortened(title, TITLE)),
                text: line.text,
                reply_to: None,
            });
        }
        Ok(script)
    }
}

fn channel(thread: &str, labels: &[String]) -> usize {
    let first = labels.first().map(String::as_str);
    BY_LABEL
        .iter()
        .find(|(label, _)| Some(*label) == first)
        .map_or_else(|| by_name(thread), |(_, channel)| *channel)
}

fn by_name(thread: &str) -> usize {
    let hash = digest(&SHA256, thread.as_bytes());
    let sum: usize = hash.as_ref().iter().map(|byte| usize::from(*byte)).sum();
    sum % CHANNELS.len()
}

fn shortened(mut title: String, most: usize) -> String {
    let mut end = most.min(title.len());
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    title.truncate(end);
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_stays_in_the_channel_of_its_first_message() {
        let lines = r#"{"author":"a","thread":"t1","title":"T","labels":["functionality","security"],"text":""}
{"author":"b","thread":"t1","text":"x","ts":"ignored"}

{"author":"a","thread":"t2","title":"U","labels":["unheard of"],"text":"y"}"#;
        let script = Corpus::parse(lines.as_bytes()).unwrap();
        assert_eq!(script.people.len(), 2);
        let of = |n: usize| (script.posts[n].author, script.posts[n].channel);
        assert_eq!((of(0), of(1)), ((0, 1), (1, 1)));
        assert_eq!(of(2), (0, by_name("t2")));
        assert_eq!(script.posts[0].text, "");
        let wrong = Corpus::parse("{}\n".as_bytes()).unwrap_err();
        assert!(format!("{wrong:#}").contains("line 1"), "{wrong:#}");
    }

    #[test]
    fn titles_are_cut_between_characters() {
        assert_eq!(shortened("aéé".to_owned(), 4), "aé");
        assert_eq!(shortened("aé".to_owned(), 4), "aé");
    }
}
