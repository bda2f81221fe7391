//! Handling labels: the Traffic Light Protocol 2.0 of FIRST. Never translated; a handling label,
//! not a classification.

use std::{fmt, str::FromStr};

/// How far a content may travel. The order is by restrictiveness: `Clear` is the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Label {
    /// May be published.
    Clear,
    /// Within the community.
    Green,
    /// Within one's organisation and its clients, on a need-to-know basis.
    Amber,
    /// Within one's organisation only.
    AmberStrict,
    /// For the eyes of the recipients only.
    Red,
}

/// A text that is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no label: use TLP:RED, TLP:AMBER+STRICT, TLP:AMBER, TLP:GREEN or TLP:CLEAR")]
pub struct ParseLabelError(String);

impl Label {
    /// All labels, the least restrictive first.
    pub const ALL: [Self; 5] = [
        Self::Clear,
        Self::Green,
        Self::Amber,
        Self::AmberStrict,
        Self::Red,
    ];

    /// The number that travels: 0 for `Clear` up to 4 for `Red`.
    pub fn code(self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::Green => 1,
            Self::Amber => 2,
            Self::AmberStrict => 3,
            Self::Red => 4,
        }
    }

    /// The label of a number that travelled.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Clear => "TLP:CLEAR",
            Self::Green => "TLP:GREEN",
            Self::Amber => "TLP:AMBER",
            Self::AmberStrict => "TLP:AMBER+STRICT",
            Self::Red => "TLP:RED",
        })
    }
}

impl FromStr for Label {
    type Err = ParseLabelError;

    /// Case and the prefix `TLP:` do not matter.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let upper = text.to_ascii_uppercase();
        match upper.strip_prefix("TLP:").unwrap_or(&upper) {
            "CLEAR" => Ok(Self::Clear),
            "GREEN" => Ok(Self::Green),
            "AMBER" => Ok(Self::Amber),
            "AMBER+STRICT" => Ok(Self::AmberStrict),
            "RED" => Ok(Self::Red),
            _ => Err(ParseLabelError(text.chars().take(40).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_number_round_trip_in_order() {
        for (code, label) in (0..).zip(Label::ALL) {
            assert_eq!(label.code(), code);
            assert_eq!(Label::from_code(code), Some(label));
            assert_eq!(label.to_string().parse(), Ok(label));
        }
        assert_eq!(Label::from_code(5), None);
        assert!(Label::Red > Label::AmberStrict && Label::AmberStrict > Label::Amber);
    }

    #[test]
    fn reads_what_people_type() {
        assert_eq!("amber+strict".parse(), Ok(Label::AmberStrict));
        assert_eq!("tlp:red".parse(), Ok(Label::Red));
        for text in ["", "TLP:", "AMBER STRICT", "TLP:TLP:RED", "WHITE"] {
            assert!(text.parse::<Label>().is_err(), "{text}");
        }
    }
}
