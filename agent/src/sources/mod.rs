//! Sources: what brings events to the agent, one file each.
//!
//! A source is a function that opens what it listens on and gives back a task ([`Opened`]). All
//! that it knows of the agent is its [`Intake`]: name a topic, make an event, append it, and wait
//! until it is durable before anybody is told. To add one: a file here, a line in [`open`], its
//! kind in `config/check.rs`.

pub mod lines;
pub mod mqtt;
mod reject;
pub mod system;
pub mod template;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use headwater_wire::{names, uplink::EVENT_BYTES_MAX};
use thiserror::Error;
use tokio::sync::watch;

use crate::config::SourceSettings;
use crate::log::{AppendError, Event, Log, Room};
use crate::status::{Changes, SourceState, SourceView};
use template::{Fields, Template};

/// Where the `mqtt` source listens if nothing is said.
const MQTT_LISTEN_DEFAULT: &str = "127.0.0.1:1884";
/// How often `system` reads if nothing is said.
const SYSTEM_INTERVAL_DEFAULT: Duration = Duration::from_secs(1);

/// Header list of an event.
pub type Headers = Vec<(String, Option<Bytes>)>;

/// A source that is ready to run.
pub struct Opened {
    /// Where it listens, if it does.
    pub listen: Option<SocketAddr>,
    /// Runs until the agent stops ([`Intake::stopping`]).
    pub task: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// Opens the source that `settings` describe.
///
/// # Errors
/// What cannot be opened, with its address.
pub async fn open(settings: &SourceSettings, intake: Intake) -> Result<Opened, SourceError> {
    match settings.kind.as_str() {
        "mqtt" => mqtt::open(intake, mqtt_listen(settings), mqtt::Limits::default()).await,
        "system" => {
            let interval = settings
                .interval
                .map_or(SYSTEM_INTERVAL_DEFAULT, |span| span.duration());
            Ok(system::open(intake, interval))
        }
        "lines" => lines::open(intake, settings.from.as_deref().unwrap_or_default()).await,
        kind => Err(SourceError::Kind(kind.to_owned())),
    }
}

/// Where an `mqtt` source listens.
pub fn mqtt_listen(settings: &SourceSettings) -> &str {
    settings.listen.as_deref().unwrap_or(MQTT_LISTEN_DEFAULT)
}

/// Why a source cannot be opened.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The address is taken, not this machine's, or no address.
    #[error("Source {name} cannot listen on {address}: {reason}")]
    Listen {
        /// The source.
        name: String,
        /// As configured.
        address: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// A thread cannot be had.
    #[error("Source {name} cannot start: {reason}")]
    Thread {
        /// The source.
        name: String,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The settings were not checked.
    #[error("Source {name}: {reason}")]
    Origin {
        /// The source.
        name: String,
        /// What is wrong.
        reason: lines::OriginError,
    },
    /// The settings were not checked.
    #[error("Source kind \"{0}\" is not supported yet")]
    Kind(String),
    /// The settings were not checked.
    #[error("Source {name}: {reason}")]
    Topic {
        /// The source.
        name: String,
        /// What is wrong.
        reason: template::TemplateError,
    },
}

/// Why one event is not taken. Nothing of it is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Topics of the system and of commands are not a source's.
    #[error("Topic \"{0}\" is reserved: it begins with $ or cmd/")]
    ReservedTopic(String),
    /// Not a topic name of MQTT.
    #[error("\"{0}\" is no topic name")]
    Topic(String),
    /// Above [`EVENT_BYTES_MAX`].
    #[error(
        "Event of {0} bytes, topic and headers included; at most {EVENT_BYTES_MAX} are possible"
    )]
    TooLarge(usize),
}

/// A source's way into the log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Intake {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log: Log,
    device: String,
    device_prefix: String,
    name: String,
    kind: String,
    stream: String,
    template: Template,
    events: AtomicU64,
    rejected: AtomicU64,
    connections: AtomicUsize,
    state: std::sync::Mutex<(SourceState, Option<String>)>,
    changes: Changes,
    stopping: Stopping,
}

/// Tells that the agent stops. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// The switch, and what tells of it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (switch, stopping) = watch::channel(false);
        (switch, Self(stopping))
    }

    /// Resolves when the agent stops, at once if it already does.
    pub async fn wait(&mut self) {
        // A switch that is gone means the same.
        let _either = self.0.wait_for(|stop| *stop).await;
    }
}

impl Intake {
    /// The way into `log` for the source that `settings` describe. The device is the log's.
    ///
    /// # Errors
    /// A topic template that was not checked.
    pub fn new(
        settings: &SourceSettings,
        log: Log,
        changes: Changes,
        stopping: Stopping,
    ) -> Result<Self, SourceError> {
        let default = if settings.kind == "mqtt" {
            "{topic}"
        } else {
            "{device}/{source}/{name}"
        };
        let template =
            Template::parse(settings.topic.as_deref().unwrap_or(default)).map_err(|reason| {
                SourceError::Topic {
                    name: settings.name().to_owned(),
                    reason,
                }
            })?;
        let device = log.device().to_owned();
        Ok(Self {
            shared: Arc::new(Shared {
                device_prefix: format!("{device}/"),
                device,
                name: settings.name().to_owned(),
                kind: settings.kind.clone(),
                stream: settings.stream().to_owned(),
                template,
                events: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
                connections: AtomicUsize::new(0),
                state: std::sync::Mutex::new((SourceState::Running, None)),
                log,
                changes,
                stopping,
            }),
        })
    }

