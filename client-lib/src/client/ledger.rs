//! The ledger in words: what the Board said, when, and who signed it.

use plenary_certs::{
    board::{Facts, Words, describe},
    ledger::{Body, Kind, Ledger, Root, SignedStatement, Signer, Statement, Subject},
    profile::SaltedProfile,
};
use plenary_proto::ids::{DeviceId, Digest, LedgerSeq, MemberId, UnixMillis};

use super::{Client, board::known_name};
use crate::{engine::Engine, error::Error};

/// Up to where the notices were read.
const READ: &str = "notices-read";

/// A statement of the ledger, as members are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Notice {
    /// Its position.
    pub seq: LedgerSeq,
    /// When it was drafted, by its author's clock.
    pub time: UnixMillis,
    /// Its kind.
    pub kind: Kind,
    /// The first statement of this kind about this subject.
    pub first: bool,
    /// What it is about.
    pub subject: Subject,
    /// What it says.
    pub words: Words,
    /// Who signed it.
    pub signers: Vec<Signatory>,
    /// Whether the name that it carries is known here. It comes a moment after the statement.
    pub named: bool,
}

/// Who signed a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Signatory {
    /// The person of the Board, or whose device it was; none for the recovery role.
    pub member: Option<MemberId>,
    /// What they are called, or the key.
    pub name: String,
}

impl Client {
    /// Statements after a position, at most so many, oldest first.
    pub async fn notices(&self, after: LedgerSeq, limit: usize) -> Result<Vec<Notice>, Error> {
        self.driver
            .run(move |engine, _| Ok(notices(engine, after, limit)))
            .await
    }

    /// Up to where the notices were read: what was there when this device was accepted, or what
    /// [`Client::read_notices`] said last.
    pub async fn notices_read(&self) -> Result<LedgerSeq, Error> {
        self.driver
            .run(|engine, _| {
                let read = engine.store().meta(READ)?;
                let read = read.and_then(|bytes| bytes.as_slice().try_into().ok());
                let own = engine.identity().device();
                let accepted = engine.read_ledger_with(|ledger| {
                    let device = ledger.device(own)?;
                    device.vouchers.iter().next().map(|(seq, _)| *seq)
                });
                Ok(match read {
                    Some(bytes) => LedgerSeq(u64::from_be_bytes(bytes)),
                    None => accepted.unwrap_or(LedgerSeq(0)),
                })
            })
            .await
    }

    /// Says that the notices were read up to a position.
    pub async fn read_notices(&self, through: LedgerSeq) -> Result<(), Error> {
        self.driver
            .run(move |engine, _| engine.store().put_meta(READ, &through.0.to_be_bytes()))
            .await
    }
}

/// See [`Client::notices`].
pub(crate) fn notices(engine: &Engine, after: LedgerSeq, limit: usize) -> Vec<Notice> {
    let entries: Vec<_> = engine.read_ledger_with(|ledger| {
        let entries = ledger.entries_after(after).take(limit);
        entries
            .filter_map(|(seq, entry)| {
                let (signed, statement) = SignedStatement::decode(entry).ok()?;
                let known = Known::of(ledger, &statement);
                let signers: Vec<_> = signed
                    .signatures()
                    .iter()
                    .map(|one| (one.signer, known.who(ledger, one.signer)))
                    .collect();
                Some((seq, statement, known, signers))
            })
            .collect()
    });
    let notice = |(seq, statement, mut known, signers): (_, Statement, Known, Vec<_>)| {
        known.engine = Some(engine);
        let signers = signers
            .into_iter()
            .map(|(signer, member): (Signer, Option<MemberId>)| Signatory {
                name: member
                    .and_then(|member| known_name(engine, Subject::Member(member)))
                    .unwrap_or_else(|| match member {
                        Some(member) => Subject::Member(member).to_string(),
                        None => signer.to_string(),
                    }),
                member,
            });
        let named = match &statement.body {
            Body::Admit(admit) => engine.profile(&admit.profile).is_some(),
            Body::Channel(channel) => engine.profile(&channel.profile).is_some(),
            _ => true,
        };
        Notice {
            seq,
            time: statement.time,
            kind: statement.kind(),
            first: statement.version <= 1,
            subject: statement.subject(),
            signers: signers.collect(),
            words: describe(&statement, &known),
            named,
        }
    };
    entries.into_iter().map(notice).collect()
}

/// What the ledger says beside a statement, taken out of it: names are asked for afterwards.
struct Known<'a> {
    engine: Option<&'a Engine>,
    before: Option<Body>,
    root: Option<Root>,
    next: Option<Root>,
}

impl Known<'_> {
    fn of(ledger: &Ledger, statement: &Statement) -> Self {
        let before = ledger.before(statement);
        let before = before.and_then(|seq| ledger.statement(seq));
        Self {
            engine: None,
            before: before.map(|statement| statement.body),
            root: ledger.root_of(statement.root_version).cloned(),
            next: match &statement.body {
                Body::Root(root) => Some(root.clone()),
                _ => None,
            },
        }
    }

    /// Whose signature it is.
    fn who(&self, ledger: &Ledger, signer: Signer) -> Option<MemberId> {
        let roots = || self.root.iter().chain(&self.next);
        match signer {
            Signer::Board(key) => roots().find_map(|root| root.person(&key)),
            Signer::Device(device) => ledger.device(device).map(|device| device.member),
            Signer::Recovery(_) => None,
        }
    }
}

impl Facts for Known<'_> {
    fn name(&self, subject: Subject) -> Option<String> {
        known_name(self.engine?, subject)
    }

    fn profile(&self, hash: &Digest) -> Option<SaltedProfile> {
        self.engine?.profile(hash).cloned()
    }

    fn root(&self, _version: u32) -> Option<Root> {
        self.root.clone()
    }

    fn before(&self, _statement: &Statement) -> Option<Body> {
        self.before.clone()
    }

    fn application(&self, _device: DeviceId) -> Vec<String> {
        Vec::new()
    }
}
