//! What devices say of one another: who vouches for whom, who falls with whom, who may put out
//! whom. All of it stays within one member.

use std::collections::BTreeSet;

use plenary_proto::ids::{DeviceId, LedgerSeq, PublicKey, UnixMillis};

use super::{
    DeviceBody, Kind, Ledger, LedgerError, Root, SignedStatement, Signer, Standing, Target,
    Voucher,
    rules::{known, not_revoked},
    signed,
};

/// Live devices a member may have: people have a few, and each costs every channel a leaf. Not in
/// POLICY: it bounds what a stolen device can do, and nobody needs another number.
pub const LIVE_DEVICES: usize = 16;

impl Ledger {
    /// The devices that fall if this one is revoked now, by the vouches there are: it is not among
    /// them.
    pub fn hanging_on(&self, device: DeviceId) -> Vec<DeviceId> {
        let Some(member) = self.device(device).map(|device| device.member) else {
            return Vec::new();
        };
        let ids: Vec<_> = self.devices_of(member).map(|device| device.id).collect();
        let revoked = |target| self.state.revoked.contains_key(&target);
        let fit = |id| !revoked(Target::Device(id)) && !revoked(Target::Member(member));
        let with = self.state.backed(&ids, fit);
        let without = self.state.backed(&ids, |id| id != device && fit(id));
        with.difference(&without)
            .copied()
            .filter(|id| *id != device)
            .collect()
    }

    /// Whether a device may revoke another: itself, what hangs on it, and what it hangs on. In the
    /// last case it falls too, so that a stolen device can shut nobody out and stay.
    pub fn may_put_out(&self, by: DeviceId, target: DeviceId) -> bool {
        by == target
            || self.hanging_on(by).contains(&target)
            || self.hanging_on(target).contains(&by)
    }

    /// Who signed the statement at a position.
    pub fn signers(&self, seq: LedgerSeq) -> Vec<Signer> {
        self.entry(seq)
            .and_then(|entry| SignedStatement::decode(entry).ok())
            .map(|(signed, _)| signed.signatures().iter().map(|one| one.signer).collect())
            .unwrap_or_default()
    }

    /// Where it was revoked by name, not by the fall of another.
    pub fn revoked_at(&self, target: Target) -> Option<LedgerSeq> {
        self.state.revoked.get(&target).copied()
    }
}

/// Whether a device, not the Board, says it.
pub(super) fn by_device(signed: &SignedStatement) -> bool {
    let first = signed.signatures().first();
    first.is_some_and(|first| matches!(first.signer, Signer::Device(_)))
}

/// A device revokes one of its member's: see [`Ledger::may_put_out`].
pub(super) fn puts_out(
    ledger: &Ledger,
    target: DeviceId,
    signed: &SignedStatement,
    time: UnixMillis,
) -> Result<(), LedgerError> {
    let Some(Signer::Device(by)) = signed.signatures().first().map(|first| first.signer) else {
        return Ok(());
    };
    signed_by(ledger, by, Kind::Revoke, signed)?;
    let standing = ledger.standing(by, ledger.head().seq, time);
    if standing != Standing::Live {
        return Err(LedgerError::VoucherNotLive {
            device: by,
            standing,
        });
    }
    if !ledger.may_put_out(by, target) {
        return Err(LedgerError::NotInItsHands { device: target, by });
    }
    Ok(())
}

/// This device alone signed, with its authentication key.
pub(super) fn signed_by(
    ledger: &Ledger,
    by: DeviceId,
    kind: Kind,
    signed: &SignedStatement,
) -> Result<(), LedgerError> {
    let Some(device) = ledger.device(by) else {
        return Err(LedgerError::UnknownDevice(by));
    };
    for signature in signed.signatures() {
        if signature.signer != Signer::Device(by) {
            return Err(LedgerError::ForeignSignature(signature.signer));
        }
        signed::verify(signed.statement(), &device.keys.authentication, signature)?;
    }
    if signed.signatures().is_empty() {
        return Err(LedgerError::TooFew {
            kind,
            needed: 1,
            got: 0,
        });
    }
    Ok(())
}

/// Whether a DEVICE makes sense after this ledger.
pub(super) fn sense(
    ledger: &Ledger,
    root: &Root,
    body: &DeviceBody,
    time: UnixMillis,
) -> Result<(), LedgerError> {
    known(ledger, Target::Member(body.member))?;
    not_revoked(ledger, Target::Member(body.member))?;
    not_revoked(ledger, Target::Device(body.device))?;
    let earlier = ledger.device(body.device);
    match earlier {
        Some(earlier) if earlier.member != body.member => {
            return Err(LedgerError::OtherMember(body.device));
        }
        Some(earlier) if earlier.keys != body.keys => {
            return Err(LedgerError::KeysChanged(body.device));
        }
        Some(_) => {}
        None => fresh_keys(ledger, root, body)?,
    }
    if let Voucher::Device(voucher) = body.voucher {
        let member = ledger.device(voucher).map(|device| device.member);
        if member != Some(body.member) {
            return Err(LedgerError::OtherMember(voucher));
        }
        let standing = ledger.standing(voucher, ledger.head().seq, time);
        if standing != Standing::Live || voucher == body.device {
            return Err(LedgerError::VoucherNotLive {
                device: voucher,
                standing,
            });
        }
        // Vouches are never taken back, so a second one would only make the ledger longer.
        if earlier.is_some_and(|device| device.vouchers.iter().any(|(_, by)| *by == body.voucher)) {
            return Err(LedgerError::VouchesAlready {
                device: body.device,
                by: voucher,
            });
        }
    }
    let live = ledger
        .devices_of(body.member)
        .filter(|device| device.id != body.device)
        .filter(|device| device.standing.latest() == Some(&Standing::Live));
    if live.count() >= LIVE_DEVICES {
        return Err(LedgerError::TooManyDevices(body.member));
    }
    Ok(())
}

/// Keys of a new device are used nowhere else, not even twice in it.
fn fresh_keys(ledger: &Ledger, root: &Root, body: &DeviceBody) -> Result<(), LedgerError> {
    let keys = &body.keys;
    let mut used: BTreeSet<PublicKey> = root.board.iter().map(|person| person.key).collect();
    used.extend(&root.heartbeat);
    used.extend(&root.recovery.keys);
    used.extend(ledger.server_key());
    for key in [keys.authentication, keys.mls, keys.custody] {
        if !used.insert(key) || ledger.state.keys.contains_key(&key) {
            return Err(LedgerError::KeyReused(key));
        }
    }
    Ok(())
}
