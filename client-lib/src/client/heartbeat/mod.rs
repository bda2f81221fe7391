//! The heartbeat's machine: it receives every statement of the Board directly, follows the server's
//! ledger, and vouches that it is the newest only if it lacks none of them.
//!
//! ```text
//! drop folder (requests, signatures) --> machine --> LedgerSubmit, PutHeartbeat --> server
//! profile's verified ledger ----------->    |
//!                                        folder: own ledger, statements, last heartbeat
//! ```
//!
//! It speaks to the server as a device of a member, because the server lets in nobody else, and a
//! heartbeat key that could also connect would be able to do something else. Best is a device of its
//! own, of a member who is in no channel.

mod drop_folder;
mod folder;
mod key_file;
mod machine;

pub use key_file::HeartbeatKeyFile;
pub use machine::{Beat, HeartbeatMachine, Note};

use bytes::Bytes;
use plenary_proto::{
    ids::{LedgerHead, LedgerSeq},
    reply::Reply,
    request::Request,
};

use super::Client;
use crate::error::{Error, ErrorKind};

impl Client {
    /// The statements after a position, as this client verified them, and its end.
    pub(super) async fn ledger_after(
        &self,
        after: LedgerSeq,
    ) -> Result<(Option<LedgerHead>, Vec<Vec<u8>>), Error> {
        self.driver
            .run(move |engine, _| {
                Ok(engine.read_ledger_with(|ledger| {
                    let entries = ledger.entries_after(after);
                    let entries = entries.map(|(_, signed)| signed.to_vec()).collect();
                    (ledger.head_at(after), entries)
                }))
            })
            .await
    }

    /// Hands signed statements to the server; waits until this client's ledger is as long.
    pub(super) async fn hand_in(&self, statements: Vec<Bytes>) -> Result<(), Error> {
        match self.driver.call(Request::LedgerSubmit(statements)).await? {
            Reply::LedgerHead(head) => self.follow(head).await,
            _ => Err(Error::new(
                ErrorKind::Integrity,
                "the server answered something else",
            )),
        }
    }

    async fn put_heartbeat(&self, signed: Vec<u8>) -> Result<(), Error> {
        self.driver
            .call(Request::PutHeartbeat(signed.into()))
            .await
            .map(|_| ())
    }
}
