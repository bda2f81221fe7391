//! The Board's keys and how statements are signed away from any network.
//!
//! ```text
//! connected machine                      machine that never connects
//!   Request --------- request file ----------> shown in words, signed with a BoardKey
//!   combine <-------- signature file ---------  (sealed file and passphrase)
//!     |
//!   signed statements, to the server
//! ```

mod key;
mod request;
mod role_key;
mod sealed_key;
mod tally;
mod words;

pub use key::BoardKey;
pub use request::{Request, RequestError, SignatureFile, combine};
pub use role_key::{ForHeartbeats, ForRecovery, HeartbeatKey, Purpose, RecoveryKey, RoleKey};
pub use sealed_key::{Cost, KeyFileError};
pub use tally::{Need, Role, Seat, Tally, tally};
pub use words::{Facts, NoFacts, Words, describe, moment};
