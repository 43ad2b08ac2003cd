//! How large events and batches may be (FORMAT.md, section 2.6).

use crate::batch::HEADER_BYTES;
use crate::varint;

/// The largest event, in bytes as [`event_bytes`] counts them.
pub const EVENT_BYTES_MAX: usize = 240_000;
/// What a header counts beside its name and value, in bytes: two lengths at their longest. Without
/// it an event of many short headers would be within the limit and its batch would not.
pub const EVENT_HEADER_BYTES: usize = 2 * varint::I32_BYTES_MAX;
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

/// What an event counts: topic, value, and for each header its name, its value and
/// [`EVENT_HEADER_BYTES`]. An event of at most [`EVENT_BYTES_MAX`] always fits a batch of its own.
#[must_use]
pub fn event_bytes<'h>(
    topic: &[u8],
    value: &[u8],
    headers: impl IntoIterator<Item = (&'h str, Option<&'h [u8]>)>,
) -> usize {
    let header_bytes = headers.into_iter().map(|(name, value)| {
        let value_bytes = value.map_or(0, <[u8]>::len);
        name.len()
            .saturating_add(value_bytes)
            .saturating_add(EVENT_HEADER_BYTES)
    });
    let start = topic.len().saturating_add(value.len());
    header_bytes.fold(start, usize::saturating_add)
}

/// What a record has beside what [`event_bytes`] counts, at most: five numbers of 32 bits, one of
/// 64 and the attributes.
const RECORD_OVERHEAD_BYTES: usize = 5 * varint::I32_BYTES_MAX + varint::I64_BYTES_MAX + 1;

const _: () = assert!(EVENT_BYTES_MAX + RECORD_OVERHEAD_BYTES + HEADER_BYTES <= BATCH_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_TARGET < BATCH_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX + PACKET_ENVELOPE_BYTES <= PACKET_BYTES_MIN);
const _: () = assert!(BATCH_UNCOMPRESSED_BYTES_MAX <= BROKER_UNCOMPRESSED_BYTES_MAX);
const _: () = assert!(BATCH_RECORDS_MAX <= BROKER_RECORDS_MAX);

#[cfg(all(test, feature = "alloc"))]
mod tests {
    use super::*;
    use crate::batch::{BatchBuilder, Producer};

    #[test]
    fn the_largest_events_fit_a_batch() {
        let value = vec![7; EVENT_BYTES_MAX - 3];
        let many = vec![("n", Some(&b"v"[..])); EVENT_BYTES_MAX / (2 + EVENT_HEADER_BYTES) - 1];
        for (value, headers) in [(&value[..], &[][..]), (b"", &many)] {
            let headers = headers.iter().copied();
            let counted = event_bytes(b"a/b", value, headers.clone());
            assert!((EVENT_BYTES_MAX - 20..=EVENT_BYTES_MAX).contains(&counted));
            let mut builder = BatchBuilder::new();
            builder
                .push(i64::MAX, Some(b"a/b"), Some(value), headers)
                .expect("fits");
            let mut batch = Vec::new();
            builder.finish_into(Producer::NONE, &mut batch);
            assert!(batch.len() <= BATCH_BYTES_MAX);
        }
    }
}
