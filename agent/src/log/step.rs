//! Events that come with a cursor: where their source goes on, durable with them or not at all.

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;

use super::append::Event;
use super::error::AppendError;

/// What a cursor may have at most, bytes. What is in it is the source's own.
pub const CURSOR_BYTES_MAX: usize = 1024;
/// What the events of one step may have at most, [`EVENT_OVERHEAD_BYTES`] for each included.
pub const STEP_BYTES_MAX: usize = 256 << 10;
/// What an event counts in a step beside [`Event::bytes`].
pub const EVENT_OVERHEAD_BYTES: usize = 64;

/// One step of a source that can go back: the events that it read, and where it stands behind
/// them. One synced write makes all of it durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The source's name, `[A-Za-z0-9._:-]{1,128}`: the cursor's name in the log.
    pub source: String,
    /// Where the source goes on after a restart; at most [`CURSOR_BYTES_MAX`].
    pub cursor: Bytes,
    /// Streams and what goes to each, in order; at most [`STEP_BYTES_MAX`] together.
    pub events: Vec<(String, Vec<Event>)>,
}

impl Step {
    /// What its events count.
    pub fn bytes(&self) -> usize {
        let events = self.events.iter().flat_map(|(_, events)| events);
        events
            .map(|event| event.bytes() + EVENT_OVERHEAD_BYTES)
            .sum()
    }

    pub(super) fn check(&self) -> Result<(), AppendError> {
        if !crate::device::is_device_name(&self.source) {
            let text = format!("\"{}\" is no name of a source", self.source);
            return Err(AppendError::Stream(text));
        }
        let limits = [
            (self.cursor.len(), CURSOR_BYTES_MAX),
            (self.bytes(), STEP_BYTES_MAX),
        ];
        match limits.into_iter().find(|(bytes, max)| bytes > max) {
            Some((bytes, max)) => Err(AppendError::TooLarge { bytes, max }),
            None => Ok(()),
        }
    }

    /// The lanes, with what goes to each.
    pub(super) fn lanes(&self) -> impl Iterator<Item = (LaneName, &[Event])> {
        self.events
            .iter()
            .map(|(stream, events)| (LaneName::main(stream), events.as_slice()))
    }
}
