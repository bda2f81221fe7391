//! A preview: a few KiB by which people see what a file is before they fetch it.
//!
//! Made by the sender, and only at the sender's word; it travels in the manifest, to those who may
//! fetch the file anyway. Nothing is decoded here or at a recipient: a text is shown as text, a
//! picture is told by its first bytes and handed to whoever asks for it. What carries malware has
//! none.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{self as std_io, Read, Write},
    path::{Path, PathBuf},
};

use minicbor::{Decoder, Encoder};

use super::{
    ItemError,
    error::io,
    incoming::{MAX_NAMES, private},
    name,
};

/// Bytes of a preview at most: it goes to everybody in the channel, whether or not they want the file.
pub const MAX_PREVIEW: usize = 16 << 10;

/// Of a text's beginning: so many bytes and lines.
const BEGINNING: usize = 2 << 10;
const LINES: usize = 20;

/// What a preview is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PreviewKind {
    /// UTF-8, lines ended by LF, no control characters but TAB.
    Text,
    /// PNG (ISO/IEC 15948).
    Png,
    /// JPEG (ITU-T T.81).
    Jpeg,
    /// WebP (RFC 9649).
    Webp,
}

/// A preview.
#[derive(Clone, PartialEq, Eq)]
pub struct Preview {
    kind: PreviewKind,
    bytes: Vec<u8>,
}

impl PreviewKind {
    const ALL: [(Self, u8, &'static str); 4] = [
        (Self::Text, 1, "text/plain"),
        (Self::Png, 2, "image/png"),
        (Self::Jpeg, 3, "image/jpeg"),
        (Self::Webp, 4, "image/webp"),
    ];

    /// Its media type (RFC 6838).
    pub fn media_type(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(kind, ..)| *kind == self)
            .map_or("", |(.., media_type)| media_type)
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Png => "png",
            Self::Jpeg => "jpg",
            Self::Webp => "webp",
        }
    }

    fn code(self) -> u8 {
        Self::ALL
            .into_iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(0, |(_, code, _)| code)
    }

    fn from_code(code: u8) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(_, its, _)| *its == code);
        found.map(|(kind, ..)| kind)
    }

    /// What these bytes say they are.
    fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::Webp),
            _ => std::str::from_utf8(bytes)
                .is_ok_and(is_plain)
                .then_some(Self::Text),
        }
    }
}

impl Preview {
    /// A preview somebody made: a text, or a small picture (PNG, JPEG, WebP).
    ///
    /// # Errors
    /// When it is empty, above [`MAX_PREVIEW`] or something else.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Result<Self, ItemError> {
        let bytes = bytes.into();
        if bytes.is_empty() || bytes.len() > MAX_PREVIEW {
            return Err(ItemError::Preview("1 to 16,384 bytes"));
        }
        let kind = PreviewKind::of(&bytes);
        let kind = kind.ok_or(ItemError::Preview("a text, PNG, JPEG or WebP"))?;
        Ok(Self { kind, bytes })
    }

    /// The preview in a file.
    ///
    /// # Errors
    /// As [`Preview::new`], or when the file cannot be read.
    pub fn from_file(path: &Path) -> Result<Self, ItemError> {
        Self::new(first(path, MAX_PREVIEW + 1)?)
    }

    /// The first lines of a text file.
    ///
    /// # Errors
    /// When it begins with no text, or cannot be read.
    pub fn first_lines(path: &Path) -> Result<Self, ItemError> {
        let none = || ItemError::Preview("the beginning of a text");
        let bytes = first(path, BEGINNING)?;
        let cut = bytes.len() == BEGINNING;
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            // Cut within a character.
            Err(error) if cut && error.error_len().is_none() => {
                std::str::from_utf8(&bytes[..error.valid_up_to()]).map_err(|_| none())?
            }
            Err(_) => return Err(none()),
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines: Vec<_> = text.lines().take(LINES).collect();
        let text = lines.join("\n");
        match is_plain(&text) && !text.trim().is_empty() {
            true => Self::new(text),
            false => Err(none()),
        }
    }

    /// Writes it into a folder, named after the file that it shows, cleaned, numbered if taken.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, folder: &Path, of: &str) -> Result<PathBuf, ItemError> {
        let doing = "writing the preview";
        let name = format!("{}.preview.{}", name::clean(of), self.kind.extension());
        for n in 1..=MAX_NAMES {
            let path = folder.join(match n {
                1 => name.clone(),
                n => name::numbered(&name, n),
            });
            match private(OpenOptions::new().write(true).create_new(true)).open(&path) {
                Ok(mut file) => {
                    file.write_all(&self.bytes).map_err(io(doing))?;
                    return Ok(path);
                }
                Err(error) if error.kind() == std_io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(io(doing)(error)),
            }
        }
        Err(ItemError::NoFreeName)
    }

    /// What it is.
    pub fn kind(&self) -> PreviewKind {
        self.kind
    }

    /// Its bytes: somebody else's, to be decoded with care.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text, if it is one: somebody else's, to be shown with care.
    pub fn text(&self) -> Option<&str> {
        match self.kind {
            PreviewKind::Text => std::str::from_utf8(&self.bytes).ok(),
            _ => None,
        }
    }

    /// `[kind, bytes]`.
    pub(super) fn write(&self, out: &mut Encoder<Vec<u8>>) {
        // Writing to memory cannot fail.
        let _ = out.array(2);
        let _ = out.u8(self.kind.code());
        let _ = out.bytes(&self.bytes);
    }

    pub(super) fn read(input: &mut Decoder<'_>) -> Option<Self> {
        if input.array().ok()? != Some(2) {
            return None;
        }
        let kind = PreviewKind::from_code(input.u8().ok()?)?;
        let preview = Self::new(input.bytes().ok()?).ok()?;
        (preview.kind == kind).then_some(preview)
    }
}

/// The words of a stranger are not for the log.
impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Preview({:?}, {} bytes)", self.kind, self.bytes.len())
    }
}

fn is_plain(text: &str) -> bool {
    let plain = |char: char| !char.is_control() || matches!(char, '\n' | '\t');
    text.chars().all(plain)
}

/// The first bytes of a file, at most so many.
fn first(path: &Path, most: usize) -> Result<Vec<u8>, ItemError> {
    let mut bytes = Vec::with_capacity(most);
    let read = File::open(path)
        .and_then(|file| file.take(most as u64).read_to_end(&mut bytes))
        .map(drop);
    read.map_err(|error: std_io::Error| io("reading the preview")(error))?;
    Ok(bytes)
}
