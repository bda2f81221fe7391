//! File names from elsewhere, made fit for any disk.

/// Bytes of a cleaned name: leaves room for " (999)", an id and ".part.journal" within 255.
pub const MAX: usize = 180;

/// Bytes of an extension that is kept when a name is cut.
const MAX_EXTENSION: usize = 20;

/// What a name becomes of which nothing is left.
const NAMELESS: &str = "item";

/// A name that is one plain component on every system: no separators, controls, direction marks
/// or invisible characters; not hidden, not a device of Windows; at most [`MAX`] bytes, its
/// extension kept.
pub fn clean(name: &str) -> String {
    let replaced: String = name
        .chars()
        .filter(|c| !is_invisible(*c))
        .map(|c| match c {
            '/' | '\\' | '<' | '>' | ':' | '"' | '|' | '?' | '*' => '_',
            // Look like separators.
            '\u{2044}' | '\u{2215}' | '\u{29f8}' | '\u{ff0f}' | '\u{ff3c}' => '_',
            c if c.is_control() => '_',
            c if c.is_whitespace() => ' ',
            c => c,
        })
        .collect();
    // Leading dots hide a file; Windows drops trailing dots and spaces, and the name is another.
    let edges = |c: char| c == '.' || c == ' ';
    let trimmed = replaced.trim_matches(edges);
    let short = shorten(trimmed);
    let short = short.trim_matches(edges);
    match short {
        "" => NAMELESS.to_owned(),
        name if is_reserved(name) => format!("_{name}"),
        name => name.to_owned(),
    }
}

/// The name's `n`th variant: "report (2).pdf".
pub(super) fn numbered(name: &str, n: u32) -> String {
    let (stem, extension) = split(name);
    format!("{stem} ({n}){extension}")
}

/// Direction marks that show another name than there is ("cod.exe" as "exe.doc"), and characters
/// nobody sees. Joiners stay: Persian and emoji need them.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

fn shorten(name: &str) -> String {
    if name.len() <= MAX {
        return name.to_owned();
    }
    let (stem, extension) = split(name);
    let extension = match extension.len() {
        0..=MAX_EXTENSION => extension,
        _ => "",
    };
    let stem = if extension.is_empty() { name } else { stem };
    let room = MAX - extension.len();
    let end = (0..=room).rev().find(|at| stem.is_char_boundary(*at));
    format!("{}{extension}", &stem[..end.unwrap_or(0)])
}

/// Stem, and extension with its dot.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 => name.split_at(at),
        _ => (name, ""),
    }
}

/// Windows opens a device by these, whatever the extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let stem = stem.to_ascii_uppercase();
    let numbered = |device: &str| {
        let mut rest = stem.strip_prefix(device).unwrap_or_default().chars();
        let digit = rest.next();
        rest.next().is_none() && digit.is_some_and(|c| matches!(c, '0'..='9' | '¹' | '²' | '³'))
    };
    matches!(
        stem.as_str(),
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$"
    ) || numbered("COM")
        || numbered("LPT")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cleans() {
        for (name, cleaned) in [
            ("report.pdf", "report.pdf"),
            ("Übersicht ünd 表.txt", "Übersicht ünd 表.txt"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("C:\\Windows\\x.exe", "C__Windows_x.exe"),
            (".bashrc", "bashrc"),
            ("a\0b\nc\u{7f}", "a_b_c_"),
            ("fdp\u{202e}cod.exe", "fdpcod.exe"),
            ("x\u{200b}\u{feff}y", "xy"),
            ("a\u{2215}b", "a_b"),
            ("trailing. . .", "trailing"),
            ("", "item"),
            ("...", "item"),
            ("\u{202e}", "item"),
            ("con", "_con"),
            ("NUL.tar.gz", "_NUL.tar.gz"),
            ("com1 .txt", "_com1 .txt"),
            ("LPT³", "_LPT³"),
            ("COM10", "COM10"),
            ("console.log", "console.log"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(clean(name), cleaned, "{name:?}");
        }
    }

    #[test]
    fn shortens_and_keeps_the_extension() {
        let cleaned = clean(&format!("{}.jpeg", "é".repeat(300)));
        assert!(
            cleaned.len() <= MAX && cleaned.ends_with("é.jpeg"),
            "{cleaned}"
        );
        assert_eq!(clean(&"x".repeat(400)).len(), MAX);
        assert_eq!(clean(&format!("x.{}", "y".repeat(400))).len(), MAX);
    }

    #[test]
    fn numbers_before_the_extension() {
        assert_eq!(numbered("report.pdf", 2), "report (2).pdf");
        assert_eq!(numbered("README", 3), "README (3)");
    }

    proptest! {
        #[test]
        fn every_cleaned_name_is_one_component(name in any::<String>()) {
            let cleaned = clean(&name);
            let path = std::path::Path::new(&cleaned);
            prop_assert_eq!(path.file_name().unwrap(), cleaned.as_str());
            prop_assert!(!cleaned.is_empty() && cleaned.len() <= MAX + 1);
            prop_assert!(!cleaned.starts_with('.') && !cleaned.contains(['/', '\\', '\0']));
            prop_assert_eq!(clean(&cleaned), cleaned);
        }
    }
}
