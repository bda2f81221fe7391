//! The manifest: all a recipient needs, and the only place where name, type, digest and key are.
//! It travels inside MLS messages only.
//!
//! Deterministic CBOR, an array of 15, or 16 with a preview:
//!
//! ```text
//! version 1, item id, name, media type, size, sealed size, sealed chunk size, cipher,
//! SHA-256 of the file, root over the sealed chunks, key, key commitment, label or null,
//! carries malware, superseded item id or null[, preview [kind, bytes]]
//! ```

use std::{fmt, path::Path};

use plenary_proto::{
    ids::{Digest, ItemId},
    label::Label,
};
use zeroize::Zeroizing;

use super::{Cipher, Described, ItemError, ItemKey, Layout, Preview, error::io, key::random};

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
    pub(super) preview: Option<Preview>,
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
            preview: None,
        };
        Manifest::of_nothing(&plan).describe().check()?;
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

    /// With a preview, which everybody in the channel gets with the message. What carries malware has
    /// none: it is left out.
    pub fn preview(mut self, preview: Preview) -> Self {
        self.preview = Some(preview);
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
            && self.shown() == other.shown()
            && self.layout.size() == other.layout.size()
            && self.name == other.name
            && self.media_type == other.media_type
    }

    /// The same to recipients, as another item under another key.
    pub(crate) fn renewed(&self) -> Result<Self, ItemError> {
        Ok(Self {
            item: ItemId(random()?),
            key: ItemKey::generate()?,
            ..self.clone()
        })
    }

    fn shown(&self) -> Option<&Preview> {
        self.preview.as_ref().filter(|_| !self.malware)
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
        // One form, one reader.
        Manifest::of_nothing(self).encode()
    }

    /// Reads what [`Plan::to_bytes`] wrote.
    ///
    /// # Errors
    /// When it is not that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ItemError> {
        Manifest::decode(bytes).map(|manifest| manifest.plan)
    }
}

impl Manifest {
    /// A plan as the manifest of nothing yet.
    fn of_nothing(plan: &Plan) -> Self {
        Self {
            plan: plan.clone(),
            sha256: Digest([0; 32]),
            root: Digest([0; 32]),
        }
    }

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

    /// What its sender shows of it before it is fetched.
    pub fn preview(&self) -> Option<&Preview> {
        self.plan.shown()
    }

    /// What it says, key and preview left out.
    pub fn describe(&self) -> Described {
        let plan = &self.plan;
        Described {
            item: plan.item,
            name: plan.name.clone(),
            media_type: plan.media_type.clone(),
            layout: plan.layout,
            cipher: plan.cipher,
            sha256: self.sha256,
            root: self.root,
            // Derivation fails for no key; a wrong commitment is refused by every reader.
            commitment: plan
                .key
                .commitment(plan.item, plan.cipher)
                .unwrap_or(Digest([0; 32])),
            label: plan.label,
            malware: plan.malware,
            supersedes: plan.supersedes,
        }
    }

    /// The bytes for [`crate::content::Draft::item`]. They hold the key.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        self.describe()
            .write(Some((&self.plan.key, self.preview())))
    }

    /// Reads a manifest; sizes and commitment must fit the rest.
    ///
    /// # Errors
    /// When it is from a newer client, or not exactly what [`Manifest::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        let (described, secrets) = Described::read(bytes)?;
        let (key, preview) = secrets.ok_or(ItemError::Manifest {
            field: "key",
            expected: "32 bytes",
        })?;
        if described.commitment != key.commitment(described.item, described.cipher)? {
            return Err(ItemError::WrongKey);
        }
        let Described {
            item,
            name,
            media_type,
            layout,
            cipher,
            sha256,
            root,
            label,
            malware,
            supersedes,
            ..
        } = described;
        Ok(Self {
            plan: Plan {
                item,
                key,
                cipher,
                layout,
                name,
                media_type,
                label,
                malware,
                supersedes,
                preview,
            },
            sha256,
            root,
        })
    }
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
