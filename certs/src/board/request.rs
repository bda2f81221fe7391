//! Signing by files: a request goes to each person of the Board, signature files come back.

use std::collections::{BTreeMap, BTreeSet};

use plenary_proto::ids::{DeviceId, Digest, NetworkId};

use super::{BoardKey, Facts, RecoveryKey, Words, describe, moment, tally};
use crate::{
    admission::{AdmissionError, Application, Contact},
    cbor::{self, Bytes, CborError, cbor_struct},
    fingerprint,
    ledger::{
        Body, Extract, Kind, LedgerError, Root, Signed, SignedStatement, Signer, Statement,
        Subject, hash, root1_hash, sign_as_board, sign_as_recovery, signed, statement_id,
    },
    profile::{ProfileError, SaltedProfile},
    text::{self, TextError},
};

const REQUEST: &str = "plenary board request v1";
const SIGNATURES: &str = "plenary board signatures v1";
const TAG: &[u8] = b"plenary board request v1\0";

/// Statements in one request: what a person can still read.
const STATEMENTS: usize = 256;

/// Statements that wait for signatures, with what somebody needs to know who reads them away from
/// the network: names, an extract of the ledger, who asks to be admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    statements: Vec<Statement>,
    profiles: Vec<SaltedProfile>,
    entries: Vec<Bytes>,
    extract: Extract,
    applications: Vec<Application>,
}

/// One person's signatures for one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureFile {
    /// Which request.
    request: Digest,
    signatures: Vec<(Digest, Signed)>,
}

/// Why a request or signature file is no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum RequestError {
    #[error("a request has 1 to {STATEMENTS} statements, not {0}")]
    Count(usize),
    #[error("a request is about one network, this one is about {0} and {1}")]
    TwoNetworks(NetworkId, NetworkId),
    #[error("the statement {} is there twice", fingerprint::of_digest(.0))]
    Twice(Digest),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("malformed file: {0}")]
    Malformed(#[from] CborError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("the extract of the ledger in the request does not hold: {0}")]
    Extract(LedgerError),
    #[error("a request for admission in it does not hold: {0}")]
    Application(AdmissionError),
    #[error(
        "the signatures are for the request {}, not for {}",
        fingerprint::of_digest(.got),
        fingerprint::of_digest(.expected)
    )]
    OtherRequest { expected: Digest, got: Digest },
    #[error(
        "signed the statement {}, which the request does not hold",
        fingerprint::of_digest(.0)
    )]
    UnknownStatement(Digest),
    #[error("the signature of {0} does not verify")]
    BadSignature(Signer),
    #[error("{0}")]
    NothingToSign(&'static str),
}

struct RequestBytes {
    statements: Vec<Bytes>,
    profiles: Vec<SaltedProfile>,
    entries: Vec<Bytes>,
    applications: Vec<Application>,
}

cbor_struct!(RequestBytes {
    statements,
    profiles,
    entries,
    applications
});
cbor_struct!(SignatureFile {
    request,
    signatures
});

impl Request {
    /// Statements (see [`crate::ledger::Ledger::draft_all`]) and the profiles whose hashes they
    /// carry.
    ///
    /// # Errors
    /// [`RequestError::Count`], [`RequestError::TwoNetworks`], [`RequestError::Twice`].
    pub fn new(
        statements: Vec<Statement>,
        profiles: Vec<SaltedProfile>,
    ) -> Result<Self, RequestError> {
        if statements.is_empty() || statements.len() > STATEMENTS {
            return Err(RequestError::Count(statements.len()));
        }
        let network = statements[0].network;
        let mut seen = BTreeSet::new();
        for statement in &statements {
            if statement.network != network {
                return Err(RequestError::TwoNetworks(network, statement.network));
            }
            if !seen.insert(statement.id()) {
                return Err(RequestError::Twice(statement.id()));
            }
        }
        Ok(Self {
            statements,
            profiles,
            entries: Vec::new(),
            extract: Extract::default(),
            applications: Vec::new(),
        })
    }

