//! What others wrote, made safe for a terminal: no escape sequence, no hidden or turned-round text.

use std::fmt::Write;

/// One line: nothing that moves the cursor, line ends included.
pub(crate) fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if dangerous(char) {
            escape(&mut out, char);
        } else {
            out.push(char);
        }
    }
    out
}

/// A text of several lines; line ends and tabs stay.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split('\n').map(|one| {
        let one = one.strip_suffix('\r').unwrap_or(one);
        one.split('\t').map(line).collect::<Vec<_>>().join("\t")
    })
}

/// JSON as it is printed: the same characters escaped the JSON way. They occur in strings only.
pub(crate) fn json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        if dangerous(char) {
            // All of them are in the first plane: no surrogates.
            let _ = write!(out, "\\u{:04x}", u32::from(char));
        } else {
            out.push(char);
        }
    }
    out
}

fn escape(out: &mut String, char: char) {
    let _ = write!(out, "<{:04x}>", u32::from(char));
}

/// Controls (C0, DEL, C1), line separators, and what turns the reading direction round or hides.
fn dangerous(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{206a}'..='\u{206f}' | '\u{feff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escape_sequences_lose_their_power() {
        assert_eq!(
            line("a\u{1b}[2Jb\u{9b}2J\u{7f}"),
            "a<001b>[2Jb<009b>2J<007f>"
        );
        assert_eq!(line("one\ntwo\r"), "one<000a>two<000d>");
        assert_eq!(line("name\u{202e}gpj.exe"), "name<202e>gpj.exe");
        assert_eq!(line("Ольга 你好 é 👍🏽 عربي"), "Ольга 你好 é 👍🏽 عربي");
        let all: Vec<_> = lines("one\r\n\ttwo\rthree").collect();
        assert_eq!(all, ["one", "\ttwo<000d>three"]);
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_left(text in any::<String>()) {
            prop_assert!(!line(&text).chars().any(dangerous));
            for one in lines(&text) {
                prop_assert!(!one.chars().any(|char| char != '\t' && dangerous(char)));
            }
        }

        #[test]
        fn json_says_the_same(text in any::<String>()) {
            let printed = json(&serde_json::to_string(&text).unwrap());
            prop_assert!(!printed.chars().any(dangerous));
            prop_assert_eq!(serde_json::from_str::<String>(&printed).unwrap(), text);
        }
    }
}
