//! What must hold for any bytes from a socket or a file: nothing panics, what is accepted is
//! understood the same when it is written and read again, and memory follows what came.
//!
//! One file a subject. libFuzzer runs each check as a target (`cargo run --bin NAME` in
//! `tests/fuzz`), `tests/fuzz.rs` runs all of them over the corpus and damaged copies of it.

mod agent_files;
mod agent_log;
mod batch;
mod data;
mod device_status;
mod groups;
mod http;
mod http_append;
mod internal;
mod kafka;
mod kafka_response;
mod memory_disk;
mod mqtt;
mod registers;
mod segment;
mod settings;
mod store;
mod stream_config;
mod topic;
mod uplink;

pub use agent_files::AGENT_FILES;
pub use agent_log::AGENT_LOG;
pub use batch::BATCH;
pub use device_status::DEVICE_STATUS;
pub use groups::GROUPS;
pub use http::HTTP;
pub use http_append::HTTP_APPEND;
pub use internal::INTERNAL;
pub use kafka::KAFKA_REQUEST;
pub use kafka_response::KAFKA_RESPONSE;
pub use mqtt::MQTT;
pub use registers::REGISTERS;
pub use segment::SEGMENT;
pub use settings::SETTINGS;
pub use store::STORE;
pub use stream_config::STREAM_CONFIG;
pub use topic::TOPIC;
pub use uplink::UPLINK;

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
pub const CHECKS: &[&Check] = &[
    &AGENT_FILES,
    &AGENT_LOG,
    &BATCH,
    &DEVICE_STATUS,
    &GROUPS,
    &HTTP,
    &HTTP_APPEND,
    &INTERNAL,
    &KAFKA_REQUEST,
    &KAFKA_RESPONSE,
    &MQTT,
    &REGISTERS,
    &SEGMENT,
    &SETTINGS,
    &STORE,
    &STREAM_CONFIG,
    &TOPIC,
    &UPLINK,
];
