//! What a bundle holds beside the original, and what follows from it.

use std::{collections::BTreeMap, path::Path};

use minicbor::{Decode, Encode};
use plenary_certs::{
    custody::{Act, Added, Authorities, CustodyError, Entry, Facts, FileFacts, Record, Stamp},
    ledger::{Ledger, SignedStatement, root1_hash},
    profile::{ChannelProfile, MemberProfile, Profile, SaltedProfile},
};
use plenary_proto::ids::{ChannelId, ClientId, DeviceId, Digest, Epoch, MemberId, Signature};

use super::{
    Fault,
    bag::{self, Files},
};
use crate::{
    content::{Carries, Content, Envelope, Kind, SignedContext},
    files::{Described, Manifest},
};

pub(super) const LEDGER: &str = "data/ledger.cbor";
pub(super) const PROFILES: &str = "data/profiles.cbor";
pub(super) const MANIFEST: &str = "data/manifest.cbor";
pub(super) const MESSAGE: &str = "data/message.cbor";
/// Certificates that the exporter trusts to tell the time. A reader has to trust them, too.
pub(super) const AUTHORITIES: &str = "data/authorities.pem";
pub(super) const STATEMENTS: &str = "data/statements";

/// Bytes of one of these files: 10,000 statements of the Board are 4.2 MB.
const MAX_FILE: u64 = 256 << 20;

/// The message that handed an item over: all that its device signed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Carried {
    #[cbor(n(0), with = "minicbor::bytes")]
    pub(crate) channel: [u8; 16],
    #[n(1)]
    pub(crate) epoch: u64,
    #[cbor(n(2), with = "minicbor::bytes")]
    pub(crate) client_id: [u8; 16],
    #[cbor(n(3), with = "minicbor::bytes")]
    pub(crate) device: [u8; 16],
    #[cbor(n(4), with = "minicbor::bytes")]
    pub(crate) content: Vec<u8>,
    #[cbor(n(5), with = "minicbor::bytes")]
    pub(crate) signature: [u8; 64],
}

/// A list of byte strings.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct List {
    #[n(0)]
    entries: Vec<minicbor::bytes::ByteVec>,
}

/// As the exporter has it.
pub(crate) struct Parts {
    pub(crate) ledger: Vec<Vec<u8>>,
    pub(crate) profiles: Vec<SaltedProfile>,
    pub(crate) described: Described,
    pub(crate) message: Option<Carried>,
    pub(crate) entries: Vec<Entry>,
    /// PEM.
    pub(crate) authorities: Option<String>,
}

/// As it lies in the bundle: bytes that nothing is believed of yet.
pub(crate) struct Evidence {
    ledger: Vec<u8>,
    profiles: Vec<u8>,
    described: Vec<u8>,
    message: Option<Vec<u8>>,
    entries: Vec<Vec<u8>>,
    authorities: Option<Vec<u8>>,
}

/// What it proves.
pub(crate) struct Checked {
    pub(super) ledger: Ledger,
    pub(super) described: Described,
    /// With the key: only where the message is there.
    pub(super) manifest: Option<Manifest>,
    pub(super) record: Record,
    /// By statement: what its tokens prove.
    pub(super) stamps: BTreeMap<Digest, Vec<Stamp>>,
    pub(super) people: BTreeMap<MemberId, MemberProfile>,
    pub(super) channel: Option<ChannelProfile>,
}

impl Evidence {
    pub(crate) fn of(parts: &Parts) -> Self {
        let list = |entries: Vec<Vec<u8>>| {
            encode(&List {
                entries: entries.into_iter().map(Into::into).collect(),
            })
        };
        let mut profiles: Vec<_> = parts.profiles.iter().collect();
        profiles.sort_by_key(|profile| profile.hash());
        profiles.dedup_by_key(|profile| profile.hash());
        Self {
            ledger: list(parts.ledger.clone()),
            profiles: list(profiles.iter().map(|profile| profile.encode()).collect()),
            described: parts.described.encode(),
            message: parts.message.as_ref().map(encode),
            entries: parts.entries.iter().map(Entry::encode).collect(),
            authorities: parts.authorities.clone().map(String::into_bytes),
        }
    }

