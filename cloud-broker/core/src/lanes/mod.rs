//! Agents' lanes: who may extend one, what each batch does to it, and what the agent is told
//! (`kafka.md` 3.4, `interfaces.md` 1).

mod answer;

pub use answer::{LaneName, LaneOutcome, Refusal};
