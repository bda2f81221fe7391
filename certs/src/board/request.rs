//! Signing by files: a request goes to each person of the Board, signature files come back.

use std::collections::BTreeMap;

use plenary_proto::ids::{Digest, NetworkId};

use super::{BoardKey, describe};
use crate::{
    cbor::{self, Bytes, CborError, cbor_struct},
    ledger::{
        LedgerError, Signed, SignedStatement, Signer, Statement, Subject, hash, sign_as_board,
        signed, statement_id,
    },
    profile::{ProfileError, SaltedProfile},
    text::{self, TextError},
};

const REQUEST: &str = "plenary board request v1";
const SIGNATURES: &str = "plenary board signatures v1";
const TAG: &[u8] = b"plenary board request v1\0";

/// Statements in one request: what a person can still read.
const STATEMENTS: usize = 256;

/// Statements that wait for signatures, with the names they are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    statements: Vec<Statement>,
    profiles: Vec<SaltedProfile>,
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
    #[error("the statement {0} is there twice")]
    Twice(Digest),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error("malformed file: {0}")]
    Malformed(#[from] CborError),
    #[error(transparent)]
    Profile(#[from] ProfileError),
    #[error("the signatures are for request {got}, not for {expected}")]
    OtherRequest { expected: Digest, got: Digest },
    #[error("signed the statement {0}, which the request does not hold")]
    UnknownStatement(Digest),
    #[error("the signature of {0} does not verify")]
    BadSignature(Signer),
}

struct RequestBytes {
    statements: Vec<Bytes>,
    profiles: Vec<SaltedProfile>,
}

cbor_struct!(RequestBytes {
    statements,
    profiles
});
cbor_struct!(SignatureFile {
    request,
    signatures
});

impl Request {
    /// Statements (see [`crate::ledger::Ledger::draft`]) and the profiles whose hashes they carry.
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
        let mut seen = BTreeMap::new();
        for statement in &statements {
            if statement.network != network {
                return Err(RequestError::TwoNetworks(network, statement.network));
            }
            if seen.insert(statement.id(), ()).is_some() {
                return Err(RequestError::Twice(statement.id()));
            }
        }
        Ok(Self {
            statements,
            profiles,
        })
    }

    /// The text of the file. Holds names: not for the server.
    pub fn to_text(&self) -> String {
        let statements = self.statements.iter();
        let bytes = RequestBytes {
            statements: statements.map(|one| Bytes(one.encode())).collect(),
            profiles: self.profiles.clone(),
        };
        text::print(REQUEST, &cbor::encode(&bytes))
    }

    /// Reads the text of a file.
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
        Self::new(statements?, bytes.profiles)
    }

    /// Names the request: both sides may read it to one another.
    pub fn id(&self) -> Digest {
        let mut parts = vec![TAG.to_vec()];
        let ids = self.statements.iter().map(|one| one.id().0.to_vec());
        parts.extend(ids);
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        hash(&parts)
    }

    /// The statements, in the order to be appended.
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The profiles enclosed.
    pub fn profiles(&self) -> &[SaltedProfile] {
        &self.profiles
    }

    /// Every statement in words, for who is about to sign: see [`describe`].
    pub fn describe(&self, names: &dyn Fn(Subject) -> Option<String>) -> Vec<String> {
        let statements = self.statements.iter();
        statements
            .map(|statement| describe(statement, &self.profiles, names))
            .collect()
    }

    /// Signs all of it.
    pub fn sign(&self, key: &BoardKey) -> SignatureFile {
        let sign = |statement: &Statement| {
            let bytes = statement.encode();
            (statement_id(&bytes), sign_as_board(&bytes, &key.key))
        };
        SignatureFile {
            request: self.id(),
            signatures: self.statements.iter().map(sign).collect(),
        }
    }
}

impl SignatureFile {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        text::print(SIGNATURES, &cbor::encode(self))
    }

    /// Reads the text of a file. Nothing is verified before [`combine`].
    ///
    /// # Errors
    /// [`RequestError::Text`], [`RequestError::Malformed`].
    pub fn parse(file: &str) -> Result<Self, RequestError> {
        Ok(cbor::decode(&text::parse(SIGNATURES, file)?)?)
    }
}

