//! Private parsers, for the fuzz targets in `tests/fuzz` alone.

pub use crate::http::is_request_line as request_line;
pub use crate::log::fuzz::{
    LOG_ID, Tail, lane_dir_name, read_segment, sections, segment_name, write_segment,
};
pub use crate::sources::lines::file_cursor;
