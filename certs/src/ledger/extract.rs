//! Some signed statements out of a ledger, for a machine that does not have it: who the Board is
//! and has been, and what is said of a few members, devices and channels.
//!
//! An extract proves that the Board said these things, from ROOT 1 on; not that it said nothing
//! since. It never admits anybody: whoever reads it only learns names, keys and thresholds.

use std::collections::{BTreeMap, BTreeSet};

use plenary_proto::ids::{ChannelId, DeviceId, Digest, LedgerSeq, MemberId, NetworkId};

use super::{
    Admit, Body, ChannelBody, DeviceBody, Kind, Ledger, LedgerError, Policy, RecoverStep, Root,
    SignedStatement, Signer, Statement, Subject, Voucher, root1_hash, rules, signed,
};

/// Verified statements, the newest of each subject. Empty before a network is founded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extract {
    network: Option<NetworkId>,
    root1: Option<Digest>,
    roots: Vec<Root>,
    said: BTreeMap<(Kind, Subject), Statement>,
}

impl Ledger {
    /// What this ledger says of some subjects, signed: every ROOT, the POLICY, and of each member
    /// the newest ADMIT, of each device the DEVICE statements that it hangs on and its member's
    /// ADMIT, of each channel the newest CHANNEL. People of the Board are always in it.
    pub fn extract(&self, about: &BTreeSet<Subject>) -> Vec<&[u8]> {
        let mut seqs = BTreeSet::new();
        let mut members = BTreeSet::new();
        let history = |kind, subject| self.versions.get(&(kind, subject));
        let newest = |kind, subject| history(kind, subject).and_then(|seqs| seqs.last());
        seqs.extend(
            history(Kind::Root, Subject::Network)
                .into_iter()
                .flatten()
                .copied(),
        );
        seqs.extend(newest(Kind::Policy, Subject::Network));
        let board = self.root().map(|root| root.board.as_slice());
        members.extend(board.unwrap_or_default().iter().map(|person| person.member));
        for subject in about {
            match *subject {
                Subject::Network => {}
                Subject::Member(member) => {
                    members.insert(member);
                }
                Subject::Device(device) => {
                    members.extend(self.device(device).map(|device| device.member));
                    self.hangs_on(device, &mut seqs);
                }
                Subject::Channel(channel) | Subject::Entry(channel, _) => {
                    seqs.extend(newest(Kind::Channel, Subject::Channel(channel)));
                    let owner = self.channel(channel).and_then(|one| one.current());
                    members.extend(owner.map(|body| body.owner));
                    if let Subject::Entry(_, member) = *subject {
                        members.insert(member);
                    }
                }
            }
        }
        for member in members {
            seqs.extend(newest(Kind::Admit, Subject::Member(member)));
        }
        seqs.into_iter().filter_map(|seq| self.entry(seq)).collect()
    }

    /// The statements that a device hangs on, from the Board to it.
    fn hangs_on(&self, device: DeviceId, seqs: &mut BTreeSet<LedgerSeq>) {
        let mut open = vec![device];
        let mut seen = BTreeSet::new();
        while let Some(id) = open.pop() {
            let Some(found) = self.device(id).filter(|_| seen.insert(id)) else {
                continue;
            };
            let vouchers = || found.vouchers.iter();
            // One by the Board is enough; else all, for any may be what holds it up.
            let by_board = vouchers().find(|(_, voucher)| *voucher == Voucher::Board);
            match by_board {
                Some((seq, _)) => {
                    seqs.insert(*seq);
                }
                None => {
                    for (seq, voucher) in vouchers() {
                        seqs.insert(*seq);
                        if let Voucher::Device(by) = voucher {
                            open.push(*by);
                        }
                    }
                }
            }
        }
    }
}

impl Extract {
    /// Verifies an extract: each ROOT by the one before it, all else by the ROOT it names.
    ///
    /// # Errors
    /// Any [`LedgerError`] about shape and signatures.
    pub fn verify<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, LedgerError> {
        let mut extract = Self::default();
        for entry in entries {
            extract.append(entry)?;
        }
        Ok(extract)
    }

