//! How many handshakes go on at once, and how many of them may come from one address.
//!
//! A slot is taken before a connection is accepted, so what is above the limit waits in the
//! kernel's accept queue. An address that has its share waits beside, without a slot: an office
//! behind one address gets in a little later, and a flooder takes nobody's place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Accepted connections that may wait for their address's share. Each costs a file descriptor
/// and nothing else; above, they are closed at once.
const WAITING: usize = 1024;

/// The gate.
#[derive(Debug)]
pub struct Gate {
    slots: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    per_address: usize,
    shares: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// One handshake in progress; dropped when it is over.
#[derive(Debug)]
pub struct Slot {
    _slot: OwnedSemaphorePermit,
    _share: Share,
}

/// What the gate says to an accepted connection.
pub enum Verdict {
    /// Go on.
    Pass(Slot),
    /// The address has its share in progress.
    Wait(Waiting),
    /// Too many wait already.
    Full,
}

/// A place among those who wait.
pub struct Waiting {
    gate: Arc<Gate>,
    address: IpAddr,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Share {
    gate: Arc<Gate>,
    address: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// `slots` in all, `per_address` of them for one address.
    pub fn new(slots: usize, per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            slots: Arc::new(Semaphore::new(slots)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            per_address,
            shares: Mutex::default(),
        })
    }

    /// Waits for a free slot: to be called before accepting. `None` never happens while the gate
    /// stands.
    pub async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        self.slots.clone().acquire_owned().await.ok()
    }

    /// Decides on an accepted connection.
    pub fn judge(self: &Arc<Self>, address: IpAddr, slot: OwnedSemaphorePermit) -> Verdict {
        let address = shared_address(address);
        match self.share_of(address).try_acquire_owned() {
            Ok(permit) => Verdict::Pass(Slot {
                _slot: slot,
                _share: self.share(address, permit),
            }),
            Err(_) => match self.waiting.clone().try_acquire_owned() {
                Ok(place) => Verdict::Wait(Waiting {
                    gate: self.clone(),
                    address,
                    _place: place,
                }),
                Err(_) => Verdict::Full,
            },
        }
    }

    fn share(self: &Arc<Self>, address: IpAddr, permit: OwnedSemaphorePermit) -> Share {
        Share {
            gate: self.clone(),
            address,
            permit: Some(permit),
        }
    }

    fn share_of(&self, address: IpAddr) -> Arc<Semaphore> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        let share = shares
            .entry(address)
            .or_insert_with(|| Arc::new(Semaphore::new(self.per_address)));
        share.clone()
    }

    /// Forgets an address of which nobody is left.
    fn tidy(&self, address: IpAddr) {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits and waiters hold the semaphore too.
        if shares
            .get(&address)
            .is_some_and(|share| Arc::strong_count(share) == 1)
        {
            shares.remove(&address);
        }
    }
}

impl Waiting {
    /// Waits for the address's turn, then for a slot. Cancel-safe: dropping gives up the place.
    pub async fn turn(self) -> Option<Slot> {
        let share = self.gate.share_of(self.address);
        let permit = share.acquire_owned().await.ok()?;
        let share = self.gate.share(self.address, permit);
        let slot = self.gate.slot().await?;
        Some(Slot {
            _slot: slot,
            _share: share,
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permit = None;
        self.gate.tidy(self.address);
    }
}

/// What counts as one address: a whole /64 in IPv6, which one machine has to itself.
fn shared_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let network = u128::from(v6) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn knock(gate: &Arc<Gate>, address: &str) -> Verdict {
        let slot = gate.slot().await.unwrap();
        gate.judge(address.parse().unwrap(), slot)
    }

    fn pass(verdict: Verdict) -> Slot {
        match verdict {
            Verdict::Pass(slot) => slot,
            _ => panic!("refused"),
        }
    }

    #[tokio::test]
    async fn an_address_has_its_share_and_the_rest_stays_for_others() {
        let gate = Gate::new(4, 2);
        let first = pass(knock(&gate, "10.0.0.1").await);
        let _second = pass(knock(&gate, "::ffff:10.0.0.1").await);
        let Verdict::Wait(waiting) = knock(&gate, "10.0.0.1").await else {
            panic!("a third handshake of one address");
        };
        // Who waits holds no slot.
        let _other = pass(knock(&gate, "10.0.0.2").await);
        let _another = pass(knock(&gate, "10.0.0.3").await);
        assert_eq!(gate.slots.available_permits(), 0);
        drop(first);
        assert!(waiting.turn().await.is_some());
    }

    #[tokio::test]
    async fn a_64_counts_as_one_address() {
        let gate = Gate::new(4, 1);
        let _first = pass(knock(&gate, "2001:db8:0:1::1").await);
        assert!(matches!(
            knock(&gate, "2001:db8:0:1:ffff::2").await,
            Verdict::Wait(_)
        ));
        pass(knock(&gate, "2001:db8:0:2::1").await);
    }

    #[tokio::test]
    async fn too_many_waiting_are_closed_and_nothing_is_left_behind() {
        let gate = Gate::new(4, 1);
        let first = pass(knock(&gate, "10.0.0.1").await);
        let mut waiting = Vec::new();
        for _ in 0..WAITING {
            waiting.push(knock(&gate, "10.0.0.1").await);
        }
        assert!(matches!(knock(&gate, "10.0.0.1").await, Verdict::Full));
        drop(waiting);
        drop(first);
        assert!(gate.shares.lock().unwrap().is_empty());
        assert_eq!(gate.slots.available_permits(), 4);
        assert_eq!(gate.waiting.available_permits(), WAITING);
    }
}
