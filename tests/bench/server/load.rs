//! What is done to either server: a message to many, many small channels, a steady trickle.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use plenary_tests::harness::{PATIENCE, cpu_of};
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{interval, timeout},
};

use super::line::{Address, Heard, Line, Said, stamp_of};

/// One measurement of one server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Took {
    /// CPU-seconds of the server.
    pub cpu: f64,
    pub wall: f64,
    /// Messages said.
    pub messages: u64,
    /// Copies that arrived.
    pub deliveries: u64,
    /// Milliseconds from saying to hearing; zero where not looked at.
    pub p50: f64,
    pub p99: f64,
}

/// Somebody who hears, counted.
#[derive(Default)]
struct Count {
    heard: AtomicU64,
    moved: Notify,
}

impl Count {
    fn add(&self, every: u64) {
        if (self.heard.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every) {
            self.moved.notify_one();
        }
    }

    async fn until(&self, wanted: u64) -> Result<()> {
        let wait = async {
            while self.heard.load(Ordering::Relaxed) < wanted {
                // A round may end between two notices.
                let _ = timeout(Duration::from_millis(1), self.moved.notified()).await;
            }
        };
        timeout(PATIENCE, wait).await.with_context(|| {
            let heard = self.heard.load(Ordering::Relaxed);
            format!("{heard} of {wanted} messages came")
        })
    }
}

/// Tasks that end with what they belong to.
struct Tasks(Vec<JoinHandle<Result<()>>>);

impl Tasks {
    /// Errors: the first of one that ended, which none should.
    fn check(&mut self) -> Result<()> {
        let ended = self.0.iter().position(JoinHandle::is_finished);
        ensure!(ended.is_none(), "a reader lost its connection");
        Ok(())
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}

/// A process and one channel on it, with readers.
pub struct Fan {
    process: String,
    address: Address,
    senders: Vec<Line>,
    readers: u64,
    count: Arc<Count>,
    times: Arc<Mutex<Histogram<u64>>>,
    tasks: Tasks,
    begun: Instant,
}

impl Fan {
    /// `senders` speak, `readers` hear. `timed`: each arrival's time is noted.
    pub async fn new(
        process: u32,
        address: Address,
        senders: Vec<Line>,
        readers: Vec<Line>,
        timed: bool,
    ) -> Result<Self> {
        let count = Arc::<Count>::default();
        let times = Arc::new(Mutex::new(Histogram::<u64>::new(3)?));
        let begun = Instant::now();
        let number = readers.len() as u64;
        let mut tasks = Vec::new();
        for mut line in readers {
            line.join(&address).await?;
            let (count, times) = (count.clone(), times.clone());
            tasks.push(tokio::spawn(async move {
                loop {
                    if timed {
                        if let Said::Delivered(message) = line.stream.next().await? {
                            note(&times, begun, &message)?;
                            count.add(number);
                        }
                    } else {
                        // Only messages come: they are counted, at the least cost.
                        line.stream.any().await?;
                        count.add(number);
                    }
                }
            }));
        }
        Ok(Self {
            process: process.to_string(),
            address,
            senders,
            readers: number,
            count,
            times,
            tasks: Tasks(tasks),
            begun,
        })
    }

    /// Each sender says so many, `window` of them under way: neither acknowledged nor heard.
    pub async fn blast(&mut self, each: u64, window: u64) -> Result<Took> {
        // A server that queues without bounds would otherwise be measured by its queues.
        let unheard = 2 * window * self.senders.len() as u64;
        self.speak(each, window, unheard).await
    }

    /// Each sender says so many, the next when all heard all that were said.
    pub async fn one_by_one(&mut self, each: u64) -> Result<Took> {
        self.speak(each, 1, 0).await
    }

    /// `unheard`: messages that are not heard yet when one more is said.
    async fn speak(&mut self, each: u64, window: u64, unheard: u64) -> Result<Took> {
        let (cpu, begun) = (cpu_of(&self.process)?, Instant::now());
        let before = self.count.heard.load(Ordering::Relaxed);
        let said = Arc::new(AtomicU64::new(0));
        let mut talks = Vec::new();
        for line in std::mem::take(&mut self.senders) {
            let talk = Talk {
                line,
                address: self.address.clone(),
                said: said.clone(),
                count: self.count.clone(),
                before,
                readers: self.readers,
                unheard,
            };
            talks.push(tokio::spawn(talk.run(each, window)));
        }
        for talk in talks {
            self.senders.push(talk.await??);
        }
        let messages = said.load(Ordering::Relaxed);
        self.ended(cpu, begun, before, messages).await
    }

    /// Says so many a second for so long.
    pub async fn trickle(&mut self, a_second: u64, seconds: u64) -> Result<Took> {
        lock(&self.times).reset();
        let (cpu, begun) = (cpu_of(&self.process)?, Instant::now());
        let before = self.count.heard.load(Ordering::Relaxed);
        let mut ticks = interval(Duration::from_secs(1) / u32::try_from(a_second)?);
        let messages = a_second * seconds;
        for turn in 0..messages {
            ticks.tick().await;
            let turn = turn as usize % self.senders.len();
            let sender = self.senders.get_mut(turn).context("nobody speaks")?;
            let number = sender.number();
            let stamp = self.begun.elapsed().as_nanos() as u64;
            sender.sink.send(self.address.frame(number, stamp)).await?;
            while !matches!(next(&mut sender.stream).await?, Said::Taken(_)) {}
        }
        let mut took = self.ended(cpu, begun, before, messages).await?;
        let times = lock(&self.times);
        took.p50 = times.value_at_quantile(0.5) as f64 / 1e6;
        took.p99 = times.value_at_quantile(0.99) as f64 / 1e6;
        Ok(took)
    }