    /// The source's name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Resolves when the agent stops: take nothing more, answer what was taken, and end.
    pub fn stopping(&self) -> Stopping {
        self.shared.stopping.clone()
    }

    /// What all sources together may hold in memory.
    pub(crate) fn room(&self) -> &Room {
        self.shared.log.room()
    }

    /// How many clients the source has now.
    pub fn set_connections(&self, count: usize) {
        self.shared.connections.store(count, Ordering::Relaxed);
    }

    /// The topic of a reading: `name` is its own name, `topic` the topic it came with, if any.
    pub fn topic(&self, name: &str, topic: &str) -> String {
        let shared = &*self.shared;
        shared.template.expand(Fields {
            device: &shared.device,
            source: &shared.name,
            name,
            topic,
        })
    }

    /// Makes an event and checks it. `timestamp` is the event's time in ms; `hw-device` is added
    /// where the topic does not show the device.
    ///
    /// # Errors
    /// Reserved topics and events that are too large.
    pub fn event(
        &self,
        topic: String,
        timestamp: i64,
        value: Bytes,
        mut headers: Headers,
    ) -> Result<Event, Refused> {
        if names::is_reserved_key(topic.as_bytes()) {
            return Err(Refused::ReservedTopic(topic));
        }
        if headwater_wire::topic::check_name(topic.as_bytes()).is_err() {
            return Err(Refused::Topic(topic));
        }
        if !topic.starts_with(&self.shared.device_prefix) {
            let device = Bytes::copy_from_slice(self.shared.device.as_bytes());
            headers.push((names::DEVICE.to_owned(), Some(device)));
        }
        let event = Event {
            timestamp,
            key: topic,
            value,
            headers,
        };
        match event.bytes() {
            bytes if bytes > EVENT_BYTES_MAX => Err(Refused::TooLarge(bytes)),
            _ => Ok(event),
        }
    }

    /// Puts events in line for the log, at once and in this order; the future resolves when they
    /// are durable. Counts them.
    pub fn append(
        &self,
        events: Vec<Event>,
    ) -> impl Future<Output = Result<(), AppendError>> + Send + Unpin + use<> {
        let shared = Arc::clone(&self.shared);
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let append = shared.log.append(&shared.stream, events);
        Counted {
            append,
            shared,
            count,
        }
    }

    /// Counts events that were refused, and shows why.
    pub fn rejected(&self, count: u64, why: &str) {
        self.shared.rejected(count, why);
    }

    /// The source has ended; `why` is shown.
    pub fn failed(&self, why: &str) {
        tracing::error!(source = self.name(), "{why}");
        self.shared
            .set_state(SourceState::Failed, Some(why.to_owned()));
    }

    /// What the status shows of this source.
    pub fn view(&self) -> SourceView {
        let shared = &*self.shared;
        let (state, error) = shared
            .state
            .lock()
            .map_or((SourceState::Failed, None), |state| state.clone());
        SourceView {
            name: shared.name.clone(),
            kind: shared.kind.clone(),
            state,
            events: shared.events.load(Ordering::Relaxed),
            rejected: shared.rejected.load(Ordering::Relaxed),
            error,
            connections: shared.connections.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    fn rejected(&self, count: u64, why: &str) {
        self.rejected.fetch_add(count, Ordering::Relaxed);
        self.set_state(SourceState::Running, Some(why.to_owned()));
    }

    fn settled(&self, count: u64, outcome: &Result<(), AppendError>) {
        match outcome {
            Ok(()) => {
                self.events.fetch_add(count, Ordering::Relaxed);
                self.set_state(SourceState::Running, None);
            }
            Err(error) => {
                self.rejected.fetch_add(count, Ordering::Relaxed);
                self.set_state(SourceState::Rejecting, Some(error.to_string()));
            }
        }
    }

    fn set_state(&self, state: SourceState, error: Option<String>) {
        if let Ok(mut current) = self.state.lock()
            && (current.0 != state || current.1 != error)
        {
            let changed = current.0 != state;
            *current = (state, error);
            if changed {
                self.changes.tell();
            }
        }
    }
}

/// An append whose events are counted when it is over.
struct Counted {
    append: crate::log::Append,
    shared: Arc<Shared>,
    count: u64,
}

impl Future for Counted {
    type Output = Result<(), AppendError>;

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let polled = Pin::new(&mut self.append).poll(context);
        if let std::task::Poll::Ready(outcome) = &polled {
            self.shared.settled(self.count, outcome);
        }
        polled
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}
