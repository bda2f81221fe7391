//! What a manifest says of an item, its key and preview left out: what statements of custody hash, and what
//! somebody may see who must not read the file.
//!
//! The bytes are the manifest's without its preview, with null in the key's place; the commitment stays,
//! so that one key only can ever fill it.

use std::fmt;

use minicbor::{Decoder, Encoder, data::Type};
use plenary_proto::{
    ids::{Digest, ItemId},
    label::Label,
};
use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::{Cipher, ItemError, ItemKey, Layout, Preview};

/// What a manifest holds beside.
type Secrets = (ItemKey, Option<Preview>);

const VERSION: u64 = 1;
/// One more with a preview.
const FIELDS: u64 = 15;
const HASH_TAG: &[u8] = b"plenary manifest without key v1\0";

/// Bytes of a name. File systems allow 255; a name from elsewhere may be longer.
const MAX_NAME: usize = 1024;

/// Bytes of a media type (RFC 6838 allows 127 and 127, and parameters).
const MAX_MEDIA_TYPE: usize = 512;

/// A manifest without its key.
#[derive(Clone, PartialEq, Eq)]
pub struct Described {
    pub(super) item: ItemId,
    pub(super) name: String,
    pub(super) media_type: String,
    pub(super) layout: Layout,
    pub(super) cipher: Cipher,
    pub(super) sha256: Digest,
    pub(super) root: Digest,
    pub(super) commitment: Digest,
    pub(super) label: Option<Label>,
    pub(super) malware: bool,
    pub(super) supersedes: Option<ItemId>,
}

impl Described {
    /// The item.
    pub fn item(&self) -> ItemId {
        self.item
    }

    /// The name as the sender gave it: not for a file system (see [`super::name::clean`]).
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The media type as the sender gave it; may be empty.
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// How it is cut, and its sizes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// SHA-256 of the file.
    pub fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// Root over the sealed chunks.
    pub fn root(&self) -> &Digest {
        &self.root
    }

    /// The handling label.
    pub fn label(&self) -> Option<Label> {
        self.label
    }

    /// Whether the sender marked it as carrying malware.
    pub fn carries_malware(&self) -> bool {
        self.malware
    }

    /// What statements of custody name it by: SHA-256 over a domain tag and [`Described::encode`].
    pub fn hash(&self) -> Digest {
        let mut hash = Context::new(&SHA256);
        hash.update(HASH_TAG);
        hash.update(&self.encode());
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        Digest(digest)
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.write(None).to_vec()
    }

