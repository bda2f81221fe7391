//! The Board's keys and how statements are signed away from any network.
//!
//! ```text
//! connected machine                      machine that never connects
//!   Request --------- request file ----------> shown in words, signed with a BoardKey
//!   combine <-------- signature file ---------  (sealed file and passphrase)
//!     |
//!   signed statements, to the server
//! ```

mod heartbeat_key;
mod key;
mod recovery_key;
mod request;
mod sealed_key;
mod tally;
mod words;

pub use heartbeat_key::HeartbeatKey;
pub use key::BoardKey;
pub use recovery_key::RecoveryKey;
pub use request::{Request, RequestError, SignatureFile, combine};
pub use sealed_key::{Cost, KeyFileError};
pub use tally::{Need, Role, Seat, Tally, tally};
pub use words::{Facts, NoFacts, Words, describe, moment};
