//! Listens to many clients at once: what arrived when, and what must not happen.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use plenary_client::{
    Client, Event,
    ids::{ChannelId, Seq},
};
use tokio::{sync::Notify, task::JoinHandle};

/// A client has read a channel up to here.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// The last record processed.
    pub through: Seq,
    /// When its event came.
    pub at: Instant,
}

#[derive(Debug, Default)]
struct Heard {
    arrivals: HashMap<(usize, ChannelId), Vec<Arrival>>,
    troubles: Vec<(usize, String)>,
}

/// Listens to clients, each known by a number. Everything ends when it is dropped.
#[derive(Debug, Default)]
pub struct Watch {
    heard: Arc<Mutex<Heard>>,
    news: Arc<Notify>,
    listeners: BTreeMap<usize, JoinHandle<()>>,
}

impl Watch {
    /// Begins to listen to a client; its events up to now are not heard.
    pub fn listen(&mut self, who: usize, client: &Client) {
        let mut events = client.events();
        let (heard, news) = (self.heard.clone(), self.news.clone());
        let listener = tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let at = Instant::now();
                {
                    let mut heard = lock(&heard);
                    match event {
                        Event::Messages { channel, through } => {
                            heard.arrive(who, channel, Arrival { through, at });
                        }
                        Event::Sent { channel, seq, .. } => {
                            heard.arrive(who, channel, Arrival { through: seq, at });
                        }
                        Event::Failed { reason, .. } => {
                            heard.troubles.push((who, format!("not sent: {reason}")));
                        }
                        Event::Alarm { kind, what, .. } => {
                            heard.troubles.push((who, format!("alarm {kind}: {what}")));
                        }
                        Event::Left(channel) => {
                            heard.troubles.push((who, format!("left {channel:?}")));
                        }
                        _ => continue,
                    }
                }
                news.notify_waiters();
            }
        });
        if let Some(old) = self.listeners.insert(who, listener) {
            old.abort();
        }
    }

    /// Stops listening to one; what was heard stays.
    pub fn forget(&mut self, who: usize) {
        if let Some(listener) = self.listeners.remove(&who) {
            listener.abort();
        }
    }

    /// Waits until everybody listened to has read a channel up to `seq`.
    ///
    /// # Errors
    /// After `patience` without that, naming who lags.
    pub async fn all_read(&self, channel: ChannelId, seq: Seq, patience: Duration) -> Result<()> {
        let wait = async {
            loop {
                let news = self.news.notified();
                tokio::pin!(news);
                // Before the look: an event in between must not be lost.
                news.as_mut().enable();
                if self.lagging(channel, seq).is_empty() {
                    return;
                }
                news.await;
            }
        };
        if tokio::time::timeout(patience, wait).await.is_err() {
            let lagging = self.lagging(channel, seq);
            if !lagging.is_empty() {
                bail!("after {patience:?}, {channel:?} is not read up to {seq:?} by {lagging:?}");
            }
        }
        Ok(())
    }

    /// When somebody's client had read a channel up to `seq`.
    pub fn arrival(&self, who: usize, channel: ChannelId, seq: Seq) -> Option<Instant> {
        let heard = lock(&self.heard);
        let arrivals = heard.arrivals.get(&(who, channel))?;
        let first = arrivals.partition_point(|arrival| arrival.through < seq);
        arrivals.get(first).map(|arrival| arrival.at)
    }

    /// What must not have happened: messages given up, alarms, channels left.
    pub fn troubles(&self) -> Vec<(usize, String)> {
        lock(&self.heard).troubles.clone()
    }

    fn lagging(&self, channel: ChannelId, seq: Seq) -> Vec<usize> {
        let heard = lock(&self.heard);
        self.listeners
            .keys()
            .copied()
            .filter(|who| heard.head(*who, channel) < Some(seq))
            .collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for listener in self.listeners.values() {
            listener.abort();
        }
    }
}

impl Heard {
    /// Kept rising, so that it can be searched.
    fn arrive(&mut self, who: usize, channel: ChannelId, arrival: Arrival) {
        if self.head(who, channel) < Some(arrival.through) {
            let arrivals = self.arrivals.entry((who, channel)).or_default();
            arrivals.push(arrival);
        }
    }

    fn head(&self, who: usize, channel: ChannelId) -> Option<Seq> {
        let arrivals = self.arrivals.get(&(who, channel))?;
        arrivals.last().map(|arrival| arrival.through)
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}
