//! What a content is, for those who show it.

use super::{Body, CUSTODY, Content, Disposition, ITEM, Part, Semantics};

/// What a content is, as far as this version can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind<'a> {
    /// A text to read.
    Text {
        /// The text.
        text: &'a str,
        /// Whether it is Markdown.
        markdown: bool,
    },
    /// An item handed over: its manifest's bytes.
    Item(&'a [u8]),
    /// Statements of custody: kept by the client, not shown.
    Custody(&'a [u8]),
    /// A reaction to the message answered.
    Reaction(&'a str),
    /// The message it replaces is taken back.
    Deletion,
    /// Something this version cannot show: its media type, or nothing.
    Other(&'a str),
}

impl Content {
    /// What this content is. Of several parts, the first that can be read.
    pub fn kind(&self) -> Kind<'_> {
        match &self.body.body {
            Body::Null if self.replaces.is_some() => Kind::Deletion,
            _ => of_part(&self.body),
        }
    }
}

fn of_part(part: &Part) -> Kind<'_> {
    match &part.body {
        Body::Null => Kind::Other(""),
        Body::External(external) => Kind::Other(&external.content_type),
        Body::Single {
            content_type,
            content,
        } => of_single(part.disposition, content_type, content),
        Body::Multi { semantics, parts } => {
            let mut kinds = parts.iter().map(of_part);
            let unknown = Kind::Other("multipart");
            match semantics {
                // All or nothing: showing the first alone would mislead.
                Semantics::SingleUnit => unknown,
                _ => kinds
                    .find(|kind| !matches!(kind, Kind::Other(_)))
                    .unwrap_or(unknown),
            }
        }
    }
}

fn of_single<'a>(disposition: Disposition, content_type: &'a str, content: &'a [u8]) -> Kind<'a> {
    // Parameters beyond those known change nothing that is shown as text.
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(ITEM) {
        return Kind::Item(content);
    }
    if essence.eq_ignore_ascii_case(CUSTODY) {
        return Kind::Custody(content);
    }
    let markdown = essence.eq_ignore_ascii_case("text/markdown");
    match std::str::from_utf8(content) {
        Ok(text) if markdown || essence.eq_ignore_ascii_case("text/plain") => match disposition {
            Disposition::REACTION => Kind::Reaction(text),
            _ => Kind::Text { text, markdown },
        },
        _ => Kind::Other(content_type),
    }
}
