//! Runs a model, and says what came of it.

use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model};

use super::lanes::{Bounds, Mistake, Protocol, Step, is_settled};
use super::reach::{Reach, reach};

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Different states.
    pub states: usize,
    /// The longest of the shortest ways to a state, in steps.
    pub depth: usize,
    /// How long it took.
    pub took: Duration,
    /// Whether all states within the bounds were looked at.
    pub is_exhaustive: bool,
    /// A property that does not hold, and the steps to where it does not.
    pub violation: Option<(&'static str, Vec<Step>)>,
    /// Something that should be seen in some state and is in none.
    pub never: Vec<&'static str>,
}

/// Looks at the states of the lane protocol for at most `limit`; stops at the first violation.
#[must_use]
pub fn run(bounds: Bounds, mistake: Option<Mistake>, limit: Duration) -> Outcome {
    let begun = Instant::now();
    let protocol = Protocol { bounds, mistake };
    let checker = protocol
        .checker()
        .threads(2)
        .timeout(limit)
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_bfs()
        .join();
    let took = begun.elapsed();
    let discoveries = checker.discoveries();
    let mut violation = None;
    let mut never = Vec::new();
    for property in protocol.properties() {
        match (property.expectation, discoveries.get(property.name)) {
            (Expectation::Always, Some(path)) if violation.is_none() => {
                violation = Some((property.name, path.clone().into_actions()));
            }
            (Expectation::Sometimes, None) => never.push(property.name),
            _ => {}
        }
    }
    Outcome {
        states: checker.unique_state_count(),
        depth: checker.max_depth(),
        took,
        is_exhaustive: violation.is_none() && took < limit,
        violation,
        never,
    }
}

/// Whether the lane can be drained from every state, without any further fault. An agent may be
/// counted on to end a connection that is broken, or on which it waits for nothing that can come.
#[must_use]
pub fn drains(
    bounds: Bounds,
    mistake: Option<Mistake>,
    states_max: usize,
) -> Reach<super::lanes::State> {
    let protocol = Protocol { bounds, mistake };
    let helps = |state: &super::lanes::State, step: &Step| match step {
        Step::Cut(agent) => state.must_cut(*agent),
        _ => !step.is_fault(),
    };
    reach(
        &protocol,
        states_max,
        |state| is_settled(&protocol, state),
        helps,
    )
}
