//! Where each lane stands on the present connection.

use std::collections::BTreeMap;

use headwater_wire::time::Millis;
use headwater_wire::uplink::{Position, RepairReason};

use crate::lane::{LaneName, LaneState, SealedBatch};

#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: BTreeMap<LaneName, Lane>,
    /// Lane that sent last: the next one is served first.
    last: Option<LaneName>,
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) state: LaneState,
    pub(super) phase: Phase,
    /// Whether the log was told that the lane is held.
    pub(super) held: bool,
    /// A batch that was refused once and is sent once more.
    pub(super) refused: Option<Position>,
    /// Whether another batch lay where one of ours belongs, and nothing was acknowledged since.
    pub(super) in_conflict: bool,
}

#[derive(Debug)]
pub(super) enum Phase {
    /// Not resumed on this connection.
    New,
    /// `resume` is in flight.
    Resuming,
    /// The log compares, or makes the repair durable.
    Deciding,
    /// Its histories forked: a new generation is to be asked for.
    Forked(RepairReason),
    /// It is asked for.
    Repairing,
    /// May send.
    Open(Cursor),
    /// May not, until then.
    Held { retry_at: Millis },
}

/// How far an open lane was read.
#[derive(Debug)]
pub(super) struct Cursor {
    pub(super) next: Position,
    pub(super) reading: bool,
    pub(super) ready: Option<SealedBatch>,
}

impl Cursor {
    pub(super) fn at(next: Position) -> Self {
        Self {
            next,
            reading: false,
            ready: None,
        }
    }
}

impl Lanes {
    pub(super) fn update(&mut self, states: Vec<LaneState>) {
        for state in states {
            match self.lanes.get_mut(&state.name) {
                Some(lane) => lane.state = state,
                None => {
                    let lane = Lane {
                        state,
                        phase: Phase::New,
                        held: false,
                        refused: None,
                        in_conflict: false,
                    };
                    self.lanes.insert(lane.state.name.clone(), lane);
                }
            }
        }
    }

    pub(super) fn get_mut(&mut self, name: &LaneName) -> Option<&mut Lane> {
        self.lanes.get_mut(name)
    }

    /// The lane goes on under a new generation: it is resumed anew.
    pub(super) fn repaired(&mut self, state: LaneState) {
        if let Some(lane) = self.lanes.get_mut(&state.name) {
            lane.state = state;
            lane.phase = Phase::New;
            lane.in_conflict = false;
            lane.refused = None;
        }
    }

    /// The first lane that needs a new generation, and why.
    pub(super) fn poll_repair(&mut self) -> Option<(LaneState, RepairReason)> {
        self.lanes.values_mut().find_map(|lane| {
            let Phase::Forked(reason) = lane.phase else {
                return None;
            };
            lane.phase = Phase::Repairing;
            Some((lane.state.clone(), reason))
        })
    }

    /// Nothing of a connection is carried into the next.
    pub(super) fn disconnected(&mut self) {
        for lane in self.lanes.values_mut() {
            lane.phase = Phase::New;
        }
    }

    pub(super) fn next_retry(&self) -> Option<Millis> {
        let retry = |lane: &Lane| match lane.phase {
            Phase::Held { retry_at } => Some(retry_at),
            _ => None,
        };
        self.lanes.values().filter_map(retry).min()
    }

    /// The first lane that is to be resumed: one that ever had data, since only the broker knows
    /// whether it still has all of it.
    pub(super) fn poll_resume(&mut self, now: Millis) -> Option<&mut Lane> {
        self.lanes.values_mut().find(|lane| match lane.phase {
            Phase::New => lane.state.next > Position::default(),
            Phase::Held { retry_at } => now >= retry_at,
            _ => false,
        })
    }

    /// The first open lane that has something to be read.
    pub(super) fn poll_read(&mut self) -> Option<(LaneName, Position)> {
        let lane = self.lanes.values_mut().find(|lane| lane.wants_reading())?;
        let Phase::Open(cursor) = &mut lane.phase else {
            return None;
        };
        cursor.reading = true;
        Some((lane.state.name.clone(), cursor.next))
    }

    /// The next batch to send, lanes taking turns.
    pub(super) fn poll_ready(&mut self) -> Option<(LaneName, u32, SealedBatch)> {
        let is_ready = |lane: &Lane| matches!(&lane.phase, Phase::Open(c) if c.ready.is_some());
        let after = |name: &LaneName| self.last.as_ref().is_none_or(|last| name > last);
        let mut ready = self.lanes.iter().filter(|(_, lane)| is_ready(lane));
        let first = ready.clone().next().map(|(name, _)| name.clone())?;
        let name = ready
            .find(|(name, _)| after(name))
            .map_or(first, |(name, _)| name.clone());
        let lane = self.lanes.get_mut(&name)?;
        let Phase::Open(cursor) = &mut lane.phase else {
            return None;
        };
        let batch = cursor.ready.take()?;
        self.last = Some(name.clone());
        Some((name, lane.state.generation, batch))
    }
}

impl Lane {
    fn wants_reading(&self) -> bool {
        match &self.phase {
            Phase::Open(cursor) => {
                !cursor.reading && cursor.ready.is_none() && cursor.next < self.state.sealed
            }
            _ => false,
        }
    }
}
