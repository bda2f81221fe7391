//! Operating a running server, by a Unix socket in its data folder.
//!
//! ```text
//! plenary-server admin, backup --one JSON line--> socket --> Office --> network, store, registry
//!                              <--one JSON line--
//!                              <--frames, then a line--       (what is a stream)
//! ```
//!
//! The socket has mode 600, and besides the kernel says who is at the other end: the server's own
//! user and root are served, nobody else. Who may connect may do everything that the server can; they
//! could read its files anyway.

mod call;
mod office;
mod protocol;
mod reload;
mod remote;
mod socket;
mod words;

pub use call::{Line, socket_path};
pub use office::{Loader, Office, Parts, SetFilter};
pub use protocol::{
    Ask, Certificate, Certificates, Quotas, Reloaded, Scrubbed, SessionInfo, Sessions, Status,
    Trimmed,
};
pub use remote::Remote;
pub use socket::Socket;
pub use words::{Words, size};
