//! A server that lies, alone and together with a member, against real engines.
//!
//! ```text
//! attacks --> Trial: World of engines --> Liar (every frame, both ways) --> the real core
//!                        \-- Colluder: a member's keys, MLS without our rules
//! ```
//!
//! Each attack runs over many seeds: sizes, timing, which member, which message, which byte.
//! `PLENARY_SEEDS=1000 cargo test -p plenary-tests --test hostile` runs more of them; a failure
//! prints the seed, and `PLENARY_SEED=17` with the test's name plays that one again. What each
//! attack must lead to is in `HOSTILE.md`, which a test compares with the list here.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod colluder;
#[cfg(test)]
mod crooked;
#[cfg(test)]
mod false_log;
#[cfg(test)]
mod liar;
#[cfg(test)]
mod trial;