    /// Adds signed statements out of the ledger (see [`crate::ledger::Ledger::extract`]), and who
    /// asks to be admitted.
    ///
    /// # Errors
    /// [`RequestError::Extract`], [`RequestError::TwoNetworks`], [`RequestError::Application`].
    pub fn with(
        mut self,
        entries: Vec<Vec<u8>>,
        applications: Vec<Application>,
    ) -> Result<Self, RequestError> {
        let slices = entries.iter().map(Vec::as_slice);
        self.extract = Extract::verify(slices).map_err(RequestError::Extract)?;
        let network = self.network();
        if let Some(other) = self.extract.network().filter(|other| *other != network) {
            return Err(RequestError::TwoNetworks(network, other));
        }
        for application in &applications {
            application
                .verify(network)
                .map_err(RequestError::Application)?;
        }
        self.entries = entries.into_iter().map(Bytes).collect();
        self.applications = applications;
        Ok(self)
    }

    /// The text of the file. Holds names: not for the server.
    pub fn to_text(&self) -> String {
        let statements = self.statements.iter();
        let bytes = RequestBytes {
            statements: statements.map(|one| Bytes(one.encode())).collect(),
            profiles: self.profiles.clone(),
            entries: self.entries.clone(),
            applications: self.applications.clone(),
        };
        text::print(REQUEST, &cbor::encode(&bytes))
    }

    /// Reads the text of a file; verifies the extract of the ledger in it.
    ///
    /// # Errors
    /// Any [`RequestError`] about requests.
    pub fn parse(file: &str) -> Result<Self, RequestError> {
        let bytes: RequestBytes = cbor::decode(&text::parse(REQUEST, file)?)?;
        let statements = bytes.statements.iter();
        let statements: Result<_, _> = statements.map(|one| Statement::decode(&one.0)).collect();
        for profile in &bytes.profiles {
            SaltedProfile::decode(&profile.encode())?;
        }
        let entries = bytes.entries.into_iter().map(|one| one.0).collect();
        Self::new(statements?, bytes.profiles)?.with(entries, bytes.applications)
    }

    /// Names the request: both sides may read it to one another. Names, extract and applications
    /// are not in it: they are there to be read, and verified by themselves.
    pub fn id(&self) -> Digest {
        let mut parts = vec![TAG.to_vec()];
        let ids = self.statements.iter().map(|one| one.id().0.to_vec());
        parts.extend(ids);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        hash(&parts)
    }

    /// The network that it is about.
    pub fn network(&self) -> NetworkId {
        // There is one: `new` counts them.
        self.statements
            .first()
            .map_or(NetworkId([0; 16]), |statement| statement.network)
    }

    /// The hash of ROOT 1, on which all of it hangs: out of the extract, or of a founding itself.
    pub fn root1(&self) -> Option<Digest> {
        self.extract.root1().or_else(|| {
            let first = self.statements.first()?;
            (first.kind() == Kind::Root && first.version == 1).then(|| root1_hash(&first.encode()))
        })
    }

    /// The statements, in the order to be appended.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The profiles enclosed.
    pub fn profiles(&self) -> &[SaltedProfile] {
        &self.profiles
    }

    /// The verified extract of the ledger.
    pub fn extract(&self) -> &Extract {
        &self.extract
    }

    /// Who asks to be admitted by it.
    pub fn applications(&self) -> &[Application] {
        &self.applications
    }

    /// A ROOT by its version: of the extract, or one that the request itself puts in force.
    pub fn root_of(&self, version: u32) -> Option<&Root> {
        self.extract.root_of(version).or_else(|| {
            self.statements.iter().find_map(|one| match &one.body {
                Body::Root(root) if one.version == version => Some(root),
                _ => None,
            })
        })
    }

    /// What is said of the request as a whole: digits to read to one another.
    pub fn heading(&self) -> Vec<String> {
        let mut lines = vec![format!("Request {}", fingerprint::of_digest(&self.id()))];
        if let Some(root1) = self.root1() {
            lines.push(format!("Network {}", fingerprint::of_digest(&root1)));
        }
        lines
    }

    /// Every statement in words, for who is about to sign: see [`describe`]. `names` gives what
    /// the reader's own, verified sources call somebody; else the file's extract does.
    pub fn describe(&self, names: &dyn Fn(Subject) -> Option<String>) -> Vec<Words> {
        let facts = File {
            request: self,
            names,
        };
        let statements = self.statements.iter();
        statements
            .map(|statement| describe(statement, &facts))
            .collect()
    }

