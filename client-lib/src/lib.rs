//! The Plenary client library: what an application needs to take part in a network.
//!
//! ```text
//! application --> Client --> driver --> Engine (synchronous, no I/O) --> Store (SQLCipher)
//!                              |
//!                              +--> net (TLS, WebSocket) --> server
//! ```
//!
//! [`Client`] is the handle: open a profile, enter channels, send, read, hand over files, and for
//! the Board: draft, submit. What a message says is in [`content`].
#![forbid(unsafe_code)]

#[cfg(all(plenary_seeded_bugs, not(any(test, feature = "simulation"))))]
compile_error!("seeded bugs are for the simulation alone: leave out --cfg plenary_seeded_bugs");

mod audit;
pub mod blocking;
mod client;
pub mod content;
pub mod custody;
mod engine;
mod error;
pub mod files;
pub mod manual;
mod net;
#[cfg(any(test, feature = "simulation"))]
#[doc(hidden)]
pub mod simulation;
mod store;
mod transfer;

pub use audit::{Audit, AuditProgress, AuditedChannel, Compared, Wrong};
pub use client::{
    Admission, Audience, AudienceChange, BoardKeyFile, BoardPerson, Builder, ChannelChange,
    ChannelInfo, CleanBreakCertificate, Client, Consumer, CustodyRecord, DeviceInfo, DownloadBegun,
    Events, Found, Founding, Holder, Joining, Kept, LinkCode, Linking, MemberInfo, Message,
    NewBoard, NewChannel, Notice, Original, Outgoing, PendingAdmission, PendingLink, Person,
    PolicyChange, Presence, Receipt, Receipts, RequestFile, Requested, RootChange, Search,
    SendFile, Signatory, Stated, Status, TimeStamping, UploadBegun, Usage,
};
pub use client::{Beat, Checked, HeartbeatKeyFile, HeartbeatMachine, Note};
pub use engine::{AlarmKind, DeviceChange, DeviceNews, Event};
pub use engine::{Aside, ClockTrouble, Recovery};
pub use error::{Error, ErrorKind};
pub use plenary_certs::proof::{ProofError, Proven, is_proof, verify as verify_proof};
pub use plenary_certs::{
    admission::{Contact, Countersigned},
    board::{Need, Role, Seat, Tally, Words},
    custody::{Act, Authorities, Stamp, StampError},
    fingerprint,
    ledger::{Capacity, EntryRule, Freshness, Kind, Reason, Standing, Subject, Target},
    proof::clean_break,
};
pub use plenary_proto::{ids, label::Label};
pub use store::alarms::Alarm;
pub use transfer::{Progress, State as TransferState, Transfer};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
