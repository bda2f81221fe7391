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
mod words;

pub use key::{BoardKey, Cost, KeyFileError};
pub use request::{Request, RequestError, SignatureFile, combine};
pub use words::describe;
