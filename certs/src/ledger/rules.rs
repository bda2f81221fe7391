//! What makes a signed statement acceptable at the end of a ledger.
//!
//! In this order: shape, network, repeated, version, ROOT in force, signatures, sense. So a
//! refusal for lack of sense is told only of what enough people have signed.

use std::collections::BTreeSet;

use plenary_proto::ids::{LedgerSeq, MemberId};

use super::{
    Body, Capacity, DeviceBody, Kind, Ledger, LedgerError, Recover, RecoverStep, Revoke, Root,
    RootError, SignedStatement, Signer, Statement, Target, Voucher, root1_hash, signed, vouching,
};
use crate::mls::suite::{CLASSICAL, HYBRID};

/// From a recovery's announcement to its ROOT, in milliseconds: time for the Board to object with
/// a ROOT.
pub const RECOVERY_WAIT_MS: u64 = 7 * 24 * 3600 * 1000;

pub(super) fn check(ledger: &Ledger, bytes: &[u8]) -> Result<Statement, LedgerError> {
    let (signed, statement) = SignedStatement::decode(bytes)?;
    if statement.network != ledger.network {
        return Err(LedgerError::OtherNetwork(statement.network));
    }
    if let Some(seq) = ledger.find_statement(signed.statement()) {
        return Err(LedgerError::Known { seq });
    }
    let Some(root) = ledger.root() else {
        return root1(ledger, &signed).map(|()| statement);
    };
    if let Body::Revoke(revoke) = &statement.body
        && let Some(seq) = ledger.state.revoked.get(&revoke.target)
    {
        // Terminal and idempotent: whoever says it again is told where it was said.
        return Err(LedgerError::Known { seq: *seq });
    }
    version(ledger, &signed, &statement)?;
    let current = ledger.root_version();
    if statement.root_version != current {
        return Err(LedgerError::StaleRoot {
            got: statement.root_version,
            current,
        });
    }
    signatures(ledger, root, &signed, &statement)?;
    sense(ledger, root, &statement)?;
    Ok(statement)
}

/// All of [`check`] but the signatures, for a draft.
pub(super) fn sensible(ledger: &Ledger, statement: &Statement) -> Result<(), LedgerError> {
    let Some(root) = ledger.root() else {
        return match &statement.body {
            Body::Root(root) => Ok(root.validate()?),
            _ => Err(LedgerError::NoRoot),
        };
    };
    if let Body::Revoke(revoke) = &statement.body
        && let Some(seq) = ledger.state.revoked.get(&revoke.target)
    {
        return Err(LedgerError::Known { seq: *seq });
    }
    if let Body::Root(next) = &statement.body {
        next.validate()?;
    }
    sense(ledger, root, statement)
}

fn root1(ledger: &Ledger, signed: &SignedStatement) -> Result<(), LedgerError> {
    let statement = Statement::decode(signed.statement())?;
    let Body::Root(root) = &statement.body else {
        return Err(LedgerError::NoRoot);
    };
    if root1_hash(signed.statement()) != ledger.root1 {
        return Err(LedgerError::OtherRoot1);
    }
    if (statement.version, statement.root_version) != (1, 0) {
        return Err(LedgerError::NoRoot);
    }
    root.validate()?;
    board(&[root], root.thresholds.root, Kind::Root, signed)
}

/// The version is the next one; an old one with another text is proof of misuse, if signed.
fn version(
    ledger: &Ledger,
    signed: &SignedStatement,
    statement: &Statement,
) -> Result<(), LedgerError> {
    let (kind, subject) = (statement.kind(), statement.subject());
    let (expected, got) = (ledger.next_version(kind, subject), statement.version);
    if got == expected {
        return Ok(());
    }
    let wrong = LedgerError::Version {
        kind,
        subject,
        expected,
        got,
    };
    let known = ledger.versions.get(&(kind, subject));
    let earlier = known.and_then(|seqs| seqs.get((got as usize).checked_sub(1)?));
    let Some(seq) = earlier.copied() else {
        return Err(wrong);
    };
    // A recovered ROOT was not made by those who sign ROOTs.
    if ledger.statement(seq).map(|earlier| earlier.kind()) != Some(kind) {
        return Err(wrong);
    }
    match attributed(ledger, signed, statement) {
        Err(LedgerError::NoRoot) => return Err(wrong),
        other => other?,
    }
    Err(LedgerError::Conflicting {
        kind,
        subject,
        version: got,
        seq,
    })
}