    async fn ended(&mut self, cpu: f64, begun: Instant, before: u64, said: u64) -> Result<Took> {
        let deliveries = said * self.readers;
        self.count.until(before + deliveries).await?;
        let wall = begun.elapsed().as_secs_f64();
        self.tasks.check()?;
        Ok(Took {
            cpu: cpu_of(&self.process)? - cpu,
            wall,
            messages: said,
            deliveries,
            ..Took::default()
        })
    }
}

/// One who speaks as fast as it is taken.
struct Talk {
    line: Line,
    address: Address,
    said: Arc<AtomicU64>,
    count: Arc<Count>,
    before: u64,
    readers: u64,
    unheard: u64,
}

impl Talk {
    async fn run(mut self, each: u64, window: u64) -> Result<Line> {
        let (mut said, mut taken) = (0, 0);
        while taken < each {
            let all = self.said.load(Ordering::Relaxed);
            if let Some(heard) = all.checked_sub(self.unheard) {
                self.count.until(self.before + heard * self.readers).await?;
            }
            let more = (window + taken - said).min(each - said);
            for _ in 0..more {
                let number = self.line.number();
                let stamp = self.said.fetch_add(1, Ordering::Relaxed);
                let frame = self.address.frame(number, stamp);
                self.line.sink.feed(frame).await?;
            }
            if more > 0 {
                said += more;
                self.line.sink.flush().await?;
            }
            while !matches!(next(&mut self.line.stream).await?, Said::Taken(_)) {}
            taken += 1;
        }
        Ok(self.line)
    }
}

/// A process and many channels on it, each with one who speaks.
pub struct Many {
    process: String,
    speakers: Vec<(Address, Line)>,
    heard: Arc<Count>,
    /// Copies of one message that others than its speaker hear.
    readers: u64,
    tasks: Tasks,
}

impl Many {
    /// For each channel its lines: the first speaks and hears, the others hear.
    pub async fn new(process: u32, channels: Vec<(Address, Vec<Line>)>) -> Result<Self> {
        let heard = Arc::<Count>::default();
        let (mut speakers, mut tasks, mut readers) = (Vec::new(), Vec::new(), 0);
        for (address, lines) in channels {
            let mut lines = lines.into_iter();
            let mut speaker = lines.next().context("a channel of nobody")?;
            speaker.join(&address).await?;
            readers = lines.len() as u64;
            for mut line in lines {
                line.join(&address).await?;
                let heard = heard.clone();
                tasks.push(tokio::spawn(async move {
                    loop {
                        line.stream.any().await?;
                        heard.add(64);
                    }
                }));
            }
            speakers.push((address, speaker));
        }
        Ok(Self {
            process: process.to_string(),
            speakers,
            heard,
            readers,
            tasks: Tasks(tasks),
        })
    }

    /// Each says so many, the next when the one before is taken and heard by itself.
    pub async fn talk(&mut self, each: u64) -> Result<Took> {
        let (cpu, begun) = (cpu_of(&self.process)?, Instant::now());
        let before = self.heard.heard.load(Ordering::Relaxed);
        let messages = each * self.speakers.len() as u64;
        let talks: Vec<_> = std::mem::take(&mut self.speakers)
            .into_iter()
            .map(|(address, line)| tokio::spawn(talk(address, line, each)))
            .collect();
        for talk in talks {
            self.speakers.push(talk.await??);
        }
        // All are taken by now; that is what a second is counted by.
        let wall = begun.elapsed().as_secs_f64();
        self.heard.until(before + messages * self.readers).await?;
        self.tasks.check()?;
        Ok(Took {
            cpu: cpu_of(&self.process)? - cpu,
            wall,
            messages,
            deliveries: messages * (self.readers + 1),
            ..Took::default()
        })
    }
}

impl Many {
    /// The first channel's speaker alone says so many.
    pub async fn talk_alone(&mut self, messages: u64) -> Result<()> {
        let (address, line) = self.speakers.swap_remove(0);
        self.speakers.push(talk(address, line, messages).await?);
        Ok(())
    }
}

async fn talk(address: Address, mut line: Line, each: u64) -> Result<(Address, Line)> {
    for _ in 0..each {
        let number = line.number();
        line.sink.send(address.frame(number, number)).await?;
        let (mut taken, mut heard) = (false, false);
        while !(taken && heard) {
            match next(&mut line.stream).await? {
                Said::Taken(_) => taken = true,
                Said::Delivered(_) => heard = true,
                Said::Answer(..) | Said::Other => {}
            }
        }
    }
    Ok((address, line))
}

async fn next(stream: &mut Heard) -> Result<Said> {
    timeout(PATIENCE, stream.next()).await.context("silence")?
}

fn note(times: &Mutex<Histogram<u64>>, begun: Instant, message: &[u8]) -> Result<()> {
    let said = stamp_of(message).context("a short message")?;
    let took = (begun.elapsed().as_nanos() as u64).saturating_sub(said);
    lock(times).record(took)?;
    Ok(())
}

fn lock(times: &Mutex<Histogram<u64>>) -> std::sync::MutexGuard<'_, Histogram<u64>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}
