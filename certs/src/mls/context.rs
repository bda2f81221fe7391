//! What a group says of itself in its group context: nothing in it ever moves.

use minicbor::Decoder;
use mls_rs_core::extension::{Extension, ExtensionList, ExtensionType};
use plenary_proto::ids::{ChannelId, MemberId, NetworkId};

use crate::cbor::{self, Cbor, CborError, Writer, cbor_struct, unknown};

/// Private extension type (RFC 9420 section 17.3, private use).
pub const CHANNEL: ExtensionType = ExtensionType::new(0xF0A1);

/// How a channel is entered. For channels of the ledger, CHANNEL in the ledger says more (and may
/// move the owner); for a direct one this is all there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// By any live device, on its own.
    Open,
    /// By those with a GRANT, or added by the owner.
    Granted,
    /// By those whom this member adds. Not on the ledger.
    Direct {
        /// Who founded it.
        owner: MemberId,
    },
}

/// The group context's extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelContext {
    /// The network.
    pub network: NetworkId,
    /// The channel; also the MLS group id.
    pub channel: ChannelId,
    /// How it is entered.
    pub rule: Rule,
}

cbor_struct!(ChannelContext {
    network,
    channel,
    rule
});

impl Cbor for Rule {
    fn put(&self, w: &mut Writer) {
        match self {
            Self::Open | Self::Granted => {
                let _ = w.array(1);
                u8::from(*self == Self::Granted).put(w);
            }
            Self::Direct { owner } => {
                let _ = w.array(2);
                2_u8.put(w);
                owner.put(w);
            }
        }
    }

    fn get(d: &mut Decoder<'_>) -> Result<Self, CborError> {
        let fields = d.array()?.unwrap_or_default();
        let rule = match u8::get(d)? {
            0 => Self::Open,
            1 => Self::Granted,
            2 => Self::Direct {
                owner: MemberId::get(d)?,
            },
            other => return Err(unknown("entry rule", other.into())),
        };
        let expected = if matches!(rule, Self::Direct { .. }) {
            2
        } else {
            1
        };
        if fields == expected {
            Ok(rule)
        } else {
            Err(CborError::NotCanonical)
        }
    }
}

impl ChannelContext {
    /// As an MLS extension.
    pub fn extension(&self) -> Extension {
        Extension::new(CHANNEL, cbor::encode(self))
    }

    /// Out of a group's extensions: exactly this one must be there.
    pub fn of(extensions: &ExtensionList) -> Result<Self, CborError> {
        match extensions.iter().collect::<Vec<_>>()[..] {
            [only] if only.extension_type == CHANNEL => cbor::decode(&only.extension_data),
            _ => Err(CborError::Shape(
                "one channel extension in the group context".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_pinned_and_round_trip() {
        let context = |rule| ChannelContext {
            network: NetworkId([1; 16]),
            channel: ChannelId([2; 16]),
            rule,
        };
        for (rule, tail) in [
            (Rule::Open, "8100".to_owned()),
            (Rule::Granted, "8101".to_owned()),
            (
                Rule::Direct {
                    owner: MemberId([3; 16]),
                },
                format!("820250{}", "03".repeat(16)),
            ),
        ] {
            let mut list = ExtensionList::new();
            list.set(context(rule).extension());
            let bytes = list.iter().next().unwrap().extension_data.clone();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                hex,
                format!("8350{}50{}{tail}", "01".repeat(16), "02".repeat(16))
            );
            assert_eq!(ChannelContext::of(&list), Ok(context(rule)));
        }
        assert!(ChannelContext::of(&ExtensionList::new()).is_err());
    }
}
