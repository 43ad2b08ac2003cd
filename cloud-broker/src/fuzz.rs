//! Private parsers, for the fuzz targets in `tests/fuzz` alone.

pub use crate::http::fuzz::{cursor, declaration, query, records_as_json};
pub use crate::mqtt::is_uplink_payload as uplink_payload;
