//! Who leaves a channel although the ledger has them live: whose GRANT the Board took back, and whom
//! the channel's owner puts out.
//!
//! The first are removed by whoever's turn it is, before that device sends anything more. The owner's
//! wish is kept until the log shows it; the owner's devices do not add that member again, unless the
//! Board grants entry anew.

use std::collections::BTreeSet;

use plenary_certs::{ledger::Standing, mls::context::Rule};
use plenary_proto::ids::{ChannelId, DeviceId, MemberId, UnixMillis};

use super::{Engine, In};
use crate::error::{Error, ErrorKind};

/// Whom the owner wants out, among the small values.
fn wish(id: ChannelId, member: Option<MemberId>) -> String {
    let member = member.map(|member| member.to_string()).unwrap_or_default();
    format!("remove:{id}:{member}")
}

impl Engine {
    /// The owner of a channel puts a member out of it. Durable; done with the next connection.
    ///
    /// Errors: [`ErrorKind::NotAllowed`] if this member does not own it, or anybody may enter it by
    /// themselves; [`ErrorKind::NotFound`], [`ErrorKind::Input`].
    pub(crate) fn remove(
        &mut self,
        now: UnixMillis,
        id: ChannelId,
        member: MemberId,
    ) -> Result<(), Error> {
        let refused = |kind, why: &str| Err(Error::new(kind, why.to_owned()));
        if self.channels.get(&id).map(|channel| channel.row.standing) != Some(In::In) {
            return refused(ErrorKind::NotFound, "this device is not in that channel");
        }
        let (owner, rule) = self.group(id)?.entry()?;
        if owner != self.identity.member() {
            return refused(
                ErrorKind::NotAllowed,
                "only the owner of a channel puts somebody out: ask the owner, or the Board to take \
                 the grant back",
            );
        }
        if member == owner {
            return refused(
                ErrorKind::Input,
                "the owner stays: ask the Board to give the channel to another one",
            );
        }
        if rule == Rule::Open {
            return refused(
                ErrorKind::NotAllowed,
                "anybody may enter an open channel again by themselves: only the Board puts \
                 somebody out, of the network",
            );
        }
        if self.devices_of_in(id, member)?.is_empty() {
            return refused(
                ErrorKind::NotFound,
                "no device of that member is in the channel",
            );
        }
        let store = self.store.clone();
        store.atomic(|| {
            if let Some(wanted) = self.direct_members(id)? {
                let left: Vec<_> = wanted.into_iter().filter(|one| *one != member).collect();
                self.want_in_direct(id, &left)?;
            }
            store.put_meta(&wish(id, Some(member)), &[])
        })?;
        self.plan_fence(now, id)?;
        self.advance(now, id)
    }

    fn devices_of_in(&mut self, id: ChannelId, member: MemberId) -> Result<Vec<DeviceId>, Error> {
        let devices = self.devices_within(id)?.into_iter();
        Ok(devices
            .filter(|device| self.member_of(*device) == Some(member))
            .collect())
    }

    /// Devices in a channel that this one is to remove, live as they are.
    pub(super) fn leavers(&mut self, id: ChannelId) -> Result<Vec<DeviceId>, Error> {
        let own = self.device();
        let mut go = self.withdrawn(id)?;
        // It is for others to do.
        if go.contains(&own) {
            go.clear();
        }
        let owns = self.entry(id)?.0 == self.identity.member();
        for (key, _) in self.store.metas(&wish(id, None))? {
            let member = key.rsplit(':').next().and_then(|text| text.parse().ok());
            let there = match member {
                Some(member) if owns => self.devices_of_in(id, member)?,
                _ => Vec::new(),
            };
            if there.is_empty() {
                self.store.drop_meta(&key)?;
            }
            go.extend(there);
        }
        go.sort_unstable();
        go.dedup();
        Ok(go)
    }

    /// Members whom the owner has put out of a channel since the Board last granted them entry.
    pub(super) fn put_out_by(
        &self,
        owner: MemberId,
        id: ChannelId,
    ) -> Result<BTreeSet<MemberId>, Error> {
        let departures = self.store.departures(id)?;
        Ok(self.ledger.read(|ledger| {
            let of = |device| ledger.device(device).map(|known| known.member);
            let at = ledger.head().seq;
            let put_out = departures.iter().filter_map(|(device, left)| {
                let member = of(*device).filter(|member| *member != owner)?;
                // Whom the ledger had out, the owner's device did not choose.
                let live = ledger.standing(*device, left.basis, left.time) == Standing::Live;
                let granted = ledger.grant(id, member, at);
                let anew = granted.is_some_and(|(seq, granted)| granted && seq > left.basis);
                let chosen = live && !left.silent && of(left.by) == Some(owner);
                (chosen && !anew).then_some(member)
            });
            put_out.collect()
        }))
    }
}
