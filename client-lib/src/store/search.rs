//! Finding stored messages by their words: an index of SQLite's FTS5 within the sealed database.
//! Triggers keep it, in the transaction that changes the messages: what is deleted or changed is out
//! of the index with its content (`secure-delete`: its words are, too).
//!
//! ```text
//! message --[view searched: message_text(content)]--> search (FTS5, without a copy of the texts)
//! words --Matching--> text : ("wal" * AND "cold storage") AND source : "CHANNEL" --> newest first
//! ```
//!
//! Entries are numbered by time, so that the newest are found first and no other is looked at.
//! Whoever changes what is searched of a content must raise the schema's version: an entry is taken
//! out by the text that it was put in with.

use plenary_proto::ids::{ChannelId, DeviceId, UnixMillis};
use rusqlite::{
    Connection,
    functions::{Context, FunctionFlags},
    params,
};

use super::{
    Store,
    messages::{COLUMNS, MessageRow, from_row},
};
use crate::{
    content::{Content, Kind, MessageId},
    error::{Error, ErrorKind},
    files::Manifest,
};

/// Words and phrases of one search; FTS5 takes no more than 256.
const MOST_TERMS: usize = 32;
/// Bytes of what is typed.
const MOST_BYTES: usize = 1_024;
/// Words that an excerpt shows.
const EXCERPT: u32 = 24;
/// Before and after what was found, in an excerpt.
const MARKS: [char; 2] = ['\u{1}', '\u{2}'];

/// An entry's number: 42 bits of the server's clock, then 20 of the order learned.
macro_rules! place {
    ($row:literal) => {
        concat!(
            "(max(0, min(",
            $row,
            "time, 4398046511103)) * 1048576 + ",
            $row,
            "position % 1048576)"
        )
    };
}

macro_rules! columns {
    ($row:literal) => {
        concat!(
            place!($row),
            ", message_text(",
            $row,
            "content), hex(",
            $row,
            "channel) || ' ' || hex(",
            $row,
            "device)"
        )
    };
}

pub(super) const TABLES: &str = concat!(
    "CREATE INDEX message_place ON message(",
    place!(""),
    ");
CREATE INDEX message_replaced ON message(channel, message_replaces(content))
    WHERE message_replaces(content) IS NOT NULL;
CREATE VIEW searched(place, text, source) AS SELECT ",
    columns!(""),
    " FROM message WHERE message_text(content) IS NOT NULL;
CREATE VIRTUAL TABLE search USING fts5(
    text, source, content = 'searched', content_rowid = 'place', columnsize = 0,
    tokenize = 'unicode61 remove_diacritics 2'
);
INSERT INTO search(search, rank) VALUES('secure-delete', 1);
CREATE TRIGGER message_added AFTER INSERT ON message
WHEN message_text(new.content) IS NOT NULL BEGIN
    INSERT INTO search(rowid, text, source) VALUES(",
    columns!("new."),
    ");
END;
CREATE TRIGGER message_deleted AFTER DELETE ON message
WHEN message_text(old.content) IS NOT NULL BEGIN
    INSERT INTO search(search, rowid, text, source) VALUES('delete', ",
    columns!("old."),
    ");
END;
CREATE TRIGGER message_changed
AFTER UPDATE OF position, channel, device, time, content ON message BEGIN
    INSERT INTO search(search, rowid, text, source) SELECT 'delete', ",
    columns!("old."),
    " WHERE message_text(old.content) IS NOT NULL;
    INSERT INTO search(rowid, text, source) SELECT ",
    columns!("new."),
    " WHERE message_text(new.content) IS NOT NULL;
END;
"
);

const REPLACED: &str = "SELECT device FROM message
    WHERE channel = ? AND message_replaces(content) = ? AND message_replaces(content) IS NOT NULL";

/// What the tables ask of a connection.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("message_text", 1, flags, |call| {
        Ok(content_of(call)?.and_then(|content| text_of(&content)))
    })?;
    connection.create_scalar_function("message_replaces", 1, flags, |call| {
        let content = content_of(call)?;
        Ok(content.and_then(|content| Some(content.replaces?.0)))
    })
}

fn content_of(call: &Context<'_>) -> rusqlite::Result<Option<Content>> {
    Ok(Content::decode(call.get_raw(0).as_blob()?).ok())
}

/// What can be found of a content: a text and the title of its thread, or a file's name.
fn text_of(content: &Content) -> Option<String> {
    let text = match content.kind() {
        Kind::Text { text, .. } => text.to_owned(),
        Kind::Item(manifest) => Manifest::decode(manifest).ok()?.name().to_owned(),
        _ => return None,
    };
    Some(match content.extensions.title() {
        Some(title) => format!("{title}\n{text}"),
        None => text,
    })
}

/// What to look for, in FTS5's language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matching {
    expression: String,
    since: u64,
}