    fn append(&mut self, entry: &[u8]) -> Result<(), LedgerError> {
        let (signed, statement) = SignedStatement::decode(entry)?;
        let network = *self.network.get_or_insert(statement.network);
        if statement.network != network {
            return Err(LedgerError::OtherNetwork(statement.network));
        }
        let current = self.root_version();
        let kind = statement.kind();
        match &statement.body {
            Body::Root(next) => {
                self.next(&statement, statement.version)?;
                next.validate()?;
                match self.root_of(current) {
                    None => {
                        rules::board(&[next], next.thresholds.root, kind, &signed)?;
                        self.root1 = Some(root1_hash(signed.statement()));
                    }
                    Some(root) => {
                        rules::board(&[root, next], root.thresholds.root, kind, &signed)?;
                    }
                }
                self.roots.push(next.clone());
            }
            Body::Recover(recover) if recover.step == RecoverStep::Complete => {
                self.next(&statement, current + 1)?;
                recover.root.validate()?;
                let root = self.root_of(current).ok_or(LedgerError::NoRoot)?;
                rules::recovery(root, &signed)?;
                self.roots.push(recover.root.clone());
            }
            Body::Device(DeviceBody {
                voucher: Voucher::Device(voucher),
                member,
                ..
            }) => {
                self.in_force(&statement)?;
                let by = self.device(*voucher).filter(|by| by.member == *member);
                let by = by.ok_or(LedgerError::UnknownDevice(*voucher))?;
                let [one] = signed.signatures() else {
                    return Err(LedgerError::TooFew {
                        kind,
                        needed: 1,
                        got: signed.signatures().len(),
                    });
                };
                if one.signer != Signer::Device(*voucher) {
                    return Err(LedgerError::ForeignSignature(one.signer));
                }
                signed::verify(signed.statement(), &by.keys.authentication, one)?;
            }
            Body::Admit(_) | Body::Device(_) | Body::Channel(_) | Body::Policy(_) => {
                let root = self.in_force(&statement)?;
                rules::board(&[root], root.thresholds.of(kind), kind, &signed)?;
            }
            Body::Revoke(_)
            | Body::Suspend(_)
            | Body::Resume(_)
            | Body::Grant(_)
            | Body::Server(_)
            | Body::Recover(_) => return Err(LedgerError::NotInExtracts(kind)),
        }
        self.said.insert((kind, statement.subject()), statement);
        Ok(())
    }

    /// The ROOT that a statement names.
    fn in_force(&self, statement: &Statement) -> Result<&Root, LedgerError> {
        self.root_of(statement.root_version)
            .ok_or(LedgerError::StaleRoot {
                got: statement.root_version,
                current: self.root_version(),
            })
    }

    /// ROOTs stand without a gap.
    fn next(&self, statement: &Statement, version: u32) -> Result<(), LedgerError> {
        let current = self.root_version();
        if statement.root_version != current || version != current + 1 {
            return Err(LedgerError::StaleRoot {
                got: statement.root_version,
                current,
            });
        }
        Ok(())
    }

    /// The network, unless nothing is there.
    pub fn network(&self) -> Option<NetworkId> {
        self.network
    }

    /// The hash of ROOT 1 that all of it hangs on.
    pub fn root1(&self) -> Option<Digest> {
        self.root1
    }

    /// The version of the newest ROOT; 0 if there is none.
    pub fn root_version(&self) -> u32 {
        u32::try_from(self.roots.len()).unwrap_or(u32::MAX)
    }

    /// A ROOT by its version, from 1.
    pub fn root_of(&self, version: u32) -> Option<&Root> {
        self.roots.get((version as usize).checked_sub(1)?)
    }

    /// The newest statement of a kind about a subject.
    pub fn said(&self, kind: Kind, subject: Subject) -> Option<&Statement> {
        self.said.get(&(kind, subject))
    }

    /// A member's newest admission.
    pub fn admission(&self, member: MemberId) -> Option<&Admit> {
        match &self.said(Kind::Admit, Subject::Member(member))?.body {
            Body::Admit(admit) => Some(admit),
            _ => None,
        }
    }

