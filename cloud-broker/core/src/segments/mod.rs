//! What becomes of the log behind the journal: which batches go into segments and when, where a
//! reader finds them again, and what is dropped when it is old (`cluster.md` 2.10).
//!
//! Nothing here writes or deletes. The shell does, and in the order that matters: segments and
//! snapshot first, then the manifest that names them, then the view of the readers, then the
//! journal's low-water mark, and only then a deletion.

mod clock;
mod due;
mod low_water;
mod merge;
mod packing;
mod pending;
mod retention;
mod runs;

pub use clock::{ClockGuard, Doubt, JUMP_MS, Past, Suspicion};
pub use due::{Backlogs, Cut, Thresholds};
pub use low_water::low_water;
pub use merge::{Candidate, mergeable, mostly_dead};
pub use packing::pack;
pub use pending::{PendingDelete, epoch_in_name, is_orphan};
pub use retention::{Retention, log_start};
pub use runs::{Object, Run, Runs};
