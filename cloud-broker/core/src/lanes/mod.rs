//! Agents' lanes: who may extend one, what each batch does to it, and what the agent is told
//! (`kafka.md` 3.4, `interfaces.md` 1).
//!
//! [`Lanes`] is the part that belongs to a partition and to its snapshots, [`Bindings`] says which
//! partition that is, [`Holders`] which connection opened each lane last, in memory only.

mod answer;
mod binding;
mod holder;
mod positions;

pub use answer::{LaneName, LaneOutcome, Refusal};
pub use binding::{BindError, Binding, Bindings, BoundLane, GENERATIONS_MAX};
pub use holder::Holders;
pub(crate) use positions::Lane;
pub use positions::{Incoming, LaneDecision, Lanes};
