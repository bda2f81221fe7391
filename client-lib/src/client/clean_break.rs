//! The certificate of a clean break: for the Board's files, and for whoever asks later.

use plenary_certs::proof::{
    self, Proven,
    clean_break::{CleanBreak, Item},
};
use plenary_proto::{
    ids::{MemberId, UnixMillis},
    reply::Reply,
    request::Request,
};

use super::{Client, board::known_name};
use crate::error::{Error, ErrorKind};

/// A certificate as issued.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CleanBreakCertificate {
    /// What it says, with the files' names: for the reader here.
    pub said: CleanBreak,
    /// The same as a signed file for anybody who knows the network's ROOT 1; names of files only
    /// if asked for.
    pub file: Vec<u8>,
    /// In words, with the names that this client knows.
    pub words: Vec<String>,
}

impl Client {
    /// Certifies that a member who is out by the ledger is out of every channel that this device
    /// is in, and what it could read there before. Channels that this device cannot examine are
    /// named; those inside can certify them.
    ///
    /// Errors: [`ErrorKind::Input`] if the member is live, [`ErrorKind::NotFound`].
    pub async fn clean_break(
        &self,
        member: MemberId,
        names: bool,
    ) -> Result<CleanBreakCertificate, Error> {
        let mut said = self
            .driver
            .run(move |engine, now: UnixMillis| engine.clean_break(now, member))
            .await?;
        for gone in &mut said.gone {
            let asked = Request::HeadAt {
                channel: gone.channel,
                seq: gone.removal.seq,
            };
            // Trimmed, or no connection: then it is this device's word alone, and says so.
            let Ok(Reply::Head(signed)) = self.driver.call(asked).await else {
                continue;
            };
            let removal = gone.clone();
            let checked = signed.clone();
            let covers = self
                .driver
                .run(move |engine, _| Ok(engine.covers(&removal, &checked)))
                .await?;
            if !covers {
                return Err(Error::new(
                    ErrorKind::Trust,
                    format!(
                        "the server signs another log of channel {} than the one read here",
                        gone.channel
                    ),
                ));
            }
            gone.signed = Some(signed);
        }
        let mut shown = said.clone();
        if !names {
            let items = shown.exposure.iter_mut().flat_map(|one| &mut one.items);
            items.for_each(|item: &mut Item| item.name = None);
        }
        self.driver
            .run(move |engine, _| {
                let file = engine.sign_clean_break(&shown)?;
                let root1 = engine.identity().root1();
                let words = match proof::verify(&file, root1) {
                    Ok(Proven::CleanBreak(proven)) => {
                        let mut proven = *proven;
                        proven.said = said.clone();
                        proven.words(&|subject| known_name(engine, subject))
                    }
                    other => {
                        return Err(Error::new(
                            ErrorKind::Integrity,
                            format!("the certificate does not verify here: {other:?}"),
                        ));
                    }
                };
                Ok(CleanBreakCertificate { said, file, words })
            })
            .await
    }

    /// Checks a certificate's file with this profile's ROOT 1; offline. Says what it proves, with
    /// the names that this client knows.
    ///
    /// Errors: [`ErrorKind::Trust`] with what does not hold.
    pub async fn check_clean_break(
        &self,
        file: Vec<u8>,
    ) -> Result<(CleanBreak, Vec<String>), Error> {
        self.driver
            .run(
                move |engine, _| match proof::verify(&file, engine.identity().root1()) {
                    Ok(Proven::CleanBreak(proven)) => {
                        let words = proven.words(&|subject| known_name(engine, subject));
                        Ok((proven.said, words))
                    }
                    Ok(other) => Err(Error::new(
                        ErrorKind::Input,
                        format!("a proof of another kind: {}", other.kind()),
                    )),
                    Err(error) => Err(Error::new(ErrorKind::Trust, error.to_string())),
                },
            )
            .await
    }
}
