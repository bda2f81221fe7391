//! Checking a bundle, offline, on a machine that knows nothing.

use std::{fs, fs::File, path::Path};

use plenary_certs::custody::{Act, Authorities, Stamp};
use plenary_proto::ids::{DeviceId, Digest, ItemId, MemberId, NetworkId, UnixMillis};

use super::{
    Fault, bag,
    evidence::{AUTHORITIES, Checked, Evidence, LEDGER, MANIFEST, MESSAGE, PROFILES, STATEMENTS},
    packed, page,
};
use crate::files::{Described, name, sample_name};

pub(crate) const ORIGINAL: &str = "data/original";
pub(super) const PAGE: &str = "data/record.html";

/// What a bundle proves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verdict {
    /// The network.
    pub network: NetworkId,
    /// Hash of its ROOT 1: all rests on this being the one that the Board published.
    pub root1: Digest,
    /// The item.
    pub item: ItemId,
    /// The file's name, as its sender gave it.
    pub name: String,
    /// Its bytes.
    pub size: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Root over its sealed bytes: what the server countersigned.
    pub root: Digest,
    /// Whether the file itself is there. It was hashed, and sealed again to the same root.
    pub original: bool,
    /// Who handed it over.
    pub sender: Option<MemberId>,
    /// Their name.
    pub sender_name: Option<String>,
    /// Every statement, each after those that it names.
    pub statements: Vec<Said>,
    /// Statements that others name and that are not there.
    pub missing: Vec<Digest>,
    /// Whether the page says the same. Not known where another version of this program drew it.
    pub page: bool,
}

/// A statement that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Said {
    /// What was done.
    pub act: Act,
    /// By whom.
    pub member: MemberId,
    /// Their name, if the bundle has it.
    pub name: Option<String>,
    /// On which device.
    pub device: DeviceId,
    /// By its clock.
    pub time: UnixMillis,
    /// By the server's, if it countersigned.
    pub server_time: Option<UnixMillis>,
    /// By time-stamping services, if it was stamped.
    pub stamps: Vec<Stamp>,
    /// Names it.
    pub id: Digest,
}

/// Whether a path looks like a bundle: its folder, or that packed.
pub fn is_bundle(path: &Path) -> bool {
    path.join("bagit.txt").is_file() || packed::is_packed(path)
}

/// Checks a bundle, whole. `root1`: the hash that the network's Board published; without it, compare
/// [`Verdict::root1`] by hand. `authorities`: whom the reader trusts to tell the time; every time
/// stamp must lead to one of them then, and without them none is [`Stamp::backed`].
///
/// A packed one is unpacked into a temporary folder, which is removed.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(
    bundle: &Path,
    root1: Option<&Digest>,
    authorities: Option<&Authorities>,
) -> Result<Verdict, Fault> {
    if bundle.is_dir() {
        return verify_folder(bundle, root1, authorities);
    }
    let place = tempfile::tempdir().map_err(Fault::at("a temporary folder"))?;
    let folder = packed::unpack(bundle, place.path())?;
    let verdict = verify_folder(&folder, root1, authorities)?;
    packed::compare(&folder, bundle)?;
    Ok(verdict)
}

fn verify_folder(
    folder: &Path,
    root1: Option<&Digest>,
    authorities: Option<&Authorities>,
) -> Result<Verdict, Fault> {
    let files = bag::check(folder)?;
    let checked = Evidence::read(folder, &files)?.check(root1, authorities)?;
    let original = format!("{ORIGINAL}/{}", original_name(&checked.described));
    let there = files.contains_key(&original);
    let stranger = files.keys().find(|path| {
        let known = [
            LEDGER,
            PROFILES,
            MANIFEST,
            MESSAGE,
            AUTHORITIES,
            PAGE,
            original.as_str(),
        ];
        !known.contains(&path.as_str()) && !path.starts_with(&format!("{STATEMENTS}/"))
    });
    if let Some(stranger) = stranger {
        return Err(Fault::new(stranger, "does not belong to the bundle"));
    }
    match (&checked.manifest, there) {
        (Some(manifest), true) => {
            let mut file = File::open(folder.join(&original)).map_err(Fault::at(&original))?;
            manifest
                .check_file(&mut file)
                .map_err(Fault::at(&original))?;
        }
        (Some(_), false) => {
            return Err(Fault::new(
                original,
                "is missing: the message with its key is there",
            ));
        }
        (None, true) => {
            return Err(Fault::new(MESSAGE, "is missing: the original is there"));
        }
        (None, false) => {}
    }
    let mut found = verdict(&checked);
    let shown = fs::read(folder.join(PAGE)).map_err(Fault::at(PAGE))?;
    let shown = String::from_utf8(shown).map_err(Fault::at(PAGE))?;
    found.page = page::is_of_this_version(&shown);
    if found.page && shown != page::render(&checked) {
        return Err(Fault::new(PAGE, "does not say what the bundle proves"));
    }
    Ok(found)
}

/// Completes a folder in which the original lies: evidence, page, checksums.
pub(crate) fn finish(folder: &Path, evidence: &Evidence, made: UnixMillis) -> Result<(), Fault> {
    // Nobody is handed what does not hold.
    let checked = evidence.check(None, None)?;
    fs::create_dir_all(folder.join(bag::DATA)).map_err(Fault::at(bag::DATA))?;
    evidence.write(folder)?;
    bag::write(folder, PAGE, page::render(&checked).as_bytes())?;
    bag::close(folder, &checked.described.item().to_string(), made)
}

/// What the original is called within a bundle.
pub(crate) fn original_name(described: &Described) -> String {
    match described.carries_malware() {
        true => sample_name(described.sha256()),
        false => name::clean(described.name()),
    }
}

pub(super) fn verdict(checked: &Checked) -> Verdict {
    let described = &checked.described;
    let member = |device: DeviceId| Some(checked.ledger.device(device)?.member);
    let named = |member: MemberId| {
        let profile = checked.people.get(&member)?;
        Some(profile.name.clone())
    };
    let sender = member(checked.record.facts().depositor);
    let said = |(entry, said): (
        &plenary_certs::custody::Entry,
        &plenary_certs::custody::Statement,
    )| {
        // The record took nobody whom the ledger does not know.
        let member = member(said.device)?;
        Some(Said {
            act: said.act,
            member,
            name: named(member),
            device: said.device,
            time: said.time,
            server_time: entry.countersignature().map(|word| word.time),
            stamps: checked.stamps.get(&entry.id()).cloned().unwrap_or_default(),
            id: entry.id(),
        })
    };
    Verdict {
        network: checked.ledger.network(),
        root1: checked.ledger.root1(),
        item: described.item(),
        name: described.name().to_owned(),
        size: described.layout().size(),
        sha256: *described.sha256(),
        root: *described.root(),
        original: checked.manifest.is_some(),
        sender,
        sender_name: sender.and_then(named),
        statements: checked.record.entries().filter_map(said).collect(),
        missing: checked.record.missing().copied().collect(),
        page: true,
    }
}