/// Puts everybody's signatures to the request's statements: what the ledger takes, in order.
/// Whether enough have signed, the ledger says.
///
/// # Errors
/// [`RequestError::OtherRequest`], [`RequestError::UnknownStatement`],
/// [`RequestError::BadSignature`].
pub fn combine(request: &Request, files: &[SignatureFile]) -> Result<Vec<Vec<u8>>, RequestError> {
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
    let statements = request.statements.iter().zip(signatures);
    Ok(statements
        .map(|(statement, signatures)| {
            let signatures = signatures.into_values().collect();
            SignedStatement::new(statement.encode(), signatures).encode()
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{Body, Grant, Target, Voucher, testing::*},
        profile::{MemberProfile, Profile},
    };
    use ring::rand::SystemRandom;

    fn key(n: u8) -> BoardKey {
        BoardKey {
            member: member_id(n),
            key: board_key(n),
        }
    }

    fn person() -> SaltedProfile {
        let profile = Profile::Member(MemberProfile {
            name: "Ana Țepeș".into(),
            state: "Ruritania".into(),
            languages: vec!["ro".into()],
            expertise: vec![],
        });
        SaltedProfile::new(profile, &SystemRandom::new()).unwrap()
    }

    fn request(board: &Board, profile: SaltedProfile) -> Request {
        let mut body = admit(10);
        if let Body::Admit(admit) = &mut body {
            admit.profile = profile.hash();
        }
        let bodies = [body, device(10, 10, Voucher::Board)];
        let statements = bodies.map(|body| board.ledger.draft(body, NOW)).to_vec();
        Request::new(statements, vec![profile]).unwrap()
    }

    #[test]
    fn two_people_sign_on_files() {
        let mut board = Board::new(3);
        let sent = request(&board, person());
        let read = Request::parse(&sent.to_text()).unwrap();
        assert_eq!((read.id(), &read), (sent.id(), &sent));
        let files: Vec<_> = [0, 2, 2]
            .map(|n| read.sign(&key(n)).to_text())
            .iter()
            .map(|text| SignatureFile::parse(text).unwrap())
            .collect();
        for signed in combine(&sent, &files).unwrap() {
            board.ledger.append(&signed).unwrap();
        }
        assert_eq!(board.ledger.devices().count(), 1);

        let one = combine(&request(&board, person()), &files[..1]);
        assert!(matches!(one, Err(RequestError::OtherRequest { .. })));
    }

    #[test]
    fn files_are_as_pinned() {
        let board = Board::new(1);
        let server = Body::Server(crate::ledger::Server {
            key: board_key(9).public(),
        });
        let request = Request::new(vec![board.ledger.draft(server, NOW)], vec![]).unwrap();
        assert_eq!(
            request.to_text(),
            "plenary board request v1\ngoFYQodQqqqqqqqqqqqqqqqqqqqqqgEKgQABWCDKAv96yLyXgsH8ryMcSQpVUUf8\nD11jsD/2QKX2NegC/hsAAAGjGFxQAIA=\nend\n"
        );
        assert_eq!(
            request.sign(&key(0)).to_text(),
            "plenary board signatures v1\nglggmaDWfYislEjsqhRLSGGRNcAQ+1OZ8m/IpW6SL5rbzwuBglggll8dI6iD3GDn\nUE/iIEg7g9vcU5g+kS0knj7WdSGcYACCggFYIDB7O61lHcvXdB1Nq9IVTYdLiufV\n4dFAAVQfzboSHq7HWEDbUJOh0jYACqC3lyXYCM38I9VbTGVVEg8A0WvrIaCVQtcZ\nrDOoltnY47oPuLX2JzNgTqRsyS0sAjpS4OCifmYE\nend\n"
        );
    }

    #[test]
    fn a_false_signature_is_named() {
        let board = Board::new(3);
        let request = request(&board, person());
        let mut file = request.sign(&key(0));
        file.signatures[1].1.signature = file.signatures[0].1.signature;
        let signer = Signer::Board(board_key(0).public());
        assert_eq!(
            combine(&request, &[file.clone()]),
            Err(RequestError::BadSignature(signer))
        );
        file.signatures[0].0 = Digest([0; 32]);
        assert_eq!(
            combine(&request, &[file]),
            Err(RequestError::UnknownStatement(Digest([0; 32])))
        );
    }

    #[test]
    fn words_say_who_and_what() {
        let board = Board::new(3);
        let request = request(&board, person());
        let words = request.describe(&|_| None).join("\n\n");
        for wanted in [
            "Admit member 0a0a",
            "Name: Ana Țepeș",
            "State or body: Ruritania",
            "Without an end.",
            "ADMIT version 1 under ROOT 1",
            "drafted 2027-01-15 08:00:00 UTC",
            "The Board vouches for it.",
            &crate::admission::fingerprint(&device_keys(10)),
        ] {
            assert!(words.contains(wanted), "{wanted}\n{words}");
        }
        // Another profile than the one named is not shown as if it were.
        let mut swapped = request;
        swapped.profiles = vec![person()];
        let words = swapped.describe(&|_| None)[0].clone();
        assert!(words.contains("The name is not enclosed"), "{words}");
        assert!(!words.contains("Ana"));
    }

    #[test]
    fn names_come_beside_the_ids() {
        let board = Board::new(3);
        let grant = Body::Grant(Grant {
            channel: channel_id(1),
            member: member_id(10),
            granted: false,
        });
        let bodies = [grant, revoke(Target::Device(device_id(3)))];
        let statements = bodies.map(|body| board.ledger.draft(body, NOW)).to_vec();
        let names = |subject| match subject {
            Subject::Member(_) => Some("Ana".to_owned()),
            _ => None,
        };
        let words = Request::new(statements, vec![]).unwrap().describe(&names);
        let ten = member_id(10);
        let wanted = format!(
            "Let Ana (member {ten}) no longer enter channel {}",
            channel_id(1)
        );
        assert!(words[0].starts_with(&wanted), "{}", words[0]);
        assert!(words[1].starts_with("Revoke device 0303"), "{}", words[1]);
    }

    #[test]
    fn refuses_empty_mixed_and_doubled_requests() {
        let board = Board::new(3);
        let one = board.ledger.draft(admit(10), NOW);
        let mut other = one.clone();
        other.network = NetworkId([0; 16]);
        assert_eq!(Request::new(vec![], vec![]), Err(RequestError::Count(0)));
        assert_eq!(
            Request::new(vec![one.clone(), other], vec![]),
            Err(RequestError::TwoNetworks(NETWORK, NetworkId([0; 16])))
        );
        assert_eq!(
            Request::new(vec![one.clone(), one.clone()], vec![]),
            Err(RequestError::Twice(one.id()))
        );
        let text = request(&board, person()).to_text();
        assert!(matches!(
            SignatureFile::parse(&text),
            Err(RequestError::Text(TextError::Header { .. }))
        ));
    }
}
