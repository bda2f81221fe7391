//! Servers, networks and members for tests and for the demo.
//!
//! ```text
//! Server (a process) <--TLS-- Client  in  Member  in  Network (Board of three, two sign)
//!                                |
//!                              Watch: every event with its moment
//! ```

mod authority;
mod carrier;
mod checker;
mod digest;
mod network;
mod proxy;
mod search;
mod server;
mod stranger;
mod talker;
mod watch;

pub use authority::TimeAuthority;
pub use carrier::{CARRY, Carrier, Peak, Said, carry, cpu_of, cpu_of_children};
pub use checker::{CHECK, check, checked};
pub use digest::{Sha256, sha256_of};
pub use network::{Member, Network, Newcomer, PASSPHRASE, Seat, enter, passphrase, person};
pub use proxy::Line;
pub use search::{bytes_on_disk, find, forms};
pub use server::{SERVE, Server};
pub use stranger::{Answer, claim};
pub use talker::{TALK, Talker, line, talk};
pub use watch::{Arrival, Watch};

use std::time::Duration;

/// For anything that is expected to happen soon: long enough for a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);
