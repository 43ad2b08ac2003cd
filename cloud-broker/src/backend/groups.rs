//! The coordinator of consumer groups: one thread that owns [`Groups`], told of every request and
//! of every write's end in one order, as the journal's thread is for the log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use headwater_broker_core::groups::{Action, Answer, Groups, Request, Write};
use headwater_wire::time::Millis;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::random;
use super::shared::{Job, Shared};

/// The way to the coordinator, from any thread.
#[derive(Debug)]
pub struct Coordinator {
    sender: Sender<Message>,
    /// Requests that may still wait in line; whoever finds none waits before it.
    places: Arc<Semaphore>,
    tokens: AtomicU64,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// The coordinator's end of it, until its thread begins.
#[derive(Debug)]
pub(super) struct Desk {
    receiver: Receiver<Message>,
}

#[derive(Debug)]
enum Message {
    Ask {
        token: u64,
        request: Box<Request>,
        reply: oneshot::Sender<Answer>,
        _place: OwnedSemaphorePermit,
    },
    /// Whoever asked this group does not wait any more.
    Gone {
        group: String,
        token: u64,
    },
    Written {
        ticket: u64,
        durable: bool,
    },
    /// Streams have come or gone.
    Streams,
    Stop,
}

/// Tells the coordinator how a write went, in the order of the writes.
#[derive(Debug)]
pub(super) struct Receipt {
    ticket: u64,
    sender: Option<Sender<Message>>,
}

impl Coordinator {
    pub(super) fn new() -> (Self, Desk) {
        let (sender, receiver) = channel();
        let coordinator = Self {
            sender,
            places: Arc::new(Semaphore::new(PLACES)),
            tokens: AtomicU64::new(1),
            thread: Mutex::default(),
        };
        (coordinator, Desk { receiver })
    }

    /// Asks, and waits for the answer: of a JoinGroup or SyncGroup perhaps for minutes. Dropping
    /// the future ends the wait. `None`: the broker stops.
    pub async fn ask(&self, request: Request) -> Option<Answer> {
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await.ok()?;
        let token = self.tokens.fetch_add(1, Ordering::Relaxed);
        let mut wait = Wait {
            sender: &self.sender,
            group: group_of(&request),
            token,
        };
        let (reply, answer) = oneshot::channel();
        let ask = Message::Ask {
            token,
            request: Box::new(request),
            reply,
            _place: place,
        };
        self.sender.send(ask).ok()?;
        let answer = answer.await.ok();
        wait.group = None;
        answer
    }

    /// Something that ends the id of a new member: nobody can guess it.
    pub fn fresh_id() -> String {
        uuid::Builder::from_random_bytes(random())
            .into_uuid()
            .to_string()
    }

    pub(super) fn handle_streams(&self) {
        self.send(Message::Streams);
    }

    /// Begins to answer.
    pub(super) fn start(
        &self,
        desk: Desk,
        shared: Arc<Shared>,
        groups: Groups,
    ) -> std::io::Result<()> {
        let began = Instant::now();
        let worker = Worker {
            began: (shared.options.clock)(),
            monotonic: began,
            sender: self.sender.clone(),
            receiver: desk.receiver,
            shared,
            groups,
            replies: BTreeMap::new(),
        };
        let thread = std::thread::Builder::new().name("headwater-groups".to_owned());
        let thread = thread.spawn(move || worker.run())?;
        *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        Ok(())
    }

    /// Whoever still waits is told that the broker stops.
    pub(super) fn stop(&self) {
        self.places.close();
        self.send(Message::Stop);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("The group coordinator's thread has failed");
        }
    }

    fn send(&self, message: Message) {
        // An error means that the thread has ended: then nobody needs to know.
        let _ = self.sender.send(message);
    }
}

impl Receipt {
    pub(super) fn tell(mut self, durable: bool) {
        self.send(durable);
    }

    fn send(&mut self, durable: bool) {
        let ticket = self.ticket;
        if let Some(sender) = self.sender.take() {
            // As above.
            let _ = sender.send(Message::Written { ticket, durable });
        }
    }
}

impl Drop for Receipt {
    /// A write that was lost without a word has failed.
    fn drop(&mut self) {
        self.send(false);
    }
}

