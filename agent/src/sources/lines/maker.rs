//! Lines into events and rejections, a step's worth at a time.

use bytes::Bytes;
use headwater_wire::uplink::EVENT_BYTES_MAX;

use super::cut::{Cut, Cutter};
use crate::log::{EVENT_MEMORY_BYTES, EVENT_OVERHEAD_BYTES, Event, STEP_BYTES_MAX};
use crate::sources::Intake;

/// Makes the events of one source.
#[derive(Debug, Clone)]
pub(super) struct Maker {
    pub(super) intake: Intake,
    topic: String,
    line_bytes_max: usize,
    /// What an event counts in a step beside its own bytes.
    overhead_bytes: usize,
}

/// What lines have become, in order within each list.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) events: Vec<Event>,
    pub(super) rejected: Vec<Event>,
    /// Bytes of the lines that are done with.
    pub(super) used: usize,
    bytes: usize,
}

impl Maker {
    pub(super) fn new(intake: Intake, name: &str) -> Self {
        let topic = intake.topic(name, name);
        let empty = intake.event(topic.clone(), 0, Bytes::new(), Vec::new());
        // With a topic that cannot be used no line can be mapped, whatever its length.
        let around = empty.map_or(0, |event| event.bytes());
        Self {
            intake,
            topic,
            line_bytes_max: EVENT_BYTES_MAX - around,
            overhead_bytes: EVENT_OVERHEAD_BYTES,
        }
    }

    /// Makes smaller steps: what they count is the memory that they take, since there may be many
    /// at a time.
    pub(super) fn for_many(self) -> Self {
        Self {
            overhead_bytes: EVENT_MEMORY_BYTES,
            ..self
        }
    }

    /// Cuts lines as long as these may be.
    pub(super) fn cutter(&self) -> Cutter {
        Cutter {
            line_bytes_max: self.line_bytes_max,
            is_skipping: false,
        }
    }

    /// Bytes within which a line ends or is too long.
    pub(super) fn buffer_bytes_max(&self) -> usize {
        self.line_bytes_max + 2
    }

    /// As many lines at the front of `bytes` as one step takes; with `is_last` nothing follows
    /// them, and a line needs no newline.
    pub(super) fn make(&self, cutter: &mut Cutter, bytes: &[u8], is_last: bool) -> Made {
        let mut made = Made::default();
        let now = crate::clock::now_ms();
        loop {
            let before = *cutter;
            let rest = &bytes[made.used..];
            let cut = if is_last {
                cutter.last(rest)
            } else {
                cutter.cut(rest)
            };
            let (event, used, is_rejected) = match cut {
                Cut::More => return made,
                Cut::Skipped { used } => {
                    made.used += used;
                    continue;
                }
                Cut::TooLong { front, used } => (self.too_long(front), used, true),
                Cut::Line { value, used } => match self.event(now, value) {
                    Ok(event) => (event, used, false),
                    Err(rejection) => (rejection, used, true),
                },
            };
            let bytes = made.bytes + event.bytes() + self.overhead_bytes;
            if bytes > STEP_BYTES_MAX {
                *cutter = before;
                return made;
            }
            made.bytes = bytes;
            made.used += used;
            if is_rejected {
                made.rejected.push(event);
            } else {
                made.events.push(event);
            }
        }
    }

    fn event(&self, now: i64, line: &[u8]) -> Result<Event, Event> {
        let value = Bytes::copy_from_slice(line);
        let event = self
            .intake
            .event(self.topic.clone(), now, value, Vec::new());
        event.map_err(|refused| self.intake.rejection(line, &refused.to_string()))
    }

    fn too_long(&self, front: &[u8]) -> Event {
        let max = self.line_bytes_max;
        let why =
            format!("Line is longer than the {max} bytes that are possible, its front is kept");
        self.intake.rejection(front, &why)
    }
}

impl Made {
    pub(super) fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// What its events count.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Lines in it.
    pub(super) fn count(&self) -> usize {
        self.events.len() + self.rejected.len()
    }
}
