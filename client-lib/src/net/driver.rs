//! Drives the engine: one thread that owns it, one task that keeps a connection up for ever.
//!
//! ```text
//! Client --run, call--> [inputs] --> engine thread --> requests --> writer task --> server
//!                          ^                 \--> events
//!                          +--- frames, ticks --- link task <--------------------- server
//! ```
//!
//! The engine's store blocks, so it has a thread. Inputs are bounded: a server that floods waits.
//! The thread has ended when the last handle is gone: SQLCipher frees its memory at the end of the
//! process (`atexit`), and a store still in use by then would fall over it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use plenary_proto::{
    ids::{RequestId, UnixMillis},
    reply::{Hello, Push, Reply, ServerFrame},
    request::{ClientFrame, Request},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

use super::{
    Connection, Expected, Receiver, Sender,
    backoff::{Backoff, jittered},
    open,
};
use crate::{
    engine::{Engine, Event, Output},
    error::{Error, ErrorKind},
    store::identity::Identity,
};

/// Inputs waiting for the engine.
const INPUTS: usize = 256;
/// Events waiting for the slowest listener.
const EVENTS: usize = 4_096;
/// Frames gathered into one write.
const BATCH: usize = 64;
/// How often the engine hears that time passes.
const TICK: Duration = Duration::from_millis(100);

/// Now, by the system's clock.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMillis(since.as_millis() as u64)
}

type Command = Box<dyn FnOnce(&mut Engine, UnixMillis) + Send>;
type Answer = oneshot::Sender<Result<Reply, Error>>;

enum Input {
    Run(Command),
    Call(Request, Answer),
    Connected(Box<Hello>, u32, mpsc::UnboundedSender<ClientFrame>),
    Disconnected,
    Frame(Box<ServerFrame>),
    Tick,
    Close(oneshot::Sender<()>),
}

/// The handle on engine and connection. Dropping the last clone ends both, and waits for it.
#[derive(Clone)]
pub(crate) struct Driver(Arc<Inner>);

/// The handle, without keeping engine and connection going.
pub(crate) struct WeakDriver(Weak<Inner>);

impl WeakDriver {
    /// As [`Driver::run`], if anybody else still holds the handle.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, UnixMillis) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let driver = self.0.upgrade().map(Driver).ok_or_else(closed)?;
        driver.run(work).await
    }
}

struct Inner {
    inputs: mpsc::Sender<Input>,
    events: broadcast::Sender<Event>,
    trouble: Trouble,
    link: Option<JoinHandle<()>>,
    engine: Option<thread::JoinHandle<()>>,
    closing: Arc<AtomicBool>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(link) = &self.link {
            link.abort();
        }
        self.closing.store(true, Ordering::Release);
        // For an engine that waits; one whose queue is full sees the flag.
        let (done, _) = oneshot::channel();
        let _ = self.inputs.try_send(Input::Close(done));
        let own = thread::current().id();
        // What runs on the engine may have held the last handle.
        if let Some(engine) = self.engine.take().filter(|one| one.thread().id() != own) {
            let _ = engine.join();
        }
    }
}

/// Why there is no connection, or no engine any more.
#[derive(Debug, Clone, Default)]
struct Trouble(Arc<Mutex<Option<Error>>>);

impl Trouble {
    fn set(&self, error: Option<Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn get(&self) -> Option<Error> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Driver {
    /// Opens an engine on its thread and, unless it is to stay offline, begins to connect.
    pub(crate) async fn start(
        make: impl FnOnce() -> Result<Engine, Error> + Send + 'static,
        online: bool,
    ) -> Result<(Identity, Self), Error> {
        let (inputs, queue) = mpsc::channel(INPUTS);
        let (events, _) = broadcast::channel(EVENTS);
        let trouble = Trouble::default();
        let closing = Arc::new(AtomicBool::new(false));
        let (ready, opened) = oneshot::channel();
        let thread = Thread {
            queue,
            events: events.clone(),
            trouble: trouble.clone(),
            answers: HashMap::new(),
            line: None,
            closing: closing.clone(),
        };
        let engine = thread::Builder::new()
            .name("plenary-engine".to_owned())
            .spawn(move || match make() {
                Ok(engine) => {
                    if ready.send(Ok(engine.identity().clone())).is_ok() {
                        thread.run(engine);
                    }
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                }
            })?;
        let identity = opened.await.map_err(|_| closed())??;
        let link = match online {
            true => Some(tokio::spawn(link(
                identity.clone(),
                inputs.clone(),
                trouble.clone(),
            ))),
            false => None,
        };
        Ok((
            identity,
            Self(Arc::new(Inner {
                inputs,
                events,
                trouble,
                link,
                engine: Some(engine),
                closing,
            })),
        ))
    }

    /// Runs something on the engine.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Engine, UnixMillis) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, result) = oneshot::channel();
        let command: Command = Box::new(move |engine, now| {
            let _ = done.send(work(engine, now));
        });
        self.input(Input::Run(command)).await?;
        result.await.map_err(|_| self.ended())?
    }

    /// Asks the server. Fails at once while there is no connection.
    pub(crate) async fn call(&self, request: Request) -> Result<Reply, Error> {
        let (done, result) = oneshot::channel();
        self.input(Input::Call(request, done)).await?;
        result.await.map_err(|_| self.ended())?
    }

    /// See [`WeakDriver`].
    pub(crate) fn downgrade(&self) -> WeakDriver {
        WeakDriver(Arc::downgrade(&self.0))
    }

    /// Events from now on.
    pub(crate) fn events(&self) -> broadcast::Receiver<Event> {
        self.0.events.subscribe()
    }

    /// Why there is no connection now, if a try has failed.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.0.trouble.get()
    }

