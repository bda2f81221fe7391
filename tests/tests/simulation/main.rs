//! The whole network in one thread with virtual time, from one seed.
//!
//! ```text
//! seed --> Dice --> Run: what clients do, what befalls them --> World: engines, core, stores
//!                     |                                            |
//!                     +--> Weather (the line) <--------------------+
//!                     +--> Judge (what must hold)  +--> Trace (what happened)
//! ```
//!
//! The same seed gives the same trace. A failure prints the seed and how to have it again.

#[cfg(test)]
mod judge;
#[cfg(test)]
mod run;
#[cfg(test)]
mod runs;
#[cfg(test)]
mod trace;
#[cfg(test)]
mod weather;