/// Somebody who waits for members or for a leader; if it goes, the group should know.
struct Wait<'a> {
    sender: &'a Sender<Message>,
    group: Option<String>,
    token: u64,
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            let token = self.token;
            let _ = self.sender.send(Message::Gone { group, token });
        }
    }
}

fn group_of(request: &Request) -> Option<String> {
    match request {
        Request::Join(join) => Some(join.group.clone()),
        Request::Sync(sync) => Some(sync.caller.group.clone()),
        _ => None,
    }
}

/// The thread.
struct Worker {
    /// Sessions are measured with a clock that nobody sets; it begins at the wall clock's time,
    /// since positions are dated too.
    began: Millis,
    monotonic: Instant,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    shared: Arc<Shared>,
    groups: Groups,
    replies: BTreeMap<u64, oneshot::Sender<Answer>>,
}

impl Worker {
    fn run(mut self) {
        self.forget_streams();
        loop {
            self.act();
            match self.next() {
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(message) => self.handle(message),
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.groups.poll(self.now());
        }
    }

    fn next(&self) -> Result<Message, RecvTimeoutError> {
        let wait = match self.groups.deadline() {
            Some(deadline) => u64::try_from(deadline.since(self.now())).unwrap_or(0),
            None => u64::MAX,
        };
        self.receiver
            .recv_timeout(Duration::from_millis(wait).min(IDLE_MAX))
    }

    fn handle(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Ask {
                token,
                request,
                reply,
                _place,
            } => {
                self.replies.insert(token, reply);
                self.groups.handle(now, token, *request);
            }
            Message::Gone { group, token } => {
                if self.replies.remove(&token).is_some() {
                    self.groups.handle_gone(now, &group, token);
                }
            }
            Message::Written { ticket, durable } => {
                self.groups.handle_written(now, ticket, durable)
            }
            Message::Streams => self.forget_streams(),
            Message::Stop => {}
        }
    }

    /// Does what the groups decided.
    fn act(&mut self) {
        for action in self.groups.take_actions() {
            match action {
                Action::Answer { token, answer } => {
                    if let Some(reply) = self.replies.remove(&token) {
                        // Whoever asked may have gone.
                        let _ = reply.send(answer);
                    }
                }
                Action::Write(write) => self.write(write),
            }
        }
    }

    fn write(&self, write: Write) {
        let Write {
            ticket,
            group,
            records,
        } = write;
        let receipt = Receipt {
            ticket,
            sender: Some(self.sender.clone()),
        };
        let job = Job::Keep {
            group,
            records,
            receipt,
        };
        // One that is not taken drops its receipt, which says so.
        if let Err(reason) = self.shared.submit(job) {
            tracing::debug!(%reason, "A group's state cannot be written");
        }
    }

    fn forget_streams(&mut self) {
        let catalog = self.shared.catalog.load();
        self.groups.handle_streams(|id| catalog.by_id(id).is_some());
    }

    fn now(&self) -> Millis {
        let since = i64::try_from(self.monotonic.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.began.plus(since)
    }
}

/// Requests that wait for the coordinator at most; a connection has one at a time.
const PLACES: usize = 1024;
/// The longest wait without a look at the time.
const IDLE_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Waker};

    use super::*;

    fn waiting(asks: &mut [Pin<Box<impl Future<Output = Option<Answer>>>>]) -> usize {
        let mut context = Context::from_waker(Waker::noop());
        let polls = asks.iter_mut().map(|ask| ask.as_mut().poll(&mut context));
        polls.filter(|poll| poll.is_pending()).count()
    }

    #[test]
    fn who_finds_no_place_in_line_waits_before_it() {
        let (coordinator, desk) = Coordinator::new();
        let mut asks: Vec<_> = (0..PLACES + 10)
            .map(|_| Box::pin(coordinator.ask(Request::List)))
            .collect();
        assert_eq!(waiting(&mut asks), PLACES + 10);
        assert_eq!(desk.receiver.try_iter().count(), PLACES);
        assert_eq!(waiting(&mut asks[PLACES..]), 10);
        assert_eq!(desk.receiver.try_iter().count(), 10);
    }
}
