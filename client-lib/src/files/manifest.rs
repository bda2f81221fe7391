//! The manifest: all a recipient needs, and the only place where name, type, digest and key are.
//! It travels inside MLS messages only.
//!
//! Deterministic CBOR, an array of 15:
//!
//! ```text
//! version 1, item id, name, media type, size, sealed size, sealed chunk size, cipher,
//! SHA-256 of the file, root over the sealed chunks, key, key commitment, label or null,
//! carries malware, superseded item id or null
//! ```

use std::{fmt, path::Path};

use minicbor::{Decoder, Encoder, data::Type};
use plenary_proto::{
    ids::{Digest, ItemId},
    label::Label,
};
use zeroize::Zeroizing;

use super::{Cipher, ItemError, ItemKey, Layout, error::io, key::random};

const VERSION: u64 = 1;
const FIELDS: u64 = 15;

/// Bytes of a name. File systems allow 255; a name from elsewhere may be longer.
const MAX_NAME: usize = 1024;

/// Bytes of a media type (RFC 6838 allows 127 and 127, and parameters).
const MAX_MEDIA_TYPE: usize = 512;

/// An item before it is sealed: what it is called and the key it will get. Holds the key: keep it
/// where keys are kept ([`Plan::to_bytes`]), for resuming.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) item: ItemId,
    pub(super) key: ItemKey,
    pub(super) cipher: Cipher,
    pub(super) layout: Layout,
    name: String,
    media_type: String,
    label: Option<Label>,
    malware: bool,
    supersedes: Option<ItemId>,
}

/// A sealed item, as recipients are told of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Manifest {
    pub(super) plan: Plan,
    pub(super) sha256: Digest,
    pub(super) root: Digest,
}

impl Plan {
    /// A new item of `size` bytes, with a new id and key.
    ///
    /// # Errors
    /// When it is too large, name or media type is too long, or the system gives no randomness.
    pub fn new(
        name: impl Into<String>,
        media_type: impl Into<String>,
        size: u64,
    ) -> Result<Self, ItemError> {
        let plan = Self {
            item: ItemId(random()?),
            key: ItemKey::generate()?,
            cipher: Cipher::default(),
            layout: Layout::of(size)?,
            name: name.into(),
            media_type: media_type.into(),
            label: None,
            malware: false,
            supersedes: None,
        };
        plan.check()?;
        Ok(plan)
    }

    /// A new item of what is in a file now.
    ///
    /// # Errors
    /// As [`Plan::new`], or when the file cannot be looked at or is none.
    pub fn of_file(path: &Path, media_type: impl Into<String>) -> Result<Self, ItemError> {
        let doing = "looking at the file to send";
        let found = path.metadata().map_err(io(doing))?;
        if !found.is_file() {
            return Err(ItemError::Io {
                doing,
                kind: std::io::ErrorKind::InvalidInput,
            });
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self::new(name, media_type, found.len())
    }

    /// With a handling label.
    pub fn label(mut self, label: Label) -> Self {
        self.label = Some(label);
        self
    }

    /// Marked as carrying malware: evidence, not to be opened by accident.
    pub fn malware(mut self) -> Self {
        self.malware = true;
        self
    }

    /// In place of an earlier item.
    pub fn supersedes(mut self, item: ItemId) -> Self {
        self.supersedes = Some(item);
        self
    }

    /// With another cipher than AES-256-GCM.
    pub fn cipher(mut self, cipher: Cipher) -> Self {
        self.cipher = cipher;
        self
    }

    /// Whether both tell recipients the same, but for the item and its key.
    pub(crate) fn tells_as(&self, other: &Self) -> bool {
        let told = |plan: &Self| (plan.label, plan.malware, plan.supersedes);
        told(self) == told(other)
            && self.layout.size() == other.layout.size()
            && self.name == other.name
            && self.media_type == other.media_type
    }

    /// The item.
    pub fn item(&self) -> ItemId {
        self.item
    }

    /// How it is cut.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// For the sender's store, key included. Read back by [`Plan::from_bytes`].
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        // A plan is a manifest of nothing yet: one form, one reader.
        Manifest {
            plan: self.clone(),
            sha256: Digest([0; 32]),
            root: Digest([0; 32]),
        }
        .encode()
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ItemError> {
        Manifest::decode(bytes).map(|manifest| manifest.plan)
    }

    fn check(&self) -> Result<(), ItemError> {
        let wrong = |field, expected| Err(ItemError::Manifest { field, expected });
        match (self.name.len(), self.media_type.len()) {
            (1..=MAX_NAME, 0..=MAX_MEDIA_TYPE) => Ok(()),
            (1..=MAX_NAME, _) => wrong("media type", "at most 512 bytes"),
            _ => wrong("name", "1 to 1,024 bytes"),
        }
    }
}

impl Manifest {
    /// The item.
    pub fn item(&self) -> ItemId {
        self.plan.item
    }