    /// What the file's own extract and profiles call somebody or something.
    pub fn name(&self, subject: Subject) -> Option<String> {
        let profile = |hash: &Digest| self.profiles.iter().find(|one| one.hash() == *hash);
        let drafted = |wanted: &dyn Fn(&Body) -> Option<Digest>| {
            self.statements.iter().find_map(|one| wanted(&one.body))
        };
        match subject {
            Subject::Member(member) => {
                let said = self.extract.admission(member).map(|admit| admit.profile);
                let hash = said.or_else(|| {
                    drafted(&|body| match body {
                        Body::Admit(admit) if admit.member == member => Some(admit.profile),
                        _ => None,
                    })
                })?;
                let profile = profile(&hash)?.member()?;
                Some(format!("{}, {}", profile.name, profile.state))
            }
            Subject::Channel(channel) => {
                let said = self.extract.channel(channel).map(|body| body.profile);
                let hash = said.or_else(|| {
                    drafted(&|body| match body {
                        Body::Channel(body) if body.channel == channel => Some(body.profile),
                        _ => None,
                    })
                })?;
                Some(profile(&hash)?.channel()?.name.clone())
            }
            Subject::Device(device) => {
                let member = self.extract.device(device)?.member;
                let name = self.name(Subject::Member(member))?;
                Some(format!("a device of {name}"))
            }
            Subject::Network | Subject::Entry(..) => None,
        }
    }

    /// Signs all but RECOVER, which is not the Board's.
    ///
    /// # Errors
    /// [`RequestError::NothingToSign`]: there is nothing else.
    pub fn sign(&self, key: &BoardKey) -> Result<SignatureFile, RequestError> {
        self.signed(
            |kind| kind != Kind::Recover,
            |bytes| sign_as_board(bytes, &key.key),
            "the request holds RECOVER alone: recovery keys sign that",
        )
    }

    /// Signs RECOVER, and nothing else.
    ///
    /// # Errors
    /// [`RequestError::NothingToSign`]: there is none.
    pub fn sign_recovery(&self, key: &RecoveryKey) -> Result<SignatureFile, RequestError> {
        self.signed(
            |kind| kind == Kind::Recover,
            |bytes| sign_as_recovery(bytes, &key.key),
            "the request holds no RECOVER: recovery keys sign nothing else",
        )
    }

    fn signed(
        &self,
        mine: fn(Kind) -> bool,
        sign: impl Fn(&[u8]) -> Signed,
        nothing: &'static str,
    ) -> Result<SignatureFile, RequestError> {
        let statements = self.statements.iter().filter(|one| mine(one.kind()));
        let signatures: Vec<_> = statements
            .map(|statement| {
                let bytes = statement.encode();
                (statement_id(&bytes), sign(&bytes))
            })
            .collect();
        if signatures.is_empty() {
            return Err(RequestError::NothingToSign(nothing));
        }
        Ok(SignatureFile {
            request: self.id(),
            signatures,
        })
    }
}

impl SignatureFile {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        text::print(SIGNATURES, &cbor::encode(self))
    }

    /// Reads the text of a file. Nothing is verified here: [`combine`] does.
    ///
    /// # Errors
    /// [`RequestError::Text`], [`RequestError::Malformed`].
    pub fn parse(file: &str) -> Result<Self, RequestError> {
        Ok(cbor::decode(&text::parse(SIGNATURES, file)?)?)
    }
}

