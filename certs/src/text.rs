//! Bytes as text that survives a USB stick and a mail: a header line, lines of base64
//! (RFC 4648), and an end line that shows a cut. One spelling only; line ends of either kind.

use data_encoding::BASE64;

const COLUMNS: usize = 64;
const END: &str = "end";

/// A text that is not such a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Another kind of file.
    #[error("expected a file that begins with {expected:?}, got {got:?}")]
    Header {
        /// The header line wanted.
        expected: &'static str,
        /// The beginning of what was there.
        got: String,
    },
    /// The lines below the header were altered or cut.
    #[error("the file is damaged at line {0}")]
    Damaged(usize),
}

pub(crate) fn print(header: &str, bytes: &[u8]) -> String {
    let encoded = BASE64.encode(bytes);
    let mut text = format!("{header}\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(END);
    text.push('\n');
    text
}

pub(crate) fn parse(header: &'static str, text: &str) -> Result<Vec<u8>, TextError> {
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default();
    if first != header {
        return Err(TextError::Header {
            expected: header,
            got: first.chars().take(40).collect(),
        });
    }
    let mut encoded = String::with_capacity(text.len());
    let mut count = 1;
    let mut short = false;
    loop {
        count += 1;
        let line = lines.next().ok_or(TextError::Damaged(count))?;
        if line == END {
            break;
        }
        // Only the last line is short.
        if short || line.is_empty() || line.len() > COLUMNS {
            return Err(TextError::Damaged(count));
        }
        short = line.len() < COLUMNS;
        encoded.push_str(line);
    }
    if lines.next().is_some() {
        return Err(TextError::Damaged(count + 1));
    }
    let damaged = |at: usize| TextError::Damaged(at / COLUMNS + 2);
    BASE64
        .decode(encoded.as_bytes())
        .map_err(|error| damaged(error.position))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HEADER: &str = "plenary test v1";

    proptest! {
        #[test]
        fn is_read_back_with_either_line_end(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let text = print(HEADER, &bytes);
            prop_assert_eq!(parse(HEADER, &text.replace('\n', "\r\n")), Ok(bytes.clone()));
            prop_assert_eq!(parse(HEADER, &text), Ok(bytes));
        }
    }

    #[test]
    fn damage_is_named_by_its_line() {
        let text = print(HEADER, &[5; 100]);
        let cut = |lines| text.lines().take(lines).collect::<Vec<_>>().join("\n");
        assert_eq!(parse(HEADER, &cut(5)).unwrap().len(), 100);
        for lines in 1..5 {
            assert_eq!(
                parse(HEADER, &cut(lines)),
                Err(TextError::Damaged(lines + 1))
            );
        }
        let longer = format!("{text}\n");
        assert_eq!(parse(HEADER, &longer), Err(TextError::Damaged(6)));
        let mut bad = text.clone();
        bad.replace_range(HEADER.len() + 70..HEADER.len() + 71, "!");
        assert_eq!(parse(HEADER, &bad), Err(TextError::Damaged(3)));
        let blank = text.replacen('\n', "\n\n", 1);
        assert_eq!(parse(HEADER, &blank), Err(TextError::Damaged(2)));
        assert!(matches!(
            parse(HEADER, "plenary other v1\n"),
            Err(TextError::Header { .. })
        ));
    }
}