    /// A device.
    pub fn device(&self, device: DeviceId) -> Option<&DeviceBody> {
        match &self.said(Kind::Device, Subject::Device(device))?.body {
            Body::Device(body) => Some(body),
            _ => None,
        }
    }

    /// A channel.
    pub fn channel(&self, channel: ChannelId) -> Option<&ChannelBody> {
        match &self.said(Kind::Channel, Subject::Channel(channel))?.body {
            Body::Channel(body) => Some(body),
            _ => None,
        }
    }

    /// The hashes of all profiles that it names.
    pub fn profiles(&self) -> impl Iterator<Item = Digest> {
        self.said.values().filter_map(|said| match &said.body {
            Body::Admit(admit) => Some(admit.profile),
            Body::Channel(channel) => Some(channel.profile),
            _ => None,
        })
    }

    /// The newest POLICY.
    pub fn policy(&self) -> Option<&Policy> {
        match &self.said(Kind::Policy, Subject::Network)?.body {
            Body::Policy(policy) => Some(policy),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{testing::*, *};
    use super::Extract;
    use std::collections::BTreeSet;

    fn about(subjects: &[Subject]) -> BTreeSet<Subject> {
        subjects.iter().copied().collect()
    }

    /// Member 10 with device 10 by the Board, 11 by 10, 12 by 11; two ROOTs; a channel.
    fn board() -> Board {
        let mut board = Board::with_member();
        board.say(admit(0));
        board.vouch(11, 10, 10).unwrap();
        board.say(Body::Root(root(3)));
        board.vouch(12, 10, 11).unwrap();
        board.say(channel(1, EntryRule::Open, 10));
        board.say(admit(20));
        board
    }

    #[test]
    fn tells_of_whom_it_is_about_and_of_the_board() {
        let board = board();
        let wanted = about(&[
            Subject::Device(device_id(12)),
            Subject::Channel(channel_id(1)),
        ]);
        let entries = board.ledger.extract(&wanted);
        // Two ROOTs, two ADMITs, three DEVICEs, a CHANNEL.
        assert_eq!(entries.len(), 8);
        let extract = Extract::verify(entries).unwrap();
        assert_eq!(extract.root1(), Some(board.ledger.root1()));
        assert_eq!(extract.network(), Some(NETWORK));
        assert_eq!(extract.root_of(2), board.ledger.root());
        assert_eq!(extract.device(device_id(12)).unwrap().keys, device_keys(12));
        assert!(extract.admission(member_id(10)).is_some());
        assert!(extract.admission(member_id(0)).is_some(), "of the Board");
        assert!(extract.admission(member_id(20)).is_none());
        assert!(extract.channel(channel_id(1)).is_some());
    }

    #[test]
    fn nothing_in_it_can_be_made_up_or_left_out_below() {
        let board = board();
        let wanted = about(&[Subject::Device(device_id(12))]);
        let entries = board.ledger.extract(&wanted);
        for at in 0..entries.len() {
            let mut without = entries.clone();
            let gone = without.remove(at);
            let kind = SignedStatement::decode(gone).unwrap().1.kind();
            let left = Extract::verify(without);
            // An ADMIT or the last of a chain leaves a smaller extract; all else breaks it.
            let last = at + 1 == entries.len();
            assert_eq!(left.is_ok(), kind == Kind::Admit || last, "{at} {kind}");
            for byte in [30, gone.len() / 2, gone.len() - 1] {
                let mut forged = gone.to_vec();
                forged[byte] ^= 1;
                let mut all = entries.clone();
                all[at] = &forged;
                assert!(Extract::verify(all).is_err(), "{at} {byte}");
            }
        }
        // One of three signs somebody in: not with two wanted.
        let forged = board.signed(admit(66), &[0]);
        let mut all = entries.clone();
        all.push(&forged);
        assert!(matches!(
            Extract::verify(all),
            Err(LedgerError::TooFew { .. })
        ));
        // What says that somebody is out has no place: its absence would say nothing.
        let revoked = board.signed(revoke(Target::Member(member_id(10))), &[0, 1]);
        let mut all = entries;
        all.push(&revoked);
        assert_eq!(
            Extract::verify(all).err(),
            Some(LedgerError::NotInExtracts(Kind::Revoke))
        );
    }
}
