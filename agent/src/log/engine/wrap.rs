//! How the broker counts what the log counts, and positions that are left out in between.
//!
//! A batch ends where an epoch of the broker's count ends, at the latest. A lane that goes on as
//! another generation counts from another position, and what was closed before may lie across such
//! an end. It cannot be cut there any more: it is moved behind the end, and the positions before it
//! are declared, reason `wrap` (kafka.md 3.4(3) of the design). Where that is, the lane's record
//! says; the declaration follows from it to the byte.

use std::io;

use headwater_agent_core::lane::SealedBatch;
use headwater_agent_core::loss::Loss;
use headwater_wire::uplink::{LossReason, LostRange, Position};

use super::Lane;
use super::loss::UNKNOWN;
use super::uplink::unless_damaged;
use crate::log::segments::Reader;
use crate::log::tail::{Hole, crc_of};

impl Lane {
    /// What lies at a position of the log, as the broker counts in this generation.
    pub(super) fn known_as(&self, held: Position) -> Position {
        self.known(held, |hole| hole.at <= held)
    }

    /// The end of what lies before a position of the log, as the broker counts.
    pub(super) fn known_end(&self, held: Position) -> Position {
        self.known(held, |hole| hole.at < held)
    }

    fn known(&self, held: Position, is_before: impl Fn(&Hole) -> bool) -> Position {
        let holes = self.record.holes.iter().filter(|hole| is_before(hole));
        let left_out: u64 = holes.map(|hole| hole.count).sum();
        Position(held.since(self.record.base) + left_out)
    }

    /// A position as the broker counts, in the log. All of a hole is where it lies.
    pub(super) fn held_at(&self, known: Position) -> Position {
        let mut at = known.0;
        for hole in &self.record.holes {
            let (from, to) = self.hole_range(hole);
            if known <= from {
                break;
            }
            at -= known.min(to).since(from);
        }
        let held = at.saturating_add(self.record.base.0);
        Position(held.min(Position::END.0))
    }

    /// Counts as the broker does: batches end with its epochs too.
    pub(super) fn count_as_known(&mut self) {
        let left_out = self.record.holes.iter().map(|hole| hole.count).sum();
        self.batcher.count_from(self.record.base, left_out);
    }

    /// The declaration that begins at a position as the broker counts, if positions are left out
    /// there.
    pub(super) fn hole_from(
        &self,
        device: &str,
        known: Position,
    ) -> io::Result<Option<SealedBatch>> {
        self.hole(device, |(from, _)| from == known)
    }

    /// What the broker's answer is, if it lies in a hole or at its end.
    pub(super) fn in_hole(&self, device: &str, known: Position) -> io::Result<Option<InHole>> {
        let end = self.hole(device, |(_, to)| to == known)?;
        if let Some(batch) = end {
            return Ok(Some(InHole::AtEnd(crc_of(&batch.bytes))));
        }
        let mut ranges = self.record.holes.iter().map(|hole| self.hole_range(hole));
        let is_inside = ranges.any(|(from, to)| from < known && known < to);
        Ok(is_inside.then_some(InHole::Inside))
    }

    fn hole(
        &self,
        device: &str,
        is_asked: impl Fn((Position, Position)) -> bool,
    ) -> io::Result<Option<SealedBatch>> {
        let mut ranges = self.record.holes.iter().map(|hole| self.hole_range(hole));
        let Some((from, to)) = ranges.find(|range| is_asked(*range)) else {
            return Ok(None);
        };
        let loss = Loss {
            range: LostRange { from, to },
            reason: LossReason::Wrap,
            ..UNKNOWN
        };
        let at_ms = self.record.repaired.map_or(0, |(_, at_ms)| at_ms);
        let batch = loss.batch(device, &self.name, self.record.generation, at_ms);
        batch.map(Some).map_err(io::Error::other)
    }

    fn hole_range(&self, hole: &Hole) -> (Position, Position) {
        (self.known_end(hole.at), self.known_as(hole.at))
    }

    /// The positions that are left out if the broker counts from `base` on: before each batch that
    /// would lie across the end of an epoch.
    pub(super) fn holes_from(&self, reader: &mut Reader, base: Position) -> io::Result<Vec<Hole>> {
        let epoch = Position::ZERO.records_left_in_epoch();
        let mut holes = Vec::new();
        let mut end = base.0 + epoch;
        while end < self.batcher.first().0 {
            let at = Position(end);
            let across = |(first, next): &(Position, Position)| *first < at && at < *next;
            let in_memory = self.small.iter();
            let mut in_memory = in_memory.map(|entry| (entry.batch.first, entry.batch.next));
            let given_up = self.record.given_up.iter();
            let mut given_up = given_up.map(|loss| (loss.range.from, loss.range.to));
            // A declaration is one record, wherever it begins.
            let lost = self.losses.iter();
            let mut lost = lost.map(|entry| (entry.batch.first, entry.batch.next));
            let found = if given_up.any(|range| across(&range)) || lost.any(|range| across(&range))
            {
                None
            } else if let Some(range) = in_memory.find(across) {
                Some(range)
            } else {
                let last = unless_damaged(self.segments.last_below(reader, at))?;
                last.map(|batch| (batch.first, batch.next)).filter(across)
            };
            end += epoch;
            if let Some((first, _)) = found {
                let count = at.since(first);
                holes.push(Hole { at: first, count });
                end -= count;
            }
        }
        Ok(holes)
    }
}

/// Where in a hole.
pub(super) enum InHole {
    /// At its end: the CRC of its declaration.
    AtEnd(u32),
    /// Where nothing ever ended.
    Inside,
}
