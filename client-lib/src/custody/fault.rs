//! What is wrong with a bundle: the first thing found.

use std::fmt;

/// Where, and what.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Fault {
    /// The file within the bundle.
    pub place: String,
    /// What is wrong with it.
    pub what: String,
}

impl Fault {
    pub(crate) fn new(place: impl Into<String>, what: impl fmt::Display) -> Self {
        Self {
            place: place.into(),
            what: what.to_string(),
        }
    }

    /// For `map_err`.
    pub(crate) fn at<E: fmt::Display>(place: &str) -> impl Fn(E) -> Self + '_ {
        move |error| Self::new(place, error)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

impl std::error::Error for Fault {}