/// The verified signatures of all files, for each statement of the request in order.
pub(super) fn gather(
    request: &Request,
    files: &[SignatureFile],
) -> Result<Vec<BTreeMap<Signer, Signed>>, RequestError> {
    let expected = request.id();
    let ids: Vec<_> = request.statements.iter().map(Statement::id).collect();
    let mut signatures: Vec<BTreeMap<Signer, Signed>> = vec![BTreeMap::new(); ids.len()];
    for file in files {
        if file.request != expected {
            return Err(RequestError::OtherRequest {
                expected,
                got: file.request,
            });
        }
        for (id, one) in &file.signatures {
            let index = ids.iter().position(|known| known == id);
            let index = index.ok_or(RequestError::UnknownStatement(*id))?;
            let statement = request.statements[index].encode();
            let (Signer::Board(key) | Signer::Recovery(key)) = one.signer else {
                return Err(RequestError::BadSignature(one.signer));
            };
            signed::verify(&statement, &key, one)
                .map_err(|_: LedgerError| RequestError::BadSignature(one.signer))?;
            // The same file twice is the same signature (RFC 8032 leaves no choice).
            signatures[index].insert(one.signer, *one);
        }
    }
    Ok(signatures)
}

/// Puts everybody's signatures to the request's statements: what the ledger takes, in order.
/// Whoever has no say in a statement is left out of it, where the ROOT is known: a new Board
/// signs what follows its ROOT, the old one what came before, on one file. Whether enough have
/// signed, the ledger says; [`tally()`] tells before.
///
/// # Errors
/// [`RequestError::OtherRequest`], [`RequestError::UnknownStatement`],
/// [`RequestError::BadSignature`].
pub fn combine(request: &Request, files: &[SignatureFile]) -> Result<Vec<Vec<u8>>, RequestError> {
    let statements = request.statements.iter().zip(gather(request, files)?);
    Ok(statements
        .map(|(statement, signatures)| {
            let signatures = signatures
                .into_values()
                .filter(|one| tally::has_say(request, statement, one.signer) != Some(false))
                .collect();
            SignedStatement::new(statement.encode(), signatures).encode()
        })
        .collect())
}

/// A request file as a source of facts.
struct File<'a> {
    request: &'a Request,
    names: &'a dyn Fn(Subject) -> Option<String>,
}

impl Facts for File<'_> {
    fn name(&self, subject: Subject) -> Option<String> {
        (self.names)(subject).or_else(|| self.request.name(subject))
    }

    fn profile(&self, hash: &Digest) -> Option<SaltedProfile> {
        let mut profiles = self.request.profiles.iter();
        profiles.find(|profile| profile.hash() == *hash).cloned()
    }

    fn root(&self, version: u32) -> Option<Root> {
        self.request.root_of(version).cloned()
    }

    fn before(&self, statement: &Statement) -> Option<Body> {
        let said = self
            .request
            .extract
            .said(statement.kind(), statement.subject())?;
        (said.version + 1 == statement.version).then(|| said.body.clone())
    }

    fn application(&self, device: DeviceId) -> Vec<String> {
        let mut applications = self.request.applications.iter();
        let found = applications.find(|one| one.request().device == device);
        found.map_or_else(Vec::new, |found| self.request.asked(found))
    }
}

impl Request {
    /// Who asked, in words, held against what the request would say of them.
    fn asked(&self, application: &Application) -> Vec<String> {
        let asked = application.request();
        let mut lines = Vec::new();
        let fits = self.statements.iter().any(|one| match &one.body {
            Body::Device(device) => {
                device.device == asked.device
                    && device.member == asked.member
                    && device.keys == asked.keys
            }
            _ => false,
        });
        if !fits {
            lines.push("NOT what was asked for: other keys, or another member.".to_owned());
        }
        for (what, value) in [
            ("Nominated by", &asked.nominated_by),
            ("Reason", &asked.reason),
        ] {
            if !value.is_empty() {
                lines.push(format!("{what}: {value}"));
            }
        }
        let mut nobody = true;
        for one in application.countersignatures() {
            let verified = application.countersigned_by_extract(one, &self.extract, &self.profiles);
            lines.push(match verified {
                Ok(by) => {
                    nobody = false;
                    format!(
                        "Countersigned by {}, {} ({}), {}, fingerprint {}",
                        by.name,
                        by.state,
                        match by.contact {
                            Contact::SameState => "of the same State or body",
                            Contact::Named => "whom the invitation names",
                        },
                        moment(by.time),
                        by.fingerprint
                    )
                }
                Err(error) => format!("A countersignature does NOT hold: {error}"),
            });
        }
        if nobody {
            lines.push("NOBODY has countersigned this request.".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests;
