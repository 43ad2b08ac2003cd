//! The Kafka wire protocol as the broker speaks it: one file an API, no I/O, no state.
//!
//! A request travels `frame` -> [`parse`] (header, bounds [`scan`], decoder) -> [`Request`]; an
//! answer travels [`Response`] -> [`encode`] -> [`Encoded`], pieces for one vectored write. Which
//! APIs and versions exist is said once, in [`APIS`]: it drives the ApiVersions answer, parsing,
//! the pre-scan and the test matrix. The message structs are our own; `kafka-protocol` does the
//! decoding and most of the encoding behind them and could be replaced without a caller noticing.
//!
//! Sources: the message schemas of Apache Kafka 3.9 (`clients/src/main/resources/common/message`)
//! and KIP-482 (flexible versions, tagged fields).

mod api;
mod encoded;
mod error_code;
mod frame;
mod header;
pub mod scan;
mod shape;
#[cfg(test)]
mod tests;

pub use api::{APIS, Api, Incoming, ParseError, Request, Response, encode, parse};
pub use api::{
    api_versions, config, create_topics, delete_groups, delete_topics, describe_cluster,
    describe_configs, describe_groups, fetch, find_coordinator, heartbeat, init_producer_id,
    join_group, leave_group, list_groups, list_offsets, metadata, offset_commit, offset_delete,
    offset_fetch, offset_for_leader_epoch, produce, sync_group,
};
pub use encoded::{EncodeError, Encoded};
pub use error_code::ErrorCode;
pub use frame::{FrameTooLarge, LENGTH_BYTES, frame_bytes};
pub use header::Header;

/// A topic's UUID as raw bytes; all zeros means "none given".
pub type TopicId = [u8; 16];
