//! Plenary's wire: bytes to domain types and back; prost and thiserror only.
//!
//! ```text
//! WebSocket message --codec--> ClientFrame (request.rs)   --> server
//!                   <--codec-- ServerFrame (reply.rs)     <--
//! ```
//!
//! The main flow: [`codec::decode_client`] turns one size-capped message into a
//! [`request::ClientFrame`] or says what is wrong with it; after that no prost type exists.
//! [`scanner`] judges frames by their headers before anything is read of them.
//! [`append`] copies what is large, [`rooms`] keeps room for it. [`ids`] has the newtypes everything is
//! named by, [`limits`] the numbers both sides share.
#![forbid(unsafe_code)]

pub mod append;
pub mod codec;
pub mod ids;
pub mod label;
pub mod limits;
pub mod manual;
pub mod reply;
pub mod request;
pub mod rooms;
pub mod scanner;
mod wire;
