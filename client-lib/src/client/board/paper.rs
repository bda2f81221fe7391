//! A request file, read where there is neither profile nor network.

use plenary_certs::{
    board::{Request, SignatureFile, Tally, Words, tally},
    ledger::{Kind, Subject},
};
use plenary_proto::ids::MemberId;

use super::{Holder, input};
use crate::error::Error;

/// A request for the Board, read from its file. Names in it are those that the Board itself has
/// put on the ledger: the file carries an extract of it, which was verified.
#[derive(Debug, Clone)]
pub struct RequestFile(Request);

impl RequestFile {
    /// Reads a file's text.
    ///
    /// Errors: [`crate::ErrorKind::Input`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        Ok(Self(Request::parse(text).map_err(input)?))
    }

    /// What is read to one another: the digits of the request, and those of the network.
    pub fn heading(&self) -> Vec<String> {
        self.0.heading()
    }

    /// Each statement in words, in the order to be appended.
    pub fn words(&self) -> Vec<Words> {
        self.0.describe(&|_| None)
    }

    /// Who has signed each statement, by signature files, and who is still to sign.
    ///
    /// Errors: [`crate::ErrorKind::Input`] if a file is none, or for another request, or false.
    pub fn tally(&self, signatures: &[String]) -> Result<Vec<Tally>, Error> {
        let files: Vec<_> = signatures
            .iter()
            .map(|file| SignatureFile::parse(file))
            .collect::<Result<_, _>>()
            .map_err(input)?;
        tally(&self.0, &files).map_err(input)
    }

    /// What a member is called, as far as the file says.
    pub fn name(&self, member: MemberId) -> Option<String> {
        self.0.name(Subject::Member(member))
    }

    /// How many of its statements a key may sign.
    pub fn signable(&self, holder: Holder) -> usize {
        let statements = self.0.statements().iter();
        let recover = statements.filter(|one| one.kind() == Kind::Recover).count();
        match holder {
            Holder::Board(_) => self.0.statements().len() - recover,
            Holder::Recovery => recover,
        }
    }

    pub(super) fn request(&self) -> &Request {
        &self.0
    }
}