    /// Ends engine and connection; the store is closed when this returns.
    pub(crate) async fn close(self) {
        if let Some(link) = &self.0.link {
            link.abort();
        }
        let (done, closed) = oneshot::channel();
        if self.0.inputs.send(Input::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
    }

    async fn input(&self, input: Input) -> Result<(), Error> {
        self.0.inputs.send(input).await.map_err(|_| self.ended())
    }

    fn ended(&self) -> Error {
        self.0
            .trouble
            .get()
            .filter(|error| error.kind() == ErrorKind::Store)
            .unwrap_or_else(closed)
    }
}

fn closed() -> Error {
    Error::new(ErrorKind::Closed, "the client was closed")
}

/// What the engine's thread holds beside the engine.
struct Thread {
    queue: mpsc::Receiver<Input>,
    events: broadcast::Sender<Event>,
    trouble: Trouble,
    answers: HashMap<RequestId, Answer>,
    line: Option<mpsc::UnboundedSender<ClientFrame>>,
    closing: Arc<AtomicBool>,
}

impl Thread {
    fn run(mut self, mut engine: Engine) {
        while let Some(input) = self.queue.blocking_recv() {
            let mut next = Some(input);
            let mut taken = 0;
            while let Some(input) = next.take() {
                if self.closing.load(Ordering::Acquire) {
                    return;
                }
                if let Input::Close(done) = input {
                    drop(engine);
                    let _ = done.send(());
                    return;
                }
                let result = self.take(&mut engine, input);
                if self.failed(result) {
                    return;
                }
                taken += 1;
                if taken < INPUTS {
                    next = self.queue.try_recv().ok();
                }
            }
            // Records pushed together are processed in one transaction.
            if self.failed(engine.settle(now())) {
                return;
            }
            self.drain(&mut engine);
        }
    }

    /// Whether the engine cannot go on.
    fn failed(&self, result: Result<(), Error>) -> bool {
        match result {
            Ok(()) => false,
            Err(error) if error.kind() == ErrorKind::Store => {
                // What the engine has in memory may be ahead of its store: nothing more is done.
                tracing::error!(%error, "the profile's store failed: closing");
                self.trouble.set(Some(error));
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the engine could not");
                false
            }
        }
    }

    fn take(&mut self, engine: &mut Engine, input: Input) -> Result<(), Error> {
        match input {
            Input::Run(command) => command(engine, now()),
            Input::Call(request, answer) if self.line.is_some() && engine.knows_server() => {
                self.answers.insert(engine.call(request), answer);
            }
            Input::Call(_, answer) => {
                let error = self.trouble.get().unwrap_or_else(|| {
                    Error::new(
                        ErrorKind::Offline,
                        "there is no connection to the server now",
                    )
                });
                let _ = answer.send(Err(error));
            }
            Input::Connected(hello, key_packages, line) => {
                self.line = Some(line);
                engine.connected(now(), *hello, key_packages);
            }
            Input::Disconnected => {
                self.line = None;
                engine.disconnected();
            }
            Input::Frame(frame) => match *frame {
                ServerFrame::Reply(id, reply) => return engine.reply(now(), id, reply),
                ServerFrame::Push(push) => return engine.push(now(), push),
                ServerFrame::Hello(_)
                | ServerFrame::Ok(_)
                | ServerFrame::Refused(_)
                | ServerFrame::Part(_) => {}
            },
            Input::Tick => return engine.tick(now()),
            Input::Close(_) => {}
        }
        Ok(())
    }

