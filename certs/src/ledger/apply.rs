//! What an accepted statement changes. Cannot fail: [`super::rules`] has refused what could.

use std::collections::BTreeSet;

use plenary_proto::ids::{DeviceId, LedgerSeq, MemberId};

use super::{
    Announced, Body, Channel, Device, DeviceBody, Kind, Ledger, Member, RecoverStep, Root,
    Standing, Statement, Subject, Target, Voucher,
    state::{History, State},
};

impl Ledger {
    pub(super) fn apply(&mut self, seq: LedgerSeq, statement: Statement) {
        let (kind, subject) = (statement.kind(), statement.subject());
        if kind != Kind::Revoke {
            self.versions.entry((kind, subject)).or_default().push(seq);
        }
        let state = &mut self.state;
        match statement.body {
            Body::Root(root) => state.roots.push(seq, root),
            Body::Admit(admit) => {
                let member = admit.member;
                let found = state.members.entry(member).or_insert_with(|| Member {
                    id: member,
                    admissions: History::default(),
                    revoked: None,
                });
                found.admissions.push(seq, admit);
            }
            Body::Device(body) => {
                let member = body.member;
                state.device(seq, body);
                state.refresh(member, seq);
            }
            Body::Revoke(revoke) => {
                state.revoked.entry(revoke.target).or_insert(seq);
                if let Target::Member(member) = revoke.target
                    && let Some(member) = state.members.get_mut(&member)
                {
                    member.revoked = Some(seq);
                }
                state.refresh_target(revoke.target, seq);
            }
            Body::Suspend(suspend) => state.suspend(suspend.target, true, seq),
            Body::Resume(resume) => state.suspend(resume.target, false, seq),
            Body::Channel(body) => {
                let channel = body.channel;
                let found = state.channels.entry(channel).or_insert_with(|| Channel {
                    id: channel,
                    versions: History::default(),
                });
                found.versions.push(seq, body);
            }
            Body::Grant(grant) => {
                let key = (grant.channel, grant.member);
                state
                    .grants
                    .entry(key)
                    .or_default()
                    .push(seq, grant.granted);
            }
            Body::Policy(policy) => state.policy.push(seq, policy),
            Body::Server(server) => state.server.push(seq, server.key),
            Body::Recover(recover) => match recover.step {
                RecoverStep::Announce => {
                    state.announced = Some(Announced {
                        seq,
                        time: statement.time,
                        root_version: statement.root_version,
                        root: recover.root,
                    });
                }
                RecoverStep::Complete => self.recovered(seq, recover.root),
            },
        }
    }

    /// A ROOT came in another way; its version is counted all the same.
    fn recovered(&mut self, seq: LedgerSeq, root: Root) {
        let roots = self.versions.entry((Kind::Root, Subject::Network));
        roots.or_default().push(seq);
        self.state.roots.push(seq, root);
        self.state.announced = None;
    }
}

impl State {
    fn device(&mut self, seq: LedgerSeq, body: DeviceBody) {
        let DeviceBody {
            device: id,
            member,
            voucher,
            keys,
        } = body;
        for key in [keys.authentication, keys.mls, keys.custody] {
            self.keys.insert(key, id);
        }
        let by_member = self.by_member.entry(member).or_default();
        if !by_member.contains(&id) {
            by_member.push(id);
        }
        let device = self.devices.entry(id).or_insert_with(|| Device {
            id,
            member,
            keys,
            vouchers: History::default(),
            standing: History::default(),
        });
        device.vouchers.push(seq, voucher);
    }

    fn suspend(&mut self, target: Target, suspended: bool, seq: LedgerSeq) {
        let history = self.suspended.entry(target).or_default();
        // Suspended again while suspended: it began where it began.
        if history.latest() != Some(&suspended) {
            history.push(seq, suspended);
        }
        self.refresh_target(target, seq);
    }

    fn refresh_target(&mut self, target: Target, seq: LedgerSeq) {
        let member = match target {
            Target::Member(member) => Some(member),
            Target::Device(device) => self.devices.get(&device).map(|device| device.member),
        };
        if let Some(member) = member {
            self.refresh(member, seq);
        }
    }

    /// Notes how a member's devices stand from `seq` on. Vouching stays within a member.
    fn refresh(&mut self, member: MemberId, seq: LedgerSeq) {
        let ids = self.by_member.get(&member).cloned().unwrap_or_default();
        let revoked = |target| self.revoked.contains_key(&target);
        let suspended =
            |target| self.suspended.get(&target).and_then(History::latest) == Some(&true);
        let not_revoked = self.backed(&ids, |id| {
            !revoked(Target::Device(id)) && !revoked(Target::Member(member))
        });
        let live = self.backed(&ids, |id| {
            not_revoked.contains(&id)
                && !suspended(Target::Device(id))
                && !suspended(Target::Member(member))
        });
        for id in ids {
            let Some(device) = self.devices.get_mut(&id) else {
                continue;
            };
            let (now, same) = match device.standing.latest() {
                last if live.contains(&id) => (Standing::Live, last == Some(&Standing::Live)),
                last if not_revoked.contains(&id) => (
                    Standing::Suspended { seq },
                    matches!(last, Some(Standing::Suspended { .. })),
                ),
                last => (
                    Standing::Revoked { seq },
                    matches!(last, Some(Standing::Revoked { .. })),
                ),
            };
            if !same {
                device.standing.push(seq, now);
            }
        }
    }

    /// Those of `ids` that are `fit` and that the Board, or another such device, has vouched for.
    /// Grows from the Board outwards, so that no two devices hold up one another.
    pub(super) fn backed(
        &self,
        ids: &[DeviceId],
        fit: impl Fn(DeviceId) -> bool,
    ) -> BTreeSet<DeviceId> {
        let mut open: Vec<&Device> = ids
            .iter()
            .filter(|id| fit(**id))
            .filter_map(|id| self.devices.get(id))
            .collect();
        let mut backed = BTreeSet::new();
        loop {
            let before = open.len();
            open.retain(|device| {
                let holds = device.vouchers.iter().any(|(_, voucher)| match voucher {
                    Voucher::Board => true,
                    Voucher::Device(voucher) => backed.contains(voucher),
                });
                if holds {
                    backed.insert(device.id);
                }
                !holds
            });
            if open.len() == before {
                return backed;
            }
        }
    }
}
