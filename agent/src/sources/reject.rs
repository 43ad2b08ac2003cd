//! What a source delivered and cannot be mapped: kept in stream `rejected`, with the reason.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use headwater_wire::{names, uplink::EVENT_BYTES_MAX};

use super::Intake;
use crate::log::{AppendError, Event, Step};
use crate::status::SourceState;

/// The stream that every broker has for it.
const STREAM: &str = "rejected";
/// A reason is a sentence; what it quotes may be long.
const REASON_BYTES_MAX: usize = 1_000;

impl Intake {
    /// The record of something that was delivered and cannot be mapped: key `<device>/<source>`,
    /// header `hw-reason`, and what was delivered, cut to what an event may have.
    pub fn rejection(&self, delivered: &[u8], why: &str) -> Event {
        let shared = &*self.shared;
        let reason = &why.as_bytes()[..why.floor_char_boundary(REASON_BYTES_MAX)];
        let mut event = Event {
            timestamp: crate::clock::now_ms(),
            key: format!("{}/{}", shared.device, shared.name),
            value: Bytes::new(),
            headers: vec![(
                names::REASON.to_owned(),
                Some(Bytes::copy_from_slice(reason)),
            )],
        };
        let room = EVENT_BYTES_MAX - event.bytes();
        event.value = Bytes::copy_from_slice(&delivered[..delivered.len().min(room)]);
        event
    }

    /// Makes events durable, in the source's stream or, those that cannot be mapped, in
    /// `rejected`. Counts them once they are; a refusal is shown, and can be tried again.
    ///
    /// # Errors
    /// What the log says.
    pub async fn append_again(
        &self,
        events: &[Event],
        is_rejected: bool,
    ) -> Result<(), AppendError> {
        let shared = &*self.shared;
        if events.is_empty() {
            return Ok(());
        }
        let stream = if is_rejected { STREAM } else { &shared.stream };
        let outcome = shared.log.append(stream, events.to_vec()).await;
        let counts = if is_rejected {
            (0, events.len())
        } else {
            (events.len(), 0)
        };
        let why = reason_of(if is_rejected { events } else { &[] });
        self.settle(counts, why, &outcome);
        outcome
    }

    /// Puts rejections in line for the log, at once; the future resolves when they are durable.
    pub fn append_rejected(
        &self,
        rejected: Vec<Event>,
    ) -> impl Future<Output = Result<(), AppendError>> + Send + use<> {
        let (intake, why) = (self.clone(), reason_of(&rejected));
        let count = rejected.len();
        let append = intake.shared.log.append(STREAM, rejected);
        async move {
            let outcome = append.await;
            intake.settle((0, count), why, &outcome);
            outcome
        }
    }

    /// Appends what was read up to `cursor`, and the cursor with it: all of it is durable when
    /// this returns, or none. Waits on a thread of the source's own.
    ///
    /// # Errors
    /// What the log says; the source can try again.
    pub fn append_step(
        &self,
        cursor: Bytes,
        events: Vec<Event>,
        rejected: Vec<Event>,
    ) -> Result<(), AppendError> {
        let shared = &*self.shared;
        let counts = (events.len(), rejected.len());
        let why = reason_of(&rejected);
        let parts = [
            (shared.stream.clone(), events),
            (STREAM.to_owned(), rejected),
        ];
        let step = Step {
            source: shared.name.clone(),
            cursor,
            events: parts
                .into_iter()
                .filter(|(_, events)| !events.is_empty())
                .collect(),
        };
        let outcome = shared.log.append_step(step).wait();
        self.settle(counts, why, &outcome);
        outcome
    }

    /// Where the source went on, as of its last step.
    pub async fn cursor(&self) -> Option<Bytes> {
        self.shared.log.cursor(&self.shared.name).await
    }

    /// The source is in `state` and shows `why`; nothing is wrong with what it took.
    pub fn waits(&self, state: SourceState, why: String) {
        self.shared.set_state(state, Some(why));
    }

    /// The source goes on.
    pub fn runs(&self) {
        self.shared.set_state(SourceState::Running, None);
    }

    fn settle(
        &self,
        (events, rejected): (usize, usize),
        why: Option<String>,
        outcome: &Result<(), AppendError>,
    ) {
        let shared = &*self.shared;
        match outcome {
            Ok(()) => {
                shared.events.fetch_add(events as u64, Ordering::Relaxed);
                shared
                    .rejected
                    .fetch_add(rejected as u64, Ordering::Relaxed);
                shared.set_state(SourceState::Running, why);
            }
            // It is tried again: nothing is lost, and nothing counted.
            Err(error) => self.waits(SourceState::Rejecting, error.to_string()),
        }
    }
}

/// The reason of the last rejection.
fn reason_of(rejected: &[Event]) -> Option<String> {
    let (_, reason) = rejected.last()?.headers.first()?;
    Some(String::from_utf8_lossy(reason.as_deref()?).into_owned())
}
