//! Looks for a marker in a folder, in every form in which it could have leaked; measures the folder.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::Result;

/// A form of a marker: its name, and its bytes.
pub type Form = (&'static str, Vec<u8>);

/// The forms in which a text could lie on a disk: as it is, UTF-16, hex, base64 at each of the
/// three offsets, and in reverse.
pub fn forms(marker: &str) -> Vec<Form> {
    let raw = marker.as_bytes();
    let utf16 = |bytes: fn(u16) -> [u8; 2]| marker.encode_utf16().flat_map(bytes).collect();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        ("UTF-8", raw.to_vec()),
        ("UTF-16LE", utf16(u16::to_le_bytes)),
        ("UTF-16BE", utf16(u16::to_be_bytes)),
        ("upper-case hex", hex.to_uppercase().into_bytes()),
        ("hex", hex.into_bytes()),
        ("reversed", raw.iter().rev().copied().collect()),
    ];
    for offset in 0..3 {
        forms.push(("base64", base64(raw, offset, b"+/")));
        forms.push(("base64url", base64(raw, offset, b"-_")));
    }
    forms
}

/// Which of the forms lie in which files of a folder, and of its subfolders; names of files count.
///
/// # Errors
/// When something cannot be read: what was not searched was not cleared.
pub fn find(folder: &Path, forms: &[Form]) -> Result<Vec<(PathBuf, &'static str)>> {
    let mut found = Vec::new();
    each_file(folder, &mut |path| {
        let name = path.to_string_lossy().into_owned().into_bytes();
        let bytes = fs::read(path)?;
        for (form, needle) in forms {
            if contains(&bytes, needle) || contains(&name, needle) {
                found.push((path.to_owned(), *form));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// Bytes that a folder occupies.
///
/// # Errors
/// When something cannot be read.
pub fn bytes_on_disk(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    each_file(folder, &mut |path| {
        // Blocks of 512 bytes whatever the file system's own are: stat(2).
        sum += fs::metadata(path)?.blocks() * 512;
        Ok(())
    })?;
    Ok(sum)
}

fn each_file(folder: &Path, visit: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            each_file(&entry.path(), visit)?;
        } else if kind.is_file() {
            visit(&entry.path())?;
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    let Some((first, rest)) = needle.split_first() else {
        return false;
    };
    // On the first byte first: the needles are long and the files large.
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|byte| byte == first) {
        let after = from + at + 1;
        if bytes[after..].starts_with(rest) {
            return true;
        }
        from = after;
    }
    false
}

/// What is certain of the base64 of a longer text in which the marker begins `offset` bytes into
/// a group of three: the digits that also depend on its neighbours are cut.
fn base64(marker: &[u8], offset: usize, last: &[u8; 2]) -> Vec<u8> {
    let mut digits: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .collect();
    digits.extend(last);
    let mut bytes = vec![0; offset];
    bytes.extend(marker);
    bytes.truncate(bytes.len() / 3 * 3);
    let text: Vec<u8> = bytes
        .chunks_exact(3)
        .flat_map(|group| {
            let bits = group
                .iter()
                .fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
            [18, 12, 6, 0].map(|shift| digits[bits >> shift & 63])
        })
        .collect();
    let skip = if offset == 0 { 0 } else { offset + 1 };
    text[skip.min(text.len())..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MARKER: &str = "Zanzibar-4711-quince";

    #[test]
    fn every_form_is_found_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("deep");
        fs::create_dir(&below).unwrap();
        for (form, bytes) in forms(MARKER) {
            assert!(bytes.len() >= MARKER.len(), "{form}");
            let noise = [b"..".as_slice(), &bytes, b"..".as_slice()].concat();
            fs::write(below.join("file"), noise).unwrap();
            let found = find(folder.path(), &forms(MARKER)).unwrap();
            assert!(found.iter().any(|(_, name)| *name == form), "{form}");
        }
        fs::write(below.join("file"), "nothing").unwrap();
        assert_eq!(find(folder.path(), &forms(MARKER)).unwrap(), []);
        fs::write(below.join(MARKER), "").unwrap();
        assert_eq!(find(folder.path(), &forms(MARKER)).unwrap().len(), 1);
    }

    #[test]
    fn base64_is_found_at_any_offset_of_a_longer_text() {
        // `printf 'ab%s, and more' Zanzibar-4711-quince | base64`, with 0, 1, 2 bytes before.
        for (offset, text) in [
            "WmFuemliYXItNDcxMS1xdWluY2UsIGFuZCBtb3Jl",
            "YVphbnppYmFyLTQ3MTEtcXVpbmNlLCBhbmQgbW9yZQ==",
            "YWJaYW56aWJhci00NzExLXF1aW5jZSwgYW5kIG1vcmU=",
        ]
        .into_iter()
        .enumerate()
        {
            let needle = base64(MARKER.as_bytes(), offset, b"+/");
            assert!(contains(text.as_bytes(), &needle), "{offset}");
        }
    }
}
