//! Who was in a channel from when to when, and what that lets somebody read: the certificate of a
//! clean break.

use std::collections::BTreeSet;

use plenary_certs::{
    ledger::{Ledger, Standing},
    proof::clean_break::{CleanBreak, Exposure, Gone, Item},
    signing::SigningKey,
};
use plenary_proto::{
    ids::{ChannelHead, ChannelId, DeviceId, Epoch, LedgerHead, MemberId, Seq, UnixMillis},
    reply::{Record, SignedHead},
};

use super::{Engine, In};
use crate::{
    content::{Content, Kind},
    error::{Error, ErrorKind},
    files::Manifest,
    store::{
        channels::ChannelRow,
        stays::{LeftRow, StayRow},
    },
};

/// Messages looked at together.
const PAGE: u32 = 1_000;

/// A group before a commit.
pub(super) struct Leaves {
    epoch: Epoch,
    devices: BTreeSet<DeviceId>,
}

impl Engine {
    pub(super) fn leaves(&mut self, id: ChannelId) -> Option<Leaves> {
        let group = self.group(id).ok()?;
        Some(Leaves {
            epoch: group.epoch(),
            devices: group.devices().into_iter().collect(),
        })
    }

    /// Notes whom a commit brought in and whom it took out: for the certificate, and for what may be
    /// handed on to whom.
    pub(super) fn note_stays(
        &mut self,
        row: &ChannelRow,
        record: &Record,
        head: ChannelHead,
        before: &Leaves,
    ) -> Result<(), Error> {
        let Some(after) = self.leaves(row.id) else {
            return Ok(());
        };
        for device in after.devices.difference(&before.devices) {
            let entered = (head.seq, record.time);
            self.store.put_entered(row.id, *device, entered)?;
            self.store.add_leaves(row.id, head.seq, &[*device])?;
        }
        for device in before.devices.difference(&after.devices) {
            let left = LeftRow {
                head,
                epoch: before.epoch,
                time: record.time,
                by: record.device,
                basis: row.basis.map_or_else(Default::default, |basis| basis.seq),
                silent: self.was_silent(row.id, *device, record.time)?,
            };
            self.store.put_left(row.id, *device, &left)?;
            self.store.end_leaves(row.id, head.seq, &[*device])?;
        }
        Ok(())
    }

    /// What this device can say of somebody's leaving, the server's signatures left out.
    ///
    /// Errors: [`ErrorKind::NotFound`], [`ErrorKind::Input`] if the member is not out.
    pub(crate) fn clean_break(
        &mut self,
        now: UnixMillis,
        member: MemberId,
    ) -> Result<CleanBreak, Error> {
        let (statement, since, devices) = self.ledger.read(|ledger| out(ledger, member, now))?;
        let mut said = CleanBreak {
            network: self.identity.network(),
            issuer: self.device(),
            issued: now,
            ledger: self.ledger_head(),
            member,
            statement,
            since,
            gone: Vec::new(),
            pending: Vec::new(),
            unexamined: Vec::new(),
            exposure: Vec::new(),
        };
        let on_ledger = self.ledger_channels();
        let rest = self.channel_ids();
        let rest = rest.into_iter().filter(|id| !on_ledger.contains(id));
        for id in on_ledger.iter().copied().chain(rest) {
            self.examine(id, &devices, &mut said)?;
        }
        Ok(said)
    }

    fn examine(
        &mut self,
        id: ChannelId,
        devices: &[DeviceId],
        said: &mut CleanBreak,
    ) -> Result<(), Error> {
        let head = match self.channels.get(&id).map(|channel| &channel.row) {
            Some(row) if row.standing == In::In => row.head,
            // Those that are not on the ledger are nobody else's business, this device's neither.
            _ if self.ledger_channel(id).is_none() => return Ok(()),
            _ => {
                said.unexamined.push(id);
                return Ok(());
            }
        };
        let own = self.store.stays(id, self.device())?;
        let own = own.last().and_then(|stay| stay.entered);
        let (own_entered, came) = own.unwrap_or((head.seq, said.issued));
        let inside = self.devices_in(id)?;
        let mut read = Vec::new();
        let mut found = false;
        for device in devices {
            let stays = self.store.stays(id, *device)?;
            let here = inside.contains(device);
            found |= here || !stays.is_empty();
            if here {
                said.pending.push((id, *device));
                let entered = stays.last().and_then(|stay| stay.entered);
                read.push((entered.map(|(seq, _)| seq), head.seq));
            }
            for stay in &stays {
                let StayRow {
                    entered,
                    left: Some(left),
                } = stay
                else {
                    continue;
                };
                let entered = entered.map(|(seq, _)| seq);
                let last = Seq(left.head.seq.0.saturating_sub(1));
                read.push((entered, last));
                said.gone.push(Gone {
                    channel: id,
                    device: *device,
                    entered,
                    epoch: left.epoch,
                    removal: left.head,
                    time: left.time,
                    by: left.by,
                    basis: left.basis,
                    signed: None,
                });
            }
        }
        if !found && came >= said.since {
            // Came after the statement: somebody may have been in it and removed before.
            said.unexamined.push(id);
        }
        for (after, through, whole) in joined(read, own_entered) {
            let exposure = self.exposure(id, (after, through), whole)?;
            said.exposure.push(exposure);
        }
        Ok(())
    }