/// A message that was found.
pub(crate) struct Hit {
    /// Where to go on.
    pub(crate) place: i64,
    pub(crate) row: MessageRow,
    /// What stands around the words; those between [`MARKS`].
    marked: String,
}

impl Matching {
    /// Words, each from its beginning, and phrases within double quotes, as they are: all of them
    /// must be there. Nothing that is typed is taken for more than words.
    ///
    /// Errors: [`ErrorKind::Input`] where there is nothing to look for, or too much.
    pub(crate) fn words(typed: &str) -> Result<Self, Error> {
        let refuse = |what: &str| Err(Error::new(ErrorKind::Input, what));
        if typed.len() > MOST_BYTES {
            return refuse("that is too long to look for: 1,024 bytes at most");
        }
        let terms = terms(typed);
        match terms.len() {
            0 => refuse("nothing to look for: give a word with a letter or a digit"),
            count if count > MOST_TERMS => {
                refuse("that is too much to look for: 32 words and phrases at most")
            }
            _ => Ok(Self {
                expression: format!("text : ({})", terms.join(" AND ")),
                since: 0,
            }),
        }
    }

    /// In one channel only.
    pub(crate) fn within(mut self, channel: ChannelId) -> Self {
        let channel = hex(&channel.0);
        self.expression += &format!(" AND source : {channel}");
        self
    }

    /// By one of some devices only; none: nothing is found.
    pub(crate) fn by(mut self, devices: &[DeviceId]) -> Self {
        let devices: Vec<_> = devices.iter().map(|device| hex(&device.0)).collect();
        let devices = match devices.is_empty() {
            // No device is called so.
            true => "\"nobody\"".to_owned(),
            false => devices.join(" OR "),
        };
        self.expression += &format!(" AND source : ({devices})");
        self
    }

    /// From a moment on, by the server's clock.
    pub(crate) fn since(mut self, time: UnixMillis) -> Self {
        self.since = time.0;
        self
    }
}

/// Quoted the way of FTS5: a quote within is doubled.
fn quoted(words: &str) -> String {
    format!("\"{}\"", words.replace('"', "\"\""))
}

fn hex(bytes: &[u8]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    quoted(&hex)
}

/// Within every other pair of quotes there is a phrase. What holds neither letter nor digit is not
/// in the index.
fn terms(typed: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let is_word = |part: &&str| part.chars().any(char::is_alphanumeric);
    for (index, part) in typed.split('"').enumerate() {
        let part: String = part
            .chars()
            .map(|char| if char.is_control() { ' ' } else { char })
            .collect();
        match index % 2 {
            1 => terms.extend(Some(part.as_str()).filter(is_word).map(quoted)),
            _ => terms.extend(part.split_whitespace().filter(is_word).map(|word| {
                match word.chars().nth(1) {
                    Some(_) => format!("{} *", quoted(word)),
                    // A single letter begins half of all words.
                    None => quoted(word),
                }
            })),
        }
    }
    terms
}

impl Hit {
    /// The excerpt, and the bytes of it that were looked for.
    pub(crate) fn excerpt(&self) -> (String, Vec<std::ops::Range<usize>>) {
        let mut excerpt = String::with_capacity(self.marked.len());
        let mut found = Vec::new();
        let mut begun = None;
        for char in self.marked.chars() {
            match char {
                _ if char == MARKS[0] => begun = begun.or(Some(excerpt.len())),
                _ if char == MARKS[1] => {
                    found.extend(begun.take().map(|begun| begun..excerpt.len()));
                }
                _ => excerpt.push(char),
            }
        }
        (excerpt, found)
    }
}

fn sql() -> String {
    // A plus takes the type off a number, so that the index on an expression can be used.
    format!(
        "SELECT {COLUMNS}, search.rowid, snippet(search, 0, char(1), char(2), '…', {EXCERPT})
         FROM search CROSS JOIN message ON {} = +search.rowid
         WHERE search MATCH ?1 AND search.rowid >= ?2 AND search.rowid < ?3
         ORDER BY search.rowid DESC LIMIT ?4",
        place!("message.")
    )
}

impl Store {
    /// Messages that match, the newest first; after a place, those before it.
    pub(crate) fn search(
        &self,
        matching: &Matching,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Hit>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(&sql())?;
        let since = i64::try_from(matching.since).unwrap_or(i64::MAX);
        let since = since.min(4_398_046_511_103) << 20;
        let before = before.unwrap_or(i64::MAX);
        let rows = query.query_map(params![matching.expression, since, before, limit], |row| {
            Ok(Hit {
                row: from_row(row)?,
                place: row.get(11)?,
                marked: row.get(12)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// By which devices a message was edited or taken back, if by any.
    pub(crate) fn replaced_by(
        &self,
        channel: ChannelId,
        message: &MessageId,
    ) -> Result<Vec<DeviceId>, Error> {
        let connection = self.lock();
        let mut query = connection.prepare_cached(REPLACED)?;
        let rows = query.query_map(params![channel.0, message.0], |row| super::column(row, 0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
