//! Whether an answer is of the kind that was asked for.

use plenary_proto::reply::{Code, Failure, Reply};

use super::{AlarmKind, Engine, Waiting};

impl Engine {
    /// An answer of another kind counts as none, so that what waits for it is tried again.
    pub(super) fn fitting(
        &mut self,
        waiting: &Waiting,
        reply: Result<Reply, Failure>,
    ) -> Result<Reply, Failure> {
        let reply = reply?;
        if fits(waiting, &reply) {
            return Ok(reply);
        }
        let what = "the server answered something else than it was asked";
        self.alarm(None, AlarmKind::UnexpectedAnswer, what);
        Err(Failure::new(Code::Unavailable, what))
    }
}

fn fits(waiting: &Waiting, reply: &Reply) -> bool {
    match waiting {
        Waiting::Ledger => matches!(reply, Reply::LedgerPage { .. }),
        Waiting::Sealed => matches!(reply, Reply::SealedList(_)),
        Waiting::KeyPackages => matches!(reply, Reply::Count(_)),
        Waiting::Welcomes => matches!(reply, Reply::WelcomeList(_)),
        Waiting::Watch(_) => matches!(reply, Reply::Heads(_)),
        Waiting::Read(_) | Waiting::Head(_) | Waiting::Trace(_) => {
            matches!(reply, Reply::Records { .. })
        }
        Waiting::Entry(_) => matches!(reply, Reply::GroupState { .. }),
        Waiting::Found(_) => matches!(reply, Reply::Done),
        Waiting::Message(..) | Waiting::Change(..) => matches!(reply, Reply::Appended { .. }),
        Waiting::Packages(_) => matches!(reply, Reply::KeyPackageList(_)),
        // Checked where they are used.
        Waiting::Heartbeat
        | Waiting::Roster(..)
        | Waiting::Countersign { .. }
        | Waiting::Forget
        | Waiting::Call => true,
    }
}
