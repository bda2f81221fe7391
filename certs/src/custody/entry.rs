//! A statement as it travels and is kept: with its signature, the server's countersignature and
//! tokens of time-stamping services.

use plenary_proto::ids::{Digest, Signature};

use super::{
    Authorities, Countersignature, CustodyError, MAX_STAMP, Stamp, StampError, Statement,
    check_countersignature, check_stamp, statement_id,
};
use crate::{
    cbor::{self, Bytes, Cbor, CborError, Writer},
    ledger::{Ledger, Standing, hash},
    signing::{self, SigningKey},
};

const TAG: &[u8] = b"plenary custody statement v1\0";
const STAMP_TAG: &[u8] = b"plenary custody time stamp v1\0";
const VERSION: u8 = 1;

/// Tokens that one statement may carry.
const MAX_TOKENS: usize = 4;

/// A signed statement. Deterministic CBOR, an array of 5: version 1, statement bytes, signature,
/// countersignature or null, RFC 3161 tokens (DER) over [`Entry::to_stamp`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    statement: Vec<u8>,
    signature: Signature,
    countersignature: Option<Countersignature>,
    tokens: Vec<Bytes>,
}

impl Entry {
    /// Signs a statement with its device's custody key.
    pub fn sign(statement: &Statement, key: &SigningKey) -> Self {
        let statement = statement.encode();
        let signature = key.sign(&[TAG, &statement].concat());
        Self {
            statement,
            signature,
            countersignature: None,
            tokens: Vec::new(),
        }
    }

    /// With the server's word.
    pub fn countersigned(mut self, countersignature: Countersignature) -> Self {
        self.countersignature = Some(countersignature);
        self
    }

    /// What a time-stamping service is asked to stamp: SHA-256 of a domain tag, the statement and its
    /// signature. So a token proves that the device had signed by then. The statement's salt keeps
    /// it from telling anything.
    pub fn to_stamp(&self) -> Digest {
        hash(&[STAMP_TAG, &self.statement, self.signature.as_bytes()])
    }

    /// With a token of a time-stamping service (RFC 3161, DER) over [`Entry::to_stamp`].
    pub fn stamped(mut self, token: Vec<u8>) -> Self {
        self.tokens.push(Bytes(token));
        self
    }

    /// Names the statement.
    pub fn id(&self) -> Digest {
        statement_id(&self.statement)
    }

    /// The server's word, if it gave one.
    pub fn countersignature(&self) -> Option<&Countersignature> {
        self.countersignature.as_ref()
    }

    /// Tokens of time-stamping services, as they came.
    pub fn tokens(&self) -> impl Iterator<Item = &[u8]> {
        self.tokens.iter().map(|token| token.0.as_slice())
    }

    /// What its tokens prove; see [`check_stamp`].
    ///
    /// # Errors
    /// [`StampError`] of the first that does not hold.
    pub fn stamps(&self, authorities: Option<&Authorities>) -> Result<Vec<Stamp>, StampError> {
        let digest = self.to_stamp();
        self.tokens()
            .map(|token| check_stamp(token, &digest, authorities))
            .collect()
    }

    /// Without its tokens: they are no part of what was signed, and anybody can put some there.
    pub fn unstamped(mut self) -> Self {
        self.tokens.clear();
        self
    }

    /// The statement, unchecked.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn statement(&self) -> Result<Statement, CborError> {
        Statement::decode(&self.statement)
    }

    /// The statement, if its device was live in the ledger prefix that it names and signed it, and
    /// if the server countersigned what is there as countersignature. Tokens are not looked at.
    ///
    /// # Errors
    /// [`CustodyError`], up to [`CustodyError::Countersignature`].
    pub fn check(&self, ledger: &Ledger) -> Result<Statement, CustodyError> {
        let said = self.statement()?;
        if said.network != ledger.network() {
            return Err(CustodyError::OtherNetwork(said.network));
        }
        match ledger.head_at(said.ledger.seq) {
            None => return Err(CustodyError::LedgerAhead(said.ledger.seq)),
            Some(head) if head != said.ledger => {
                return Err(CustodyError::OtherLedger(said.ledger.seq));
            }
            Some(_) => {}
        }
        let device = ledger
            .device(said.device)
            .ok_or(CustodyError::UnknownDevice(said.device))?;
        match ledger.standing(said.device, said.ledger.seq, said.time) {
            Standing::Live => {}
            standing => return Err(CustodyError::NotLive(standing)),
        }
        let signed = [TAG, &self.statement].concat();
        signing::verify(&device.keys.custody, &signed, &self.signature)
            .map_err(|_| CustodyError::Signature)?;
        if let Some(countersignature) = &self.countersignature {
            let id = self.id();
            // The key in force as the device knew it, or one that the Board named later.
            let keys: Vec<_> = ledger.server_keys().collect();
            let replaced = |at: usize| {
                let next = keys.get(at + 1);
                next.is_some_and(|(seq, _)| *seq <= said.ledger.seq)
            };
            let holds = keys.iter().enumerate().any(|(at, (_, key))| {
                let (network, item) = (said.network, said.item);
                !replaced(at)
                    && check_countersignature(key, network, item, &id, &said.root, countersignature)
                        .is_ok()
            });
            if !holds {
                return Err(CustodyError::Countersignature);
            }
        }
        Ok(said)
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Reads bytes that are exactly an entry's encoding.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, CborError> {
        let entry: Self = cbor::decode(bytes)?;
        entry.sense()?;
        Ok(entry)
    }

    fn sense(&self) -> Result<(), CborError> {
        if self.tokens.len() > MAX_TOKENS {
            return Err(CborError::Shape("too many time-stamp tokens".to_owned()));
        }
        if self.tokens.iter().any(|token| token.0.len() > MAX_STAMP) {
            return Err(CborError::Shape(
                "a time-stamp token is too large".to_owned(),
            ));
        }
        Ok(())
    }
}

/// Several entries in one message, in the order in which they were signed.
pub fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    cbor::encode(&entries.to_vec())
}

/// Reads [`encode_entries`].
///
/// # Errors
/// [`CborError`].
pub fn decode_entries(bytes: &[u8]) -> Result<Vec<Entry>, CborError> {
    let entries: Vec<Entry> = cbor::decode(bytes)?;
    entries.iter().try_for_each(Entry::sense)?;
    Ok(entries)
}

impl Cbor for Entry {
    fn put(&self, w: &mut Writer) {
        let _ = w.array(5);
        VERSION.put(w);
        let _ = w.bytes(&self.statement);
        self.signature.put(w);
        self.countersignature.put(w);
        self.tokens.put(w);
    }

    fn get(d: &mut minicbor::Decoder<'_>) -> Result<Self, CborError> {
        cbor::array(d, 5)?;
        match u8::get(d)? {
            VERSION => {}
            other => return Err(cbor::unknown("version of a custody entry", other.into())),
        }
        Ok(Self {
            statement: Bytes::get(d)?.0,
            signature: Cbor::get(d)?,
            countersignature: Cbor::get(d)?,
            tokens: Cbor::get(d)?,
        })
    }
}
