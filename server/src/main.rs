//! The `plenary-server` binary.
fn main() {}