    /// Writes all of it below a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<(), Fault> {
        let statements = folder.join(STATEMENTS);
        std::fs::create_dir_all(statements).map_err(Fault::at(STATEMENTS))?;
        bag::write(folder, LEDGER, &self.ledger)?;
        bag::write(folder, PROFILES, &self.profiles)?;
        bag::write(folder, MANIFEST, &self.described)?;
        if let Some(message) = &self.message {
            bag::write(folder, MESSAGE, message)?;
        }
        if let Some(authorities) = &self.authorities {
            bag::write(folder, AUTHORITIES, authorities)?;
        }
        for (number, bytes) in self.entries.iter().enumerate() {
            let entry = Entry::decode(bytes).map_err(Fault::at(STATEMENTS))?;
            let said = entry.statement().map_err(Fault::at(STATEMENTS))?;
            bag::write(folder, &statement_path(number, said.act), bytes)?;
        }
        Ok(())
    }

    /// Reads it from below a folder whose files are known.
    pub(super) fn read(folder: &Path, files: &Files) -> Result<Self, Fault> {
        let read = |path: &str| match files.get(path) {
            None => Err(Fault::new(path, "is missing")),
            Some(size) if *size > MAX_FILE => Err(Fault::new(path, "is too large")),
            Some(_) => std::fs::read(folder.join(path)).map_err(Fault::at(path)),
        };
        let mut entries = Vec::new();
        // By name, which is their order.
        for path in files.keys().filter(|path| path.starts_with(STATEMENTS)) {
            let bytes = read(path)?;
            let said = Entry::decode(&bytes)
                .and_then(|entry| entry.statement())
                .map_err(Fault::at(path))?;
            let expected = statement_path(entries.len(), said.act);
            if *path != expected {
                let what = format!("should be called {expected}: one is missing or renamed");
                return Err(Fault::new(path, what));
            }
            entries.push(bytes);
        }
        Ok(Self {
            ledger: read(LEDGER)?,
            profiles: read(PROFILES)?,
            described: read(MANIFEST)?,
            message: match files.contains_key(MESSAGE) {
                true => Some(read(MESSAGE)?),
                false => None,
            },
            entries,
            authorities: match files.contains_key(AUTHORITIES) {
                true => Some(read(AUTHORITIES)?),
                false => None,
            },
        })
    }

    /// Checks everything against everything, from the Board's keys up. `authorities`: whom time
    /// stamps must lead to; without them, each shows who signed it and no more.
    pub(crate) fn check(
        &self,
        root1: Option<&Digest>,
        authorities: Option<&Authorities>,
    ) -> Result<Checked, Fault> {
        if let Some(pem) = &self.authorities {
            Authorities::from_pem(pem).map_err(Fault::at(AUTHORITIES))?;
        }
        let ledger = ledger(&self.ledger, root1)?;
        let (people, channels) = names(&self.profiles, &ledger)?;
        let described = Described::decode(&self.described).map_err(Fault::at(MANIFEST))?;
        let message = match &self.message {
            Some(bytes) => Some(carried(bytes, &ledger, &described)?),
            None => None,
        };
        let (record, channel) = self.record(&ledger, &described, message.as_ref())?;
        let stamps = stamps(&record, authorities)?;
        let profile = ledger
            .channel(channel)
            .and_then(|channel| channel.current());
        let channel = profile.and_then(|body| channels.get(&body.profile).cloned());
        Ok(Checked {
            ledger,
            described,
            manifest: message.map(|(_, manifest)| manifest),
            record,
            stamps,
            people,
            channel,
        })
    }

    fn record(
        &self,
        ledger: &Ledger,
        described: &Described,
        message: Option<&(Carried, Manifest)>,
    ) -> Result<(Record, ChannelId), Fault> {
        let mut entries = Vec::new();
        for (number, bytes) in self.entries.iter().enumerate() {
            let entry = Entry::decode(bytes).map_err(Fault::at(STATEMENTS))?;
            let said = entry.statement().map_err(Fault::at(STATEMENTS))?;
            entries.push((statement_path(number, said.act), entry, said));
        }
        let deposited = entries
            .iter()
            .find(|(_, _, said)| said.act == Act::Deposited);
        let (depositor, channel) = match (message, deposited) {
            (Some((carried, _)), _) => (DeviceId(carried.device), ChannelId(carried.channel)),
            (None, Some((_, _, said))) => (said.device, said.channel),
            (None, None) => {
                let what = "nobody states to have deposited the file, and its message is not here";
                return Err(Fault::new(STATEMENTS, what));
            }
        };
        let mut record = Record::new(Facts {
            network: ledger.network(),
            item: described.item(),
            channel,
            depositor,
            manifest: described.hash(),
            root: *described.root(),
            file: FileFacts {
                sha256: *described.sha256(),
                size: described.layout().size(),
            },
        });
        for (path, entry, _) in entries {
            match record.add(entry, ledger) {
                Ok(Added::New) => {}
                Ok(Added::Known) => return Err(Fault::new(path, "is there twice")),
                Err(error) => return Err(Fault::new(path, error)),
            }
        }
        Ok((record, channel))
    }
}