/// Enough signed, by the ROOT that the statement names. Whether it fits anywhere is not asked.
pub(super) fn attributed(
    ledger: &Ledger,
    signed: &SignedStatement,
    statement: &Statement,
) -> Result<(), LedgerError> {
    let index = (statement.root_version as usize).wrapping_sub(1);
    let (_, root) = ledger
        .state
        .roots
        .iter()
        .nth(index)
        .ok_or(LedgerError::NoRoot)?;
    signatures(ledger, root, signed, statement)
}

fn signatures(
    ledger: &Ledger,
    root: &Root,
    signed: &SignedStatement,
    statement: &Statement,
) -> Result<(), LedgerError> {
    let kind = statement.kind();
    match &statement.body {
        Body::Root(next) => {
            next.validate()?;
            board(&[root, next], root.thresholds.root, kind, signed)
        }
        Body::Device(DeviceBody {
            voucher: Voucher::Device(voucher),
            ..
        }) => vouching::signed_by(ledger, *voucher, kind, signed),
        Body::Revoke(Revoke {
            target: Target::Device(target),
            ..
        }) if vouching::by_device(signed) => {
            vouching::puts_out(ledger, *target, signed, statement.time)
        }
        Body::Recover(_) => recovery(root, signed),
        Body::Admit(_)
        | Body::Device(_)
        | Body::Revoke(_)
        | Body::Suspend(_)
        | Body::Resume(_)
        | Body::Channel(_)
        | Body::Grant(_)
        | Body::Policy(_)
        | Body::Server(_) => board(&[root], root.thresholds.of(kind), kind, signed),
    }
}

/// Enough distinct people signed: of the first root `needed`, of a second one its own threshold.
/// Whoever is in neither has no say.
pub(super) fn board(
    roots: &[&Root],
    needed: u8,
    kind: Kind,
    signed: &SignedStatement,
) -> Result<(), LedgerError> {
    let mut people: Vec<BTreeSet<MemberId>> = vec![BTreeSet::new(); roots.len()];
    for signature in signed.signatures() {
        let Signer::Board(key) = signature.signer else {
            return Err(LedgerError::ForeignSignature(signature.signer));
        };
        let mut known = false;
        for (root, people) in roots.iter().zip(&mut people) {
            if let Some(person) = root.person(&key) {
                people.insert(person);
                known = true;
            }
        }
        if !known {
            return Err(LedgerError::ForeignSignature(signature.signer));
        }
        signed::verify(signed.statement(), &key, signature)?;
    }
    for (index, (root, people)) in roots.iter().zip(&people).enumerate() {
        let needed = if index == 0 {
            needed
        } else {
            root.thresholds.root
        };
        if people.len() < usize::from(needed) {
            return Err(LedgerError::TooFew {
                kind,
                needed,
                got: people.len(),
            });
        }
    }
    Ok(())
}

pub(super) fn recovery(root: &Root, signed: &SignedStatement) -> Result<(), LedgerError> {
    for signature in signed.signatures() {
        let key = match signature.signer {
            Signer::Recovery(key) if root.recovery.keys.contains(&key) => key,
            other => return Err(LedgerError::ForeignSignature(other)),
        };
        signed::verify(signed.statement(), &key, signature)?;
    }
    let (got, needed) = (signed.signatures().len(), root.recovery.threshold);
    // Without a recovery role nobody recovers, with however many signatures.
    if needed == 0 || got < usize::from(needed) {
        return Err(LedgerError::TooFew {
            kind: Kind::Recover,
            needed: needed.max(1),
            got,
        });
    }
    Ok(())
}

