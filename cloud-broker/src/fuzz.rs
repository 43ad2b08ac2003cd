//! Private parsers, for the fuzz targets in `tests/fuzz` alone.

pub use crate::http::fuzz::{
    POSTED_PARTITIONS, cursor, declaration, device, posted, query, records_as_json,
};
pub use crate::kafka::fuzz::{topic, topic_config};
pub use crate::mqtt::is_uplink_payload as uplink_payload;