/// What every statement's tokens prove; one that does not hold is a fault.
fn stamps(
    record: &Record,
    authorities: Option<&Authorities>,
) -> Result<BTreeMap<Digest, Vec<Stamp>>, Fault> {
    let mut all = BTreeMap::new();
    for (number, (entry, said)) in record.entries().enumerate() {
        let stamps = entry.stamps(authorities).map_err(|error| {
            let path = statement_path(number, said.act);
            Fault::new(path, CustodyError::from(error))
        })?;
        if !stamps.is_empty() {
            all.insert(entry.id(), stamps);
        }
    }
    Ok(all)
}

/// Where the n-th statement lies.
fn statement_path(number: usize, act: Act) -> String {
    format!("{STATEMENTS}/{:05}-{act}.cbor", number + 1)
}

fn ledger(bytes: &[u8], root1: Option<&Digest>) -> Result<Ledger, Fault> {
    let list: List = decode(LEDGER, bytes)?;
    let first = list
        .entries
        .first()
        .ok_or_else(|| Fault::new(LEDGER, "is empty"))?;
    let (signed, statement) = SignedStatement::decode(first).map_err(Fault::at(LEDGER))?;
    let found = root1_hash(signed.statement());
    if let Some(root1) = root1.filter(|root1| **root1 != found) {
        let what = format!("begins with ROOT 1 of hash {found}, not {root1}: another network's");
        return Err(Fault::new(LEDGER, what));
    }
    let mut ledger = Ledger::new(statement.network, found);
    for (number, entry) in list.entries.iter().enumerate() {
        ledger.append(entry).map_err(|error| {
            Fault::new(
                LEDGER,
                format!("statement {} of the Board: {error}", number + 1),
            )
        })?;
    }
    Ok(ledger)
}

type Names = (
    BTreeMap<MemberId, MemberProfile>,
    BTreeMap<Digest, ChannelProfile>,
);

/// Names that the ledger's hashes bear out; any other is a fault.
fn names(bytes: &[u8], ledger: &Ledger) -> Result<Names, Fault> {
    let list: List = decode(PROFILES, bytes)?;
    let (mut people, mut channels) = Names::default();
    let mut last = None;
    for entry in &list.entries {
        let profile = SaltedProfile::decode(entry).map_err(Fault::at(PROFILES))?;
        let hash = profile.hash();
        if last.replace(hash).is_some_and(|last| last >= hash) {
            return Err(Fault::new(PROFILES, "is not in order"));
        }
        let member = ledger.members().find(|member| {
            let mut admissions = member.admissions.iter();
            admissions.any(|(_, admit)| admit.profile == hash)
        });
        let channel = ledger.channels().any(|channel| {
            let mut versions = channel.versions.iter();
            versions.any(|(_, body)| body.profile == hash)
        });
        match (profile.profile(), member) {
            (Profile::Member(profile), Some(member)) => {
                people.insert(member.id, profile.clone());
            }
            (Profile::Channel(profile), _) if channel => {
                channels.insert(hash, profile.clone());
            }
            _ => {
                let what = "holds a name that the Board's ledger does not bear out";
                return Err(Fault::new(PROFILES, what));
            }
        }
    }
    Ok((people, channels))
}

/// The message, if its device signed it and it carries this manifest.
fn carried(
    bytes: &[u8],
    ledger: &Ledger,
    described: &Described,
) -> Result<(Carried, Manifest), Fault> {
    let carried: Carried = decode(MESSAGE, bytes)?;
    let device = ledger
        .device(DeviceId(carried.device))
        .ok_or_else(|| Fault::new(MESSAGE, "is by a device that the ledger does not know"))?;
    let envelope = Envelope {
        carries: Carries::Content,
        content: carried.content.clone(),
        signature: Signature(carried.signature),
    };
    let context = SignedContext {
        network: ledger.network(),
        channel: ChannelId(carried.channel),
        epoch: Epoch(carried.epoch),
        client_id: ClientId(carried.client_id),
    };
    envelope
        .verify(&context, &device.keys.mls)
        .map_err(Fault::at(MESSAGE))?;
    let content = Content::decode(&carried.content).map_err(Fault::at(MESSAGE))?;
    let Kind::Item(manifest) = content.kind() else {
        return Err(Fault::new(MESSAGE, "hands over no file"));
    };
    let manifest = Manifest::decode(manifest).map_err(Fault::at(MESSAGE))?;
    if manifest.describe() != *described {
        let what = "is not what the message's manifest says";
        return Err(Fault::new(MANIFEST, what));
    }
    Ok((carried, manifest))
}

fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    // Writing to memory cannot fail.
    minicbor::to_vec(value).unwrap_or_default()
}

/// Exactly the bytes that [`encode`] writes.
fn decode<T>(place: &str, bytes: &[u8]) -> Result<T, Fault>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let value: T = minicbor::decode(bytes).map_err(Fault::at(place))?;
    match encode(&value) == bytes {
        true => Ok(value),
        false => Err(Fault::new(place, "is not in its one encoding")),
    }
}
