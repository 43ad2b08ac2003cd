//! Every byte that is stored, versioned from the first one. `FORMAT.md` has the tables.
//!
//! All integers are little-endian, checksums are CRC-32C. Every binary object begins with 4 bytes
//! of magic, `fmt` u16, `kind` u8, `flags` u8. An unknown `fmt` is refused; unknown fields of the
//! protobuf and JSON parts are kept and written again. A decoder takes any bytes at all: it
//! answers an error, never panics, and never allocates by what is announced.

pub mod chunk;
pub mod clock;
pub mod cluster;
mod coding;
mod envelope;
pub mod head;
pub mod journal_file;
mod json;
mod kept;
pub mod manifest;
pub mod member;
pub mod page;
pub mod producer_ids;
pub mod segment;
pub mod snapshot;

pub use coding::FormatError;
pub use json::Rest;
pub use kept::{Kept, Known};