    /// Reads [`Described::encode`].
    ///
    /// # Errors
    /// When it is from a newer client, or not exactly that.
    pub fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        match Self::read(bytes)? {
            (described, None) => Ok(described),
            (_, Some(_)) => Err(wrong("key", "left out")),
        }
    }

    pub(super) fn check(&self) -> Result<(), ItemError> {
        match (self.name.len(), self.media_type.len()) {
            (1..=MAX_NAME, 0..=MAX_MEDIA_TYPE) => Ok(()),
            (1..=MAX_NAME, _) => Err(wrong("media type", "at most 512 bytes")),
            _ => Err(wrong("name", "1 to 1,024 bytes")),
        }
    }

    pub(super) fn write(
        &self,
        secrets: Option<(&ItemKey, Option<&Preview>)>,
    ) -> Zeroizing<Vec<u8>> {
        let preview = secrets.and_then(|(_, preview)| preview);
        // Room enough that no copy of the key is left behind by growing.
        let shown = preview.map_or(0, |preview| preview.bytes().len());
        let room = 512 + self.name.len() + self.media_type.len() + shown;
        let mut out = Encoder::new(Vec::with_capacity(room));
        // Writing to memory cannot fail.
        let _ = out.array(FIELDS + u64::from(preview.is_some()));
        let _ = out.u64(VERSION);
        let _ = out.bytes(self.item.as_bytes());
        let _ = out.str(&self.name);
        let _ = out.str(&self.media_type);
        let _ = out.u64(self.layout.size());
        let _ = out.u64(self.layout.sealed_size());
        let _ = out.u32(self.layout.sealed_chunk());
        let _ = out.u8(self.cipher.code());
        let _ = out.bytes(self.sha256.as_bytes());
        let _ = out.bytes(self.root.as_bytes());
        match secrets {
            Some((key, _)) => drop(out.bytes(key.as_bytes())),
            None => drop(out.null()),
        }
        let _ = out.bytes(self.commitment.as_bytes());
        let _ = out.encode(self.label.map(Label::code));
        let _ = out.bool(self.malware);
        match &self.supersedes {
            Some(item) => drop(out.bytes(item.as_bytes())),
            None => drop(out.null()),
        }
        if let Some(preview) = preview {
            preview.write(&mut out);
        }
        Zeroizing::new(out.into_writer())
    }

    /// Reads a manifest with or without its key. Whether key and commitment fit is not looked at.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, Option<Secrets>), ItemError> {
        let mut input = Decoder::new(bytes);
        let fields = input.array().ok().flatten();
        match input.u64() {
            Ok(VERSION) if fields == Some(FIELDS) || fields == Some(FIELDS + 1) => {}
            Ok(version) if version > VERSION => return Err(ItemError::Version(version)),
            _ => return Err(wrong("version", "1, with 15 or 16 fields")),
        }
        let item = ItemId(fixed(&mut input, "item id", "16 bytes")?);
        let name = text(&mut input, "name")?;
        let media_type = text(&mut input, "media type")?;
        let layout = layout(&mut input)?;
        let cipher = field(input.u8(), "cipher", "1 or 2")?;
        let cipher = Cipher::from_code(cipher).ok_or(wrong("cipher", "1 or 2"))?;
        let sha256 = Digest(fixed(&mut input, "SHA-256", "32 bytes")?);
        let root = Digest(fixed(&mut input, "root", "32 bytes")?);
        let key = match null(&mut input) {
            true => None,
            false => {
                let key = Zeroizing::new(fixed(&mut input, "key", "32 bytes")?);
                Some(ItemKey::from_bytes(*key))
            }
        };
        let described = Self {
            item,
            name,
            media_type,
            layout,
            cipher,
            sha256,
            root,
            commitment: Digest(fixed(&mut input, "commitment", "32 bytes")?),
            label: label(&mut input)?,
            malware: field(input.bool(), "malware", "true or false")?,
            supersedes: supersedes(&mut input)?,
        };
        let preview = match fields == Some(FIELDS + 1) {
            true => Some(preview(&mut input)?),
            false => None,
        };
        if preview.is_some() && (described.malware || key.is_none()) {
            return Err(wrong("preview", "left out, as of a sample or with the key"));
        }
        described.check()?;
        let told = key.as_ref().map(|key| (key, preview.as_ref()));
        match described.write(told).as_slice() == bytes {
            true => Ok((described, key.map(|key| (key, preview)))),
            false => Err(wrong("encoding", "deterministic CBOR, or more follows it")),
        }
    }
}

/// Neither name nor digest: what is logged.
impl fmt::Debug for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Described")
            .field("item", &self.item)
            .field("size", &self.layout.size())
            .finish_non_exhaustive()
    }
}

fn wrong(field: &'static str, expected: &'static str) -> ItemError {
    ItemError::Manifest { field, expected }
}

fn field<T, E>(
    read: Result<T, E>,
    field: &'static str,
    expected: &'static str,
) -> Result<T, ItemError> {
    read.map_err(|_| wrong(field, expected))
}

fn fixed<const N: usize>(
    input: &mut Decoder<'_>,
    name: &'static str,
    expected: &'static str,
) -> Result<[u8; N], ItemError> {
    let bytes = field(input.bytes(), name, expected)?;
    field(bytes.try_into(), name, expected)
}

fn text(input: &mut Decoder<'_>, name: &'static str) -> Result<String, ItemError> {
    field(input.str(), name, "a text").map(str::to_owned)
}

fn layout(input: &mut Decoder<'_>) -> Result<Layout, ItemError> {
    let layout = Layout::of(field(input.u64(), "size", "a number")?)?;
    let sealed = field(input.u64(), "sealed size", "a number")?;
    let chunk = field(input.u32(), "chunk size", "a number")?;
    if sealed != layout.sealed_size() || chunk != layout.sealed_chunk() {
        return Err(wrong("sealed size or chunk size", "the one of that size"));
    }
    Ok(layout)
}

fn label(input: &mut Decoder<'_>) -> Result<Option<Label>, ItemError> {
    if null(input) {
        return Ok(None);
    }
    let expected = "null or a number from 0 to 4";
    let label = Label::from_code(field(input.u8(), "label", expected)?);
    label.map(Some).ok_or(wrong("label", expected))
}

fn supersedes(input: &mut Decoder<'_>) -> Result<Option<ItemId>, ItemError> {
    if null(input) {
        return Ok(None);
    }
    fixed(input, "superseded item", "null or 16 bytes").map(|id| Some(ItemId(id)))
}

fn preview(input: &mut Decoder<'_>) -> Result<Preview, ItemError> {
    let expected = "a small text or picture of the kind told";
    Preview::read(input).ok_or(wrong("preview", expected))
}

fn null(input: &mut Decoder<'_>) -> bool {
    let null = matches!(input.datatype(), Ok(Type::Null));
    null && input.null().is_ok()
}
