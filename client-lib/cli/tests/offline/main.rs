//! The real binary, as far as no server is needed.
#![cfg(unix)]

#[cfg(test)]
mod board;
#[cfg(test)]
mod custody;
#[cfg(test)]
mod desk;
#[cfg(test)]
mod helping;
#[cfg(test)]
mod usage;