    fn drain(&mut self, engine: &mut Engine) {
        while let Some(output) = engine.poll() {
            match output {
                Output::Send(id, request) => {
                    if let Some(line) = &self.line {
                        // A line that is gone is followed by `Disconnected`.
                        let _ = line.send(ClientFrame::Request(id, request));
                    }
                }
                Output::Answered(id, result) => {
                    if let Some(answer) = self.answers.remove(&id) {
                        let _ = answer.send(result.map_err(Error::from));
                    }
                }
                Output::Event(event) => {
                    let _ = self.events.send(event);
                }
                Output::Distrust(error) => {
                    tracing::error!(%error, "not who it must be");
                    self.trouble.set(Some(error));
                    self.line = None;
                }
            }
        }
    }
}

/// Keeps a connection up, for ever.
async fn link(identity: Identity, inputs: mpsc::Sender<Input>, trouble: Trouble) {
    let mut backoff = Backoff::new();
    loop {
        let pause = match connect(&identity).await {
            Ok(connection) => {
                trouble.set(None);
                let since = Instant::now();
                let (hello, key_packages) = (connection.hello.clone(), connection.key_packages);
                let (sender, receiver) = connection.split();
                let end = relay(hello, key_packages, sender, receiver, &inputs).await;
                if inputs.send(Input::Disconnected).await.is_err() {
                    return;
                }
                match (trouble.get(), end) {
                    (_, End::Closed) => return,
                    // Set by the engine: who is not trusted is not merely gone.
                    (Some(distrust), _) => backoff.after_end(since.elapsed(), &distrust),
                    (None, End::Bye(after)) => backoff.after_bye(since.elapsed(), after),
                    (None, End::Broken(error)) => {
                        tracing::debug!(%error, "the connection ended");
                        let pause = backoff.after_end(since.elapsed(), &error);
                        trouble.set(Some(error));
                        pause
                    }
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no connection");
                let pause = backoff.after_failure(&error);
                trouble.set(Some(error));
                pause
            }
        };
        sleep(jittered(pause)).await;
    }
}

/// Connects. With which key the server proves itself is for the engine to judge: the Board may have
/// named another one while this device was away.
async fn connect(identity: &Identity) -> Result<Connection, Error> {
    let credentials = identity.credentials(plenary_proto::request::Purpose::Chat)?;
    let expected = Expected {
        network: Some(identity.network()),
        server_key: None,
    };
    open(&credentials, expected).await
}

enum End {
    Broken(Error),
    Bye(Duration),
    Closed,
}

/// Carries frames both ways until one side ends it.
async fn relay(
    hello: Hello,
    key_packages: u32,
    sender: Sender,
    mut receiver: Receiver,
    inputs: &mpsc::Sender<Input>,
) -> End {
    let (line, requests) = mpsc::unbounded_channel();
    let mut writer = tokio::spawn(write(sender, requests));
    let connected = Input::Connected(Box::new(hello), key_packages, line);
    if inputs.send(connected).await.is_err() {
        return End::Closed;
    }
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut bye = None;
    let end = loop {
        let input = tokio::select! {
            frame = receiver.next() => match frame {
                Ok(frame) => {
                    if let ServerFrame::Push(Push::Bye { retry_after_ms, .. }) = &frame {
                        bye = Some(Duration::from_millis(*retry_after_ms));
                    }
                    Input::Frame(Box::new(frame))
                }
                Err(error) => break bye.map_or(End::Broken(error), End::Bye),
            },
            _ = ticks.tick() => Input::Tick,
            written = &mut writer => break match written {
                Ok(Err(error)) => End::Broken(error),
                // The engine let go of the line: it does not trust the other side.
                Ok(Ok(())) | Err(_) => End::Bye(Duration::ZERO),
            },
        };
        if inputs.send(input).await.is_err() {
            break End::Closed;
        }
    };
    writer.abort();
    end
}

async fn write(
    sender: Sender,
    mut requests: mpsc::UnboundedReceiver<ClientFrame>,
) -> Result<(), Error> {
    let mut batch = Vec::with_capacity(BATCH);
    while requests.recv_many(&mut batch, BATCH).await > 0 {
        sender.send(batch.drain(..)).await?;
    }
    sender.close().await;
    Ok(())
}