    fn exposure(
        &self,
        channel: ChannelId,
        (after, through): (Seq, Seq),
        whole: bool,
    ) -> Result<Exposure, Error> {
        let mut exposure = Exposure {
            channel,
            after,
            through,
            whole,
            messages: 0,
            items: Vec::new(),
        };
        let mut at = after;
        loop {
            let page = self.store.messages(channel, at, PAGE)?;
            for row in page.iter().filter(|row| row.seq <= through) {
                exposure.messages += 1;
                let Ok(content) = Content::decode(&row.content) else {
                    continue;
                };
                if let Kind::Item(manifest) = content.kind()
                    && let Ok(manifest) = Manifest::decode(manifest)
                {
                    exposure.items.push(Item {
                        sha256: *manifest.sha256(),
                        name: Some(manifest.name().to_owned()),
                    });
                }
            }
            match page.last() {
                Some(last) if last.seq < through => at = last.seq,
                _ => return Ok(exposure),
            }
        }
    }

    /// Whether the server's signature covers exactly what was read here.
    pub(crate) fn covers(&self, gone: &Gone, signed: &SignedHead) -> bool {
        signed.channel == gone.channel
            && signed.head == gone.removal
            && self.server_key().is_some_and(|key| {
                plenary_certs::signed_head::check_head(&key, self.identity.network(), signed)
                    .is_ok()
            })
    }

    /// The certificate's file, under this device's custody key.
    pub(crate) fn sign_clean_break(&self, said: &CleanBreak) -> Result<Vec<u8>, Error> {
        let custody = SigningKey::from_seed(&self.identity.custody)
            .map_err(|error| Error::new(ErrorKind::Store, error.to_string()))?;
        Ok(self.ledger.read(|ledger| said.file(ledger, &custody)))
    }
}

/// What was read during several stays, as rows of records that do not overlap: after which record,
/// through which, and whether that is all there was. No entry: before this device's own.
fn joined(stays: Vec<(Option<Seq>, Seq)>, own_entered: Seq) -> Vec<(Seq, Seq, bool)> {
    let mut rows: Vec<_> = stays
        .into_iter()
        .map(|(entered, through)| {
            let whole = entered.is_some_and(|entered| entered >= own_entered);
            let after = entered.unwrap_or_default().max(own_entered);
            (after, through, whole)
        })
        .filter(|(after, through, _)| after < through)
        .collect();
    rows.sort_unstable();
    let mut joined: Vec<(Seq, Seq, bool)> = Vec::new();
    for (after, through, whole) in rows {
        match joined.last_mut().filter(|(_, end, _)| after <= *end) {
            Some(last) => *last = (last.0, last.1.max(through), last.2 && whole),
            None => joined.push((after, through, whole)),
        }
    }
    joined
}

/// By which statement a member is out, since when, and its devices.
fn out(
    ledger: &Ledger,
    member: MemberId,
    now: UnixMillis,
) -> Result<(LedgerHead, UnixMillis, Vec<DeviceId>), Error> {
    let at = ledger.head().seq;
    let not_out = |what: &str| Err(Error::new(ErrorKind::Input, format!("{member} {what}")));
    let time = |seq| ledger.statement(seq).map(|statement| statement.time);
    let (seq, since) = match ledger.member_standing(member, at, now) {
        Standing::Revoked { seq } | Standing::Suspended { seq } => (seq, time(seq)),
        Standing::Lapsed => {
            let admission = ledger
                .member(member)
                .and_then(|member| member.admissions.entry_at(at));
            match admission {
                Some((seq, admit)) => (*seq, admit.ends),
                None => return not_out("was never admitted"),
            }
        }
        Standing::Live => {
            return not_out("is live: revoke or suspend first, then certify the break");
        }
        Standing::Unknown => {
            return Err(Error::new(
                ErrorKind::NotFound,
                format!("the ledger knows no member {member}: `members --all` lists them"),
            ));
        }
    };
    let head = ledger.head_at(seq);
    let Some((head, since)) = head.zip(since) else {
        return not_out("is out by a statement that cannot be found");
    };
    let devices = ledger.devices_of(member).map(|device| device.id).collect();
    Ok((head, since, devices))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_stays_are_counted_once() {
        let own = Seq(10);
        let stays = [
            (Some(12), 20),
            (None, 15),
            (Some(30), 40),
            (Some(35), 38),
            (Some(5), 9),
        ];
        let stays =
            stays.map(|(entered, through): (Option<u64>, u64)| (entered.map(Seq), Seq(through)));
        assert_eq!(
            joined(stays.to_vec(), own),
            [(Seq(10), Seq(20), false), (Seq(30), Seq(40), true)]
        );
    }
}
