//! Alarms: what must not happen and did. Told at once, and kept until somebody has seen them.

use plenary_proto::ids::ChannelId;

use super::{Engine, Event, Output};
use crate::error::Error;

macro_rules! kinds {
    ($(#[doc = $doc:literal] $kind:ident = $code:literal,)+) => {
        /// What an alarm is about. Each line: what the client saw; what it did.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum AlarmKind {
            $(#[doc = $doc] $kind,)+
        }

        impl AlarmKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$kind,)+];

            /// A short stable name, for scripts and logs.
            pub fn code(self) -> &'static str {
                match self {
                    $(Self::$kind => $code,)+
                }
            }

            /// What was seen, and what was done: one line.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$kind => $doc.trim_ascii(),)+
                }
            }

            /// The kind of a [`code`](Self::code).
            pub fn from_code(code: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|kind| kind.code() == code)
            }
        }
    };
}

kinds! {
    /// The server has another key than the ledger names; the connection was ended.
    WrongServerKey = "wrong_server_key",
    /// The server serves another network; the connection was ended.
    OtherNetwork = "other_network",
    /// The server's ledger is shorter than what was verified here; the connection was ended.
    LedgerRolledBack = "ledger_rolled_back",
    /// The server or a member shows another ledger than the one verified here; not believed.
    LedgerForked = "ledger_forked",
    /// A statement that the Board did not make as it must; refused, the connection was ended.
    ForgedStatement = "forged_statement",
    /// The server keeps back statements that it says it has; nothing is done until they come.
    LedgerWithheld = "ledger_withheld",
    /// A heartbeat that does not hold; passed over.
    InvalidHeartbeat = "invalid_heartbeat",
    /// Enough people signed two different statements in one place; the stricter one counts here.
    Misuse = "misuse",
    /// The recovery role replaced the Board before this device had shown it for seven days; nobody let in since is sealed to.
    EarlyRecovery = "early_recovery",
    /// A channel's head is not signed by the server's key; what came with it was not used.
    HeadSignature = "head_signature",
    /// A channel's log is shorter than what the server acknowledged; the channel stands still.
    LogRolledBack = "log_rolled_back",
    /// The records do not lead to the head that was signed or seen; the channel stands still.
    LogForked = "log_forked",
    /// A record between others is missing; the channel stands still.
    MissingRecord = "missing_record",
    /// A record of this device came back with other bytes; left out.
    AlteredRecord = "altered_record",
    /// A record is not by whom the server says; left out.
    WrongSender = "wrong_sender",
    /// A member's message or commit names less than the same member named before; told.
    SenderWentBack = "sender_went_back",
    /// A commit of the log does not hold; the channel stands still.
    InvalidCommit = "invalid_commit",
    /// A message does not hold; left out.
    InvalidMessage = "invalid_message",
    /// A message that was there before; left out.
    ReplayedMessage = "replayed_message",
    /// A welcome that does not hold or was not for this; not joined.
    InvalidWelcome = "invalid_welcome",
    /// Tree or GroupInfo given for entering do not hold; not entered.
    InvalidGroup = "invalid_group",
    /// A key package that is not what was asked for; nobody was added with it.
    KeyPackage = "key_package",
    /// A roster key that does not open or is of another generation; not used.
    RosterKey = "roster_key",
    /// A sealed profile that does not open or is another's; not shown.
    Profile = "profile",
    /// An answer to nothing, or of another kind than asked for; not used.
    UnexpectedAnswer = "unexpected_answer",
    /// The server refuses a change of a channel that it should take; tried again later.
    ChangeRefused = "change_refused",
    /// A change of a channel could not be made; tried again later.
    ChangeFailed = "change_failed",
    /// An item came again with another manifest; the first one counts.
    ManifestChanged = "manifest_changed",
    /// A statement of custody that does not hold; left out.
    Custody = "custody",
    /// The server's countersignature does not hold, or is about other bytes; not used.
    Countersignature = "countersignature",
    /// Records were no longer kept when this device came back; it enters again.
    RecordsTrimmed = "records_trimmed",
    /// This device's own state of a channel is damaged, gone or led nowhere; it enters the channel again.
    GroupLost = "group_lost",
}

impl std::fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl Engine {
    /// Tells and keeps it.
    pub(super) fn alarm(
        &mut self,
        channel: Option<ChannelId>,
        kind: AlarmKind,
        what: impl Into<String>,
    ) {
        let what = what.into();
        tracing::warn!(?channel, kind = kind.code(), what, "alarm");
        if let Err(error) = self.store.add_alarm(self.clock, channel, kind, &what) {
            tracing::error!(%error, "an alarm could not be kept");
        }
        self.event(Event::Alarm {
            channel,
            kind,
            what,
        });
    }

    /// The other side is not who it must be: tells it, and has the connection ended.
    pub(super) fn distrust(&mut self, kind: AlarmKind, error: Error) {
        self.alarm(None, kind, error.to_string());
        self.out.push_back(Output::Distrust(error));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_lead_back() {
        for kind in AlarmKind::ALL {
            assert_eq!(AlarmKind::from_code(kind.code()), Some(*kind));
        }
        assert_eq!(AlarmKind::from_code("nothing"), None);
    }
}
