//! Reading the log again: where it has to be read, and how partitions become one sequence.

mod merge;
mod reach;

pub use merge::{Earliest, Merge};
pub use reach::reached;
