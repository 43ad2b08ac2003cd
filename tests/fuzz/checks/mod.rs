//! What must hold for any bytes from a socket or a file: nothing panics, what is accepted is
//! understood the same when it is written and read again, and memory follows what came.
//!
//! One file a subject. libFuzzer runs each check as a target (`cargo run --bin NAME` in
//! `tests/fuzz`), `tests/fuzz.rs` runs all of them over the corpus and damaged copies of it.

mod batch;
mod kafka;
mod mqtt;
mod topic;

pub use batch::BATCH;
pub use kafka::KAFKA_REQUEST;
pub use mqtt::MQTT;
pub use topic::TOPIC;

/// A function that takes any bytes, and the memory that it may use meanwhile, what the check
/// itself needs to compare included.
#[derive(Debug)]
pub struct Check {
    /// The target's name, and its folder's in `corpus`.
    pub name: &'static str,
    /// Panics if something does not hold.
    pub run: fn(&[u8]),
    /// Bytes that any input may cost.
    pub memory_fixed: usize,
    /// Bytes that each byte of the input may cost.
    pub memory_per_byte: usize,
}

/// All checks.
pub const CHECKS: &[&Check] = &[&BATCH, &KAFKA_REQUEST, &MQTT, &TOPIC];
