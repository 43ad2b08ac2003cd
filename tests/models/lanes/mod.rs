//! An agent's lane, from the open tail of its log to the broker's (`kafka.md` 3.4): what survives
//! whatever loses power, is cut off, rolled back, cloned or restored.
//!
//! What is decided is decided by the programs' own functions: the broker's about a batch
//! (`headwater_broker_core::lanes::Lanes::decide`), the agent's about a handshake and a refusal
//! (`headwater_agent_core::{handshake, refusal}`). The model is what lies around them: disks,
//! connections, crashes. A batch's CRC stands for its content: two batches never share one.
//!
//! Read `state.rs` first, then `steps.rs` (what can happen), `disk.rs` and `broker.rs` (what it does),
//! `properties.rs` (what must hold). [`Mistake`] names protocols that are wrong, and must be found.

mod agent;
mod bounds;
mod broker;
mod crc;
mod disk;
pub mod journal;
mod mistakes;
mod properties;
mod state;
mod steps;

use stateright::{Model, Property};

pub use bounds::{Bounds, PROFILES, Profile};
pub use mistakes::{MISTAKES, Mistake};
pub use properties::is_settled;
pub use state::State;
pub use steps::Step;

/// The protocol within bounds, right or with one mistake.
#[derive(Debug, Clone, Copy)]
pub struct Protocol {
    /// How far it is followed.
    pub bounds: Bounds,
    /// What is wrong with it; `None` for the protocol as it is.
    pub mistake: Option<Mistake>,
}

impl Protocol {
    /// The protocol as it is.
    #[must_use]
    pub fn right(bounds: Bounds) -> Self {
        Self {
            bounds,
            mistake: None,
        }
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.possible(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        self.take(&mut state, step).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all()
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.is_within_bounds()
    }
}
