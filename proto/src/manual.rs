//! Why the wire is as it is.
//!
//! **Domain types beside generated ones.** The generated types make every field optional and every
//! identifier a byte string; each use would have to check again. [`crate::codec`] checks once, names
//! what is missing or of the wrong length, and after it no generated type exists.
//!
//! **Parts.** What exceeds one message (a commit that adds fifty devices is 130 KB, a tree of 1,000
//! hybrid devices 1.4 MB) is cut at the frame, not operation by operation: one mechanism, bounded by
//! `limits::FRAME_IN_PARTS`, for requests and replies alike.
//!
//! **Empty for absent** in optional byte fields: no MLS message, sealed value or answer is empty.
//!
//! **Chosen.** prost with protox: a schema that other languages read, and no protoc to install.
