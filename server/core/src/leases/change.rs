//! Reading and changing leases, one at a time.

use futures_util::lock::MutexGuard;
use plenary_proto::{
    ids::{ChannelId, Digest, ItemId, MemberId, UnixMillis},
    request::ItemTerms,
};

use super::{DAY_MS, Ended, Lease, State, Table, Usage};
use crate::{
    error::OpError, items::ItemStatus, items::Reservation, keys, network::Network, pages::Pages,
};

/// What a sender asks for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The room.
    pub reservation: Reservation,
    /// Whose device that is: the room counts against this member's quota.
    pub member: MemberId,
    /// How long it is kept.
    pub terms: ItemTerms,
}

impl Network {
    /// Counts what the store holds. Before the first request.
    pub(crate) async fn load_leases(&self) -> Result<(), OpError> {
        let mut table = self.leases.lock().await;
        *table = Table::default();
        let mut pages = self.lease_pages(None);
        while let Some(page) = pages.next().await? {
            for (_, held) in &page {
                table.step(None, Some(&Lease::decode(&held.value)?));
            }
        }
        Ok(())
    }

    /// All leases, in the order of their items, or those after an item's.
    pub(super) fn lease_pages(&self, after: Option<ItemId>) -> Pages<'_> {
        Pages::after(&*self.store, keys::LEASES, after.map(keys::lease))
    }

    /// An item's lease, also an ended one.
    ///
    /// # Errors
    /// [`OpError::Internal`].
    pub async fn lease(&self, item: ItemId) -> Result<Option<Lease>, OpError> {
        let value = self.store.get(&keys::lease(item)).await?;
        value.map(|value| Lease::decode(&value.value)).transpose()
    }

    /// The lease of an item that may be fetched in this channel.
    pub(crate) async fn kept_in(&self, item: ItemId, channel: ChannelId) -> Result<Lease, OpError> {
        let lease = self.lease(item).await?;
        let lease = lease.ok_or(OpError::NotFound("there is no such item"))?;
        if !lease.channels.contains(&channel) {
            return Err(OpError::NotAllowed(
                "the item was handed over in another channel".into(),
            ));
        }
        match lease.state {
            State::Kept => Ok(lease),
            State::Reserved => Err(OpError::NotFound("the item is not complete yet")),
            State::Ended { why, .. } => Err(OpError::NotFound(why.why())),
        }
    }

    /// Makes room for an item, or finds what is there of it. The caller has checked who asks.
    ///
    /// # Errors
    /// [`OpError::Exists`], [`OpError::Quota`], [`OpError::NotFound`] if it is gone again.
    pub async fn reserve_item(&self, asked: Asked) -> Result<ItemStatus, OpError> {
        let Asked {
            reservation,
            member,
            terms,
        } = asked;
        let now = reservation.time;
        let mut table = self.leases.lock().await;
        let known = self.lease(reservation.item).await?;
        match known.map(|lease| (lease.is_of(&reservation), lease.state)) {
            Some((false, _)) => return Err(OpError::Exists("there is another item of this name")),
            Some((true, State::Ended { why, .. })) => return Err(OpError::NotFound(why.why())),
            Some((true, State::Kept)) => {
                let status = self.items.status(reservation.item).await?;
                return status.ok_or(OpError::Internal("a kept item is missing".into()));
            }
            // It may still lack its files.
            Some((true, State::Reserved)) => {}
            None => {
                self.fits(&table, member, reservation.size)?;
                let lease = Lease {
                    item: reservation.item,
                    device: reservation.device,
                    member,
                    channels: vec![reservation.channel],
                    size: reservation.size,
                    chunk: reservation.chunk,
                    reserved: now,
                    state: State::Reserved,
                    keep_until: self.keep_until(terms.keep_until, now),
                    wanted: terms.wanted,
                    collectors: terms.collectors,
                    collected: Vec::new(),
                    held_by_sender: false,
                    held_by_operator: false,
                };
                self.write_lease(&mut table, None, Some(&lease)).await?;
            }
        }
        let reserved = self.items.reserve(reservation).await;
        let failed = match reserved {
            Ok(status) => return Ok(status),
            Err(error) => error,
        };
        // No room on the disk after all: nothing is owed.
        let lease = self.lease(reservation.item).await?;
        let nothing = self.items.status(reservation.item).await == Ok(None);
        if let Some(lease) = lease.filter(|lease| nothing && lease.state == State::Reserved) {
            self.write_lease(&mut table, Some(&lease), None).await?;
        }
        Err(failed.into())
    }

    fn fits(&self, table: &Table, member: MemberId, size: u64) -> Result<(), OpError> {
        let config = self.config();
        let refuse = |whose: &str, limit: u64, used: u64| {
            Err(OpError::Quota(format!(
                "{whose} may have {limit} bytes of items, {} are left and this one takes {size}: \
                 withdraw others or ask the operator",
                limit.saturating_sub(used)
            )))
        };
        let over = |limit: u64, used: u64| limit > 0 && used.saturating_add(size) > limit;
        if over(config.member_bytes, table.of(member)) {
            return refuse("a member", config.member_bytes, table.of(member));
        }
        if over(config.total_bytes, table.bytes()) {
            return refuse("the network", config.total_bytes, table.bytes());
        }
        Ok(())
    }

    /// Until when an item is kept: as asked, within what the network allows.
    pub(crate) fn keep_until(&self, asked: Option<UnixMillis>, now: UnixMillis) -> UnixMillis {
        let days = |days: u32| now.plus(u64::from(days) * DAY_MS);
        let longest = days(self.config().longest_keep_days);
        asked
            .unwrap_or(days(self.config().keep_days))
            .min(longest)
            .max(now)
    }

    /// Makes an item readable.
    ///
    /// # Errors
    /// [`OpError::NotFound`]; [`OpError::Invalid`] if the root is not that of all its chunks.
    pub async fn commit_item(&self, item: ItemId, root: Digest) -> Result<(), OpError> {
        // Outside the lock: with an object store this takes as long as the upload did.
        self.items.commit(item, root).await?;
        self.change_lease(item, |lease| {
            match lease.state {
                State::Reserved => lease.state = State::Kept,
                State::Kept => {}
                State::Ended { why, .. } => return Err(OpError::NotFound(why.why())),
            }
            Ok(())
        })
        .await
        .map(drop)
    }

    /// Changes a lease.
    ///
    /// # Errors
    /// Those of `change`; [`OpError::NotFound`].
    pub async fn change_lease(
        &self,
        item: ItemId,
        change: impl FnOnce(&mut Lease) -> Result<(), OpError>,
    ) -> Result<Lease, OpError> {
        let mut table = self.leases.lock().await;
        let before = self.lease(item).await?;
        let before = before.ok_or(OpError::NotFound("there is no such item"))?;
        let mut after = before.clone();
        change(&mut after)?;
        if after != before {
            self.write_lease(&mut table, Some(&before), Some(&after))
                .await?;
        }
        Ok(after)
    }

    /// Notes why an item goes, then removes its bytes.
    ///
    /// # Errors
    /// [`OpError::Internal`]: to be repeated.
    pub async fn end_item(&self, item: ItemId, why: Ended, now: UnixMillis) -> Result<(), OpError> {
        let mut table = self.leases.lock().await;
        match self.lease(item).await? {
            Some(lease) if lease.takes_room() => self.end_lease(&mut table, &lease, why, now).await,
            _ => Ok(()),
        }
    }

    pub(super) async fn end_lease(
        &self,
        table: &mut MutexGuard<'_, Table>,
        lease: &Lease,
        why: Ended,
        time: UnixMillis,
    ) -> Result<(), OpError> {
        let ended = Lease {
            state: State::Ended { why, time },
            ..lease.clone()
        };
        self.write_lease(table, Some(lease), Some(&ended)).await?;
        // What stays after a crash here is the next sweep's.
        Ok(self.items.remove(lease.item).await?)
    }

    pub(super) async fn write_lease(
        &self,
        table: &mut MutexGuard<'_, Table>,
        before: Option<&Lease>,
        after: Option<&Lease>,
    ) -> Result<(), OpError> {
        let Some(item) = before.or(after).map(|lease| lease.item) else {
            return Ok(());
        };
        let key = keys::lease(item);
        let version = self.store.get(&key).await?.map_or(0, |held| held.version);
        let value = after.map(Lease::encode).transpose()?;
        self.store.put_if(key, version, value).await?;
        table.step(before, after);
        Ok(())
    }

    /// Whether the operator has an item held: nothing removes it, its sender's withdrawal included.
    ///
    /// # Errors
    /// [`OpError::NotFound`] if it is gone or never was.
    pub async fn hold_item(&self, item: ItemId, held: bool) -> Result<(), OpError> {
        self.change_lease(item, |lease| {
            if let State::Ended { why, .. } = lease.state {
                return Err(OpError::NotFound(why.why()));
            }
            lease.held_by_operator = held;
            Ok(())
        })
        .await
        .map(drop)
    }

    /// How much room items take.
    pub async fn item_usage(&self) -> Usage {
        self.leases.lock().await.usage()
    }

    /// Sealed bytes by member, the largest first.
    pub async fn item_usage_by_member(&self) -> Vec<(MemberId, u64)> {
        self.leases.lock().await.by_member()
    }
}

impl Lease {
    /// Whether somebody comes back to the same upload.
    fn is_of(&self, reservation: &Reservation) -> bool {
        let Reservation {
            item,
            channel,
            device,
            size,
            chunk,
            time: _,
        } = *reservation;
        (self.item, self.device, self.size, self.chunk) == (item, device, size, chunk)
            && self.channels.first() == Some(&channel)
    }
}
