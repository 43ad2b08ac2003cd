//! What agent and broker say to each other over MQTT: names, numbers, bounds (FORMAT.md, section 2).

mod answer;
mod payload;
mod position;
mod producer;
mod topic;

pub use answer::{Refusal, property};
pub use payload::{
    LossKey, LossReason, LossReport, LostRange, RepairKey, RepairReason, RepairReport,
    RepairRequest, Resume, UnknownReason, loss_range,
};
pub use position::{BatchRange, Position};
pub use producer::{LANE_ID_BASE, LANE_ID_END, producer_id};
pub use topic::{
    DEVICE_BYTES_MAX, LANE_BYTES_MAX, LANE_DEFAULT, LaneTopic, STREAM_BYTES_MAX, TOPIC_PREFIX,
    Topic, TopicError, check_device, check_lane, check_stream, device_of_client_id,
};

/// The largest event, in bytes: topic (key), payload (value), and names and values of headers.
pub const EVENT_BYTES_MAX: usize = 240_000;
/// The largest batch that an agent sends, in bytes.
pub const BATCH_BYTES_MAX: usize = 256_000;
/// Compressed bytes at which an agent closes a batch.
pub const BATCH_BYTES_TARGET: usize = 64_000;
/// Uncompressed bytes at which an agent closes a batch.
pub const BATCH_UNCOMPRESSED_BYTES_MAX: usize = 2 << 20;
/// Records at which an agent closes a batch.
pub const BATCH_RECORDS_MAX: usize = 65_536;
/// Uncompressed bytes that every broker takes in a batch.
pub const BROKER_UNCOMPRESSED_BYTES_MAX: usize = 16 << 20;
/// Records that every broker takes in a batch.
pub const BROKER_RECORDS_MAX: usize = 1_000_000;
/// The least Maximum Packet Size that a broker may be given, in bytes.
pub const PACKET_BYTES_MIN: usize = 256 << 10;
/// Room for the PUBLISH around a batch, in bytes, beside Maximum Packet Size.
pub const PACKET_ENVELOPE_BYTES: usize = 4 << 10;

const _: () = assert!(BATCH_BYTES_TARGET < BATCH_BYTES_MAX);
const _: () = assert!(EVENT_BYTES_MAX < BATCH_BYTES_MAX);
const _: () =
    assert!(BATCH_BYTES_MAX + PACKET_ENVELOPE_BYTES < PACKET_BYTES_MIN + PACKET_ENVELOPE_BYTES);
const _: () = assert!(BATCH_UNCOMPRESSED_BYTES_MAX <= BROKER_UNCOMPRESSED_BYTES_MAX);
const _: () = assert!(BATCH_RECORDS_MAX <= BROKER_RECORDS_MAX);