    /// The name as the sender gave it: not for a file system (see [`super::name::clean`]).
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// The media type as the sender gave it; may be empty.
    pub fn media_type(&self) -> &str {
        &self.plan.media_type
    }

    /// Bytes of the file.
    pub fn size(&self) -> u64 {
        self.plan.layout.size()
    }

    /// How it is cut, and the sealed sizes.
    pub fn layout(&self) -> &Layout {
        &self.plan.layout
    }

    /// SHA-256 of the file: the number in the expert's report.
    pub fn sha256(&self) -> &Digest {
        &self.sha256
    }

    /// Root over the sealed chunks: what the server has, too.
    pub fn root(&self) -> &Digest {
        &self.root
    }

    /// The handling label.
    pub fn label(&self) -> Option<Label> {
        self.plan.label
    }

    /// Whether the sender marked it as carrying malware.
    pub fn carries_malware(&self) -> bool {
        self.plan.malware
    }

    /// The item this one replaces.
    pub fn supersedes(&self) -> Option<ItemId> {
        self.plan.supersedes
    }

    /// The bytes for [`crate::content::Draft::item`]. They hold the key.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let plan = &self.plan;
        // Room enough that no copy of the key is left behind by growing.
        let room = 512 + plan.name.len() + plan.media_type.len();
        let mut out = Encoder::new(Vec::with_capacity(room));
        // Writing to memory cannot fail.
        let _ = out.array(FIELDS);
        let _ = out.u64(VERSION);
        let _ = out.bytes(plan.item.as_bytes());
        let _ = out.str(&plan.name);
        let _ = out.str(&plan.media_type);
        let _ = out.u64(plan.layout.size());
        let _ = out.u64(plan.layout.sealed_size());
        let _ = out.u32(plan.layout.sealed_chunk());
        let _ = out.u8(plan.cipher.code());
        let _ = out.bytes(self.sha256.as_bytes());
        let _ = out.bytes(self.root.as_bytes());
        let _ = out.bytes(plan.key.as_bytes());
        // Derivation fails for no key; an empty commitment would be refused by every reader.
        let commitment = plan.key.commitment(plan.item, plan.cipher);
        let _ = out.bytes(commitment.as_ref().map_or(&[], |it| it.as_bytes()));
        let _ = out.encode(plan.label.map(Label::code));
        let _ = out.bool(plan.malware);
        match &plan.supersedes {
            Some(item) => drop(out.bytes(item.as_bytes())),
            None => drop(out.null()),
        }
        Zeroizing::new(out.into_writer())
    }

    /// Reads a manifest; sizes and commitment must fit the rest.
    ///
    /// # Errors
    /// When it is from a newer client, or not exactly what [`Manifest::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        let mut input = Decoder::new(bytes);
        let fields = input.array().ok().flatten();
        match input.u64() {
            Ok(VERSION) if fields == Some(FIELDS) => {}
            Ok(version) if version > VERSION => return Err(ItemError::Version(version)),
            _ => return Err(wrong("version", "1, with 15 fields")),
        }
        let item = ItemId(fixed(&mut input, "item id", "16 bytes")?);
        let name = text(&mut input, "name")?;
        let media_type = text(&mut input, "media type")?;
        let layout = layout(&mut input)?;
        let cipher = field(input.u8(), "cipher", "1 or 2")?;
        let cipher = Cipher::from_code(cipher).ok_or(wrong("cipher", "1 or 2"))?;
        let sha256 = Digest(fixed(&mut input, "SHA-256", "32 bytes")?);
        let root = Digest(fixed(&mut input, "root", "32 bytes")?);
        let key = Zeroizing::new(fixed(&mut input, "key", "32 bytes")?);
        let key = ItemKey::from_bytes(*key);
        let commitment = Digest(fixed(&mut input, "commitment", "32 bytes")?);
        if commitment != key.commitment(item, cipher)? {
            return Err(ItemError::WrongKey);
        }
        let plan = Plan {
            item,
            key,
            cipher,
            layout,
            name,
            media_type,
            label: label(&mut input)?,
            malware: field(input.bool(), "malware", "true or false")?,
            supersedes: supersedes(&mut input)?,
        };
        plan.check()?;
        let manifest = Self { plan, sha256, root };
        match manifest.encode().as_slice() == bytes {
            true => Ok(manifest),
            false => Err(wrong("encoding", "deterministic CBOR, or more follows it")),
        }
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

fn null(input: &mut Decoder<'_>) -> bool {
    let null = matches!(input.datatype(), Ok(Type::Null));
    null && input.null().is_ok()
}

/// Neither name nor key nor digest: what is logged.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("item", &self.item)
            .field("size", &self.layout.size())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manifest")
            .field("item", &self.plan.item)
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}