fn sense(ledger: &Ledger, root: &Root, statement: &Statement) -> Result<(), LedgerError> {
    match &statement.body {
        Body::Root(next) => same_recovery(root, next),
        Body::Admit(admit) => {
            not_revoked(ledger, Target::Member(admit.member))?;
            if admit.capacity == Capacity::Expert && admit.ends.is_none() {
                return Err(LedgerError::NoEnd(admit.member));
            }
            Ok(())
        }
        Body::Device(body) => vouching::sense(ledger, root, body, statement.time),
        Body::Revoke(_) | Body::Server(_) => Ok(()),
        Body::Suspend(body) => {
            known(ledger, body.target)?;
            not_revoked(ledger, body.target)
        }
        Body::Resume(body) => {
            let history = ledger.state.suspended.get(&body.target);
            match history.and_then(|history| history.latest()) {
                Some(true) => not_revoked(ledger, body.target),
                _ => Err(LedgerError::NotSuspended(body.target)),
            }
        }
        Body::Channel(body) => {
            known(ledger, Target::Member(body.owner))?;
            not_revoked(ledger, Target::Member(body.owner))?;
            let current = ledger.channel(body.channel).and_then(|c| c.current());
            if current.is_some_and(|current| current.rule != body.rule) {
                return Err(LedgerError::RuleChanged(body.channel));
            }
            Ok(())
        }
        Body::Grant(body) => {
            if ledger.channel(body.channel).is_none() {
                return Err(LedgerError::UnknownChannel(body.channel));
            }
            known(ledger, Target::Member(body.member))?;
            if body.granted {
                not_revoked(ledger, Target::Member(body.member))?;
            }
            Ok(())
        }
        Body::Policy(policy) => {
            let suites = [HYBRID, CLASSICAL].map(u16::from);
            if !suites.contains(&policy.suite) {
                return Err(LedgerError::UnknownSuite(policy.suite));
            }
            Ok(())
        }
        Body::Recover(body) => recover(ledger, root, body, statement),
    }
}

fn recover(
    ledger: &Ledger,
    root: &Root,
    body: &Recover,
    statement: &Statement,
) -> Result<(), LedgerError> {
    body.root.validate()?;
    same_recovery(root, &body.root)?;
    if body.step == RecoverStep::Announce {
        return Ok(());
    }
    let announced = ledger.announced_recovery();
    let Some(announced) = announced.filter(|announced| announced.root == body.root) else {
        return Err(LedgerError::NotAnnounced);
    };
    let waited_ms = statement.time.0.saturating_sub(announced.time.0);
    if waited_ms < RECOVERY_WAIT_MS {
        return Err(LedgerError::TooSoon { waited_ms });
    }
    Ok(())
}

fn same_recovery(root: &Root, next: &Root) -> Result<(), LedgerError> {
    if root.recovery != next.recovery {
        return Err(RootError::RecoveryMoved.into());
    }
    Ok(())
}

pub(super) fn known(ledger: &Ledger, target: Target) -> Result<(), LedgerError> {
    match target {
        Target::Member(member) if ledger.member(member).is_none() => {
            Err(LedgerError::UnknownMember(member))
        }
        Target::Device(device) if ledger.device(device).is_none() => {
            Err(LedgerError::UnknownDevice(device))
        }
        Target::Member(_) | Target::Device(_) => Ok(()),
    }
}

pub(super) fn not_revoked(ledger: &Ledger, target: Target) -> Result<(), LedgerError> {
    let revoked: Option<&LedgerSeq> = ledger.state.revoked.get(&target);
    match revoked {
        Some(_) => Err(LedgerError::Revoked(target)),
        None => Ok(()),
    }
}
