//! The log's thread and the way to it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headwater_agent_core::handshake::{Handshake, ResumeAnswer};
use headwater_agent_core::lane::{LaneName, LaneState, SealedBatch};
use headwater_wire::uplink::{
    BATCH_BYTES_MAX, EVENT_BYTES_MAX, Position, RepairReason, check_stream,
};
use tokio::sync::{oneshot, watch};

use super::append::{Append, Event};
use super::engine::{Engine, Pending, PendingStep};
use super::error::{AppendError, OpenError, ReadError};
use super::options::LogOptions;
use super::status::LogStatus;
use super::step::Step;
use super::watch::{STOPPED, Watch};

/// Uncompressed bytes of events that one commit takes.
const GROUP_BYTES_MAX: usize = 4 << 20;
/// What a header's or record's encoding adds at most.
const FIELD_OVERHEAD_BYTES: usize = 8;

/// What all handles share.
#[derive(Debug)]
pub(super) struct Handle {
    shared: Arc<Shared>,
    device: String,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    lanes: Mutex<Vec<LaneState>>,
    version: watch::Sender<u64>,
    /// Set under the inbox's lock.
    stopped: AtomicBool,
}

/// What waits for the thread.
#[derive(Debug, Default)]
struct Inbox {
    appends: Vec<Pending>,
    steps: Vec<PendingStep>,
    requests: Vec<Request>,
    stop: bool,
    /// Who waits until the files are closed.
    stopping: Vec<oneshot::Sender<()>>,
}

#[derive(Debug)]
enum Request {
    NextBatch(
        LaneName,
        Position,
        oneshot::Sender<Result<Option<SealedBatch>, ReadError>>,
    ),
    Handshake(
        LaneName,
        ResumeAnswer,
        oneshot::Sender<Result<Handshake, ReadError>>,
    ),
    SetAside(LaneName, Position, oneshot::Sender<Result<(), ReadError>>),
    GiveUp(LaneName, oneshot::Sender<Result<(), ReadError>>),
    Repair(
        LaneName,
        u32,
        RepairReason,
        oneshot::Sender<Result<LaneState, ReadError>>,
    ),
    Acknowledge(LaneName, Position),
    Hold(LaneName, Option<String>),
    Link(bool),
    Status(oneshot::Sender<LogStatus>),
    Cursor(String, oneshot::Sender<Option<Bytes>>),
}

impl Handle {
    pub(super) fn start(options: LogOptions) -> Result<Self, OpenError> {
        let dir = options.dir.clone();
        let commit_interval = options.commit_interval;
        let engine = Engine::open(options)?;
        let device = engine.device().to_owned();
        let shared = Arc::new(Shared {
            inbox: Mutex::default(),
            wake: Condvar::new(),
            lanes: Mutex::new(engine.lane_states()),
            version: watch::Sender::new(0),
            stopped: AtomicBool::new(false),
        });
        let for_thread = shared.clone();
        let thread = std::thread::Builder::new()
            .name("log".into())
            .spawn(move || for_thread.run(engine, commit_interval))
            .map_err(|source| OpenError::Io { file: dir, source })?;
        Ok(Self {
            shared,
            device,
            thread: Mutex::new(Some(thread)),
        })
    }

    pub(super) fn device(&self) -> &str {
        &self.device
    }

    pub(super) fn lanes(&self) -> Vec<LaneState> {
        lock(&self.shared.lanes).clone()
    }

    pub(super) fn watch(&self) -> Watch {
        Watch::new(self.shared.version.subscribe())
    }

    pub(super) fn append(&self, lane: LaneName, events: Vec<Event>) -> Append {
        if let Err(error) = check(&lane, &events) {
            return Append::refused(error);
        }
        let (answer, waiting) = oneshot::channel();
        let mut inbox = lock(&self.shared.inbox);
        if inbox.stop {
            return Append::refused(AppendError::Stopped);
        }
        inbox.appends.push(Pending {
            lane,
            events,
            answer,
        });
        drop(inbox);
        self.shared.wake.notify_one();
        Append::waiting(waiting)
    }

