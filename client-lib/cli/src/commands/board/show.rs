//! Shows a request in words, and who has signed it.

use plenary_client::{RequestFile, Words};
use serde_json::json;

use super::tally;
use crate::{
    args::ShowArgs,
    exit::Failure,
    output::{Output, Style},
    paths,
    session::{Context, Need},
};

pub(super) async fn run(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let text = paths::read(&args.request)?;
    let paper = RequestFile::parse(&text)?;
    if let Some(signatures) = &args.signatures {
        let signatures: Vec<_> = signatures
            .iter()
            .map(|path| paths::read(path))
            .collect::<Result<_, _>>()?;
        return tally::print(&context.out, &paper, &signatures);
    }
    if !args.names {
        return print(&context.out, &paper.heading(), &paper.words(), None);
    }
    let session = context.session(Need::Stored).await?;
    let words = session.client.describe(&text).await?;
    print(&context.out, &paper.heading(), &words, None)?;
    session.finish().await
}

/// Prints statements in words, below the digits that people read to one another.
pub(super) fn print(
    out: &Output,
    heading: &[String],
    words: &[Words],
    file: Option<&str>,
) -> Result<(), Failure> {
    out.emit(
        || {
            json!({
                "request": file,
                "heading": heading,
                "statements": words.iter().map(Words::text).collect::<Vec<_>>(),
            })
        },
        |mut line| {
            for words in heading {
                line = line.add(Style::Dim, words).end();
            }
            for (index, statement) in words.iter().enumerate() {
                if index > 0 {
                    line = line.end();
                }
                line = line
                    .add(Style::Bold, &format!("{}. ", index + 1))
                    .block(&statement.text());
            }
            line
        },
    )
}
