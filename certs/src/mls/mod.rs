//! What MLS is told: the suite, and who may be in a group.

pub mod suite;