    pub(super) fn append_step(&self, step: Step) -> Append {
        let checked = step
            .lanes()
            .try_for_each(|(lane, events)| check(&lane, events));
        if let Err(error) = step.check().and(checked) {
            return Append::refused(error);
        }
        let (answer, waiting) = oneshot::channel();
        let mut inbox = lock(&self.shared.inbox);
        if inbox.stop {
            return Append::refused(AppendError::Stopped);
        }
        inbox.steps.push(PendingStep { step, answer });
        drop(inbox);
        self.shared.wake.notify_one();
        Append::waiting(waiting)
    }

    pub(super) async fn cursor(&self, source: String) -> Option<Bytes> {
        let answer = self.ask(|answer| Request::Cursor(source, answer));
        answer.await.unwrap_or_default()
    }

    pub(super) async fn next_batch(
        &self,
        lane: LaneName,
        from: Position,
    ) -> Result<Option<SealedBatch>, ReadError> {
        let answer = self.ask(|answer| Request::NextBatch(lane, from, answer));
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    pub(super) async fn handshake(
        &self,
        lane: LaneName,
        answer: ResumeAnswer,
    ) -> Result<Handshake, ReadError> {
        let answer = self.ask(|to| Request::Handshake(lane, answer, to));
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    pub(super) async fn set_aside(&self, lane: LaneName, first: Position) -> Result<(), ReadError> {
        let answer = self.ask(|answer| Request::SetAside(lane, first, answer));
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    pub(super) async fn give_up(&self, lane: LaneName) -> Result<(), ReadError> {
        let answer = self.ask(|answer| Request::GiveUp(lane, answer));
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    pub(super) async fn repair(
        &self,
        lane: LaneName,
        generation: u32,
        reason: RepairReason,
    ) -> Result<LaneState, ReadError> {
        let answer = self.ask(|answer| Request::Repair(lane, generation, reason, answer));
        answer.await.unwrap_or(Err(ReadError::Stopped))
    }

    pub(super) fn acknowledge(&self, lane: LaneName, up_to: Position) {
        self.shared.tell(Request::Acknowledge(lane, up_to));
    }

    pub(super) fn hold(&self, lane: LaneName, error: Option<String>) {
        self.shared.tell(Request::Hold(lane, error));
    }

    pub(super) fn set_link(&self, up: bool) {
        self.shared.tell(Request::Link(up));
    }

    pub(super) async fn status(&self) -> LogStatus {
        self.ask(Request::Status).await.unwrap_or_default()
    }

    pub(super) async fn stop(&self) {
        let (answer, stopped) = oneshot::channel();
        self.shared.stop(Some(answer));
        // Without an answer the thread had stopped before.
        let _ = stopped.await;
        self.join();
    }

    fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> oneshot::Receiver<T> {
        let (answer, waiting) = oneshot::channel();
        self.shared.tell(request(answer));
        waiting
    }

    fn join(&self) {
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("Log thread ended with a panic");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.stop(None);
        self.join();
    }
}

impl Shared {
    fn run(&self, mut engine: Engine, commit_interval: Duration) {
        let _end = End(self);
        let mut last_commit = Instant::now();
        loop {
            let work = self.wait(engine.due_in(), last_commit + commit_interval);
            for request in work.requests {
                handle(&mut engine, request);
            }
            if !work.appends.is_empty() || engine.is_due() {
                engine.run_then(work.appends, |engine| self.publish(engine));
                last_commit = Instant::now();
            }
            for step in work.steps {
                engine.run_step(step, |engine| self.publish(engine));
                last_commit = Instant::now();
            }
            self.publish(&mut engine);
            if work.stop {
                break;
            }
        }
        engine.close();
    }

    /// Waits for something to do, `wait` at most; takes it. Appends are taken from `commit_at` on.
    fn wait(&self, wait: Option<Duration>, commit_at: Instant) -> Work {
        let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
        let mut inbox = lock(&self.inbox);
        loop {
            let now = Instant::now();
            let commit_at = inbox.has_appends().then_some(commit_at);
            let appends_ready = commit_at.is_some_and(|at| now >= at || inbox.stop);
            let is_due = deadline.is_some_and(|deadline| now >= deadline);
            if appends_ready || is_due || inbox.stop || !inbox.requests.is_empty() {
                return inbox.take(appends_ready);
            }
            inbox = match [deadline, commit_at].into_iter().flatten().min() {
                None => self
                    .wake
                    .wait(inbox)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(at) => {
                    let timeout = at.saturating_duration_since(now);
                    let waited = self.wake.wait_timeout(inbox, timeout);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn publish(&self, engine: &mut Engine) {
        *lock(&self.lanes) = engine.lane_states();
        if engine.take_changed() {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn tell(&self, request: Request) {
        let mut inbox = lock(&self.inbox);
        // A stopped log drops the request, and with it the channel that the caller waits on.
        if !self.stopped.load(Ordering::Acquire) {
            inbox.requests.push(request);
        }
        drop(inbox);
        self.wake.notify_one();
    }

    fn stop(&self, answer: Option<oneshot::Sender<()>>) {
        let mut inbox = lock(&self.inbox);
        inbox.stop = true;
        if !self.stopped.load(Ordering::Acquire) {
            inbox.stopping.extend(answer);
        }
        drop(inbox);
        self.wake.notify_one();
    }
}

/// The thread's end, a panic too: nobody waits for what will not come.
struct End<'a>(&'a Shared);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut inbox = lock(&self.0.inbox);
        self.0.stopped.store(true, Ordering::Release);
        inbox.stop = true;
        // Whoever waits for these sees that the log stopped.
        inbox.appends.clear();
        inbox.steps.clear();
        inbox.requests.clear();
        for answer in inbox.stopping.drain(..) {
            let _ = answer.send(());
        }
        drop(inbox);
        self.0.version.send_replace(STOPPED);
    }
}

/// What the thread does in one turn.
struct Work {
    appends: Vec<Pending>,
    steps: Vec<PendingStep>,
    requests: Vec<Request>,
    stop: bool,
}

impl Inbox {
    fn has_appends(&self) -> bool {
        !self.appends.is_empty() || !self.steps.is_empty()
    }

    fn take(&mut self, appends_ready: bool) -> Work {
        let mut bytes = 0;
        let fits = |append: &&Pending| {
            let is_first = bytes == 0;
            bytes += append.bytes();
            is_first || bytes <= GROUP_BYTES_MAX
        };
        let count = self.appends.iter().take_while(fits).count();
        let appends = self
            .appends
            .drain(..if appends_ready { count } else { 0 })
            .collect();
        let steps = self
            .steps
            .drain(..if appends_ready { self.steps.len() } else { 0 });
        let steps = steps.collect();
        let stop = self.stop && !self.has_appends();
        Work {
            appends,
            steps,
            requests: std::mem::take(&mut self.requests),
            stop,
        }
    }
}

fn handle(engine: &mut Engine, request: Request) {
    // Whoever asked may be gone; that changes nothing.
    match request {
        Request::NextBatch(lane, from, to) => drop(to.send(engine.next_batch(&lane, from))),
        Request::Handshake(lane, answer, to) => drop(to.send(engine.handshake(&lane, &answer))),
        Request::SetAside(lane, first, to) => drop(to.send(engine.set_aside(&lane, first))),
        Request::GiveUp(lane, to) => drop(to.send(engine.give_up(&lane))),
        Request::Repair(lane, generation, reason, to) => {
            drop(to.send(engine.repair(&lane, generation, reason)));
        }
        Request::Acknowledge(lane, up_to) => engine.acknowledge(&lane, up_to),
        Request::Hold(lane, error) => engine.hold(&lane, error),
        Request::Link(up) => engine.set_link(up),
        Request::Status(to) => drop(to.send(engine.status())),
        Request::Cursor(source, to) => drop(to.send(engine.cursor(&source))),
    }
}

fn check(lane: &LaneName, events: &[Event]) -> Result<(), AppendError> {
    check_stream(&lane.stream).map_err(|error| AppendError::Stream(error.to_string()))?;
    for event in events {
        let bytes = event.bytes();
        if bytes > EVENT_BYTES_MAX {
            return Err(AppendError::TooLarge {
                bytes,
                max: EVENT_BYTES_MAX,
            });
        }
        // Very many very short headers: what frames them may be more than what they say.
        let framed = bytes + (event.headers.len() + 4) * FIELD_OVERHEAD_BYTES;
        let max = BATCH_BYTES_MAX - FRAME_BYTES;
        if framed > max {
            return Err(AppendError::TooLarge { bytes: framed, max });
        }
    }
    Ok(())
}

/// Batch header, and what compression may add.
const FRAME_BYTES: usize = 1_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
