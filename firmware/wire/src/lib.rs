//! What firmware, agent and broker agree on: Kafka record batches and the uplink contract.
//!
//! Nothing here does I/O or reads a clock, and nothing panics on bytes from outside. `FORMAT.md`
//! beside this crate says every byte. Where to begin:
//!
//! - [`batch`]: read, check, build and patch a record batch, the unit that travels unchanged from
//!   the edge to the consumer;
//! - [`uplink`]: topics, producer ids and positions that agent and broker exchange;
//! - [`topic`]: MQTT topic names and filters;
//! - [`crc`], [`varint`], [`murmur2`], [`time`]: the small parts these are made of.
//!
//! Features: none needs neither `std` nor an allocator; `alloc` adds the builder; `std` (default)
//! the processor's CRC instruction; `zstd` (default) compression.
#![cfg_attr(not(any(test, feature = "std")), no_std)]

#[cfg(feature = "alloc")]
extern crate alloc;

pub mod batch;
pub mod crc;
pub mod murmur2;
pub mod names;
pub mod time;
pub mod topic;
pub mod uplink;
pub mod varint;
