//! What agent and broker say to each other over MQTT: names, numbers, bounds (FORMAT.md, section 2).

mod answer;
mod limits;
mod payload;
mod position;
mod producer;
mod topic;

pub use answer::{Refusal, property};
pub use limits::{
    BATCH_BYTES_MAX, BATCH_BYTES_TARGET, BATCH_RECORDS_MAX, BATCH_UNCOMPRESSED_BYTES_MAX,
    BROKER_RECORDS_MAX, BROKER_UNCOMPRESSED_BYTES_MAX, EVENT_BYTES_MAX, EVENT_HEADER_BYTES,
    PACKET_BYTES_MIN, PACKET_ENVELOPE_BYTES, event_bytes,
};
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
