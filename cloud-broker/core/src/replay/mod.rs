//! Reading the log again: where it has to be read, who reads it together, and how partitions become
//! one sequence.

mod company;
mod merge;
mod reach;

pub use company::{Company, Part, are_near, may_join};
pub use merge::{Earliest, Merge};
pub use reach::reached;
