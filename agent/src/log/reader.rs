use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::batch::{Codec, Decompressor, Header, payload, records};
use headwater_wire::uplink::{BATCH_UNCOMPRESSED_BYTES_MAX, EVENT_BYTES_MAX, Position};

use super::engine::Engine;
use super::error::OpenError;
use super::options::LogOptions;

/// A record as it lies in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Its lane.
    pub lane: LaneName,
    /// Its position there.
    pub position: Position,
    /// Timestamp, ms.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Bytes>)>,
}

/// Reads every record that the log in `options.dir` holds, acknowledged or not, lane by lane in
/// order. The log must not be open. Nothing is dropped by this; a batch that cannot be read is
/// declared lost as usual.
pub fn read_records(
    options: LogOptions,
    mut each: impl FnMut(StoredRecord),
) -> Result<(), OpenError> {
    let dir = options.dir.clone();
    let mut engine = Engine::open(options)?;
    let io = |error: &dyn std::fmt::Display| OpenError::Io {
        file: dir.clone(),
        source: std::io::Error::other(error.to_string()),
    };
    for lane in engine.lane_states() {
        let mut at = lane.oldest;
        while let Some(batch) = engine
            .next_batch(&lane.name, at)
            .map_err(|error| io(&error))?
        {
            read_batch(&lane.name, batch.first, &batch.bytes, &mut each);
            at = batch.next;
        }
        let open = engine.open_records(&lane.name);
        read_batch(&lane.name, at, &open, &mut each);
    }
    engine.close();
    Ok(())
}

pub(super) fn read_batch(
    lane: &LaneName,
    first: Position,
    batch: &[u8],
    each: &mut impl FnMut(StoredRecord),
) {
    let Ok(header) = Header::parse_exact(batch) else {
        return;
    };
    let mut plain = Vec::new();
    let mut bytes = payload(&header, batch);
    if header.codec() == Ok(Codec::Zstd) {
        let max = BATCH_UNCOMPRESSED_BYTES_MAX + EVENT_BYTES_MAX;
        // Its CRC was right: this cannot fail but by a fault in the encoder.
        if Decompressor::new()
            .decompress_into(bytes, &mut plain, max)
            .is_err()
        {
            return;
        }
        bytes = &plain;
    }
    let copy = Bytes::copy_from_slice;
    let all = records(&header, bytes).map_while(Result::ok);
    for (position, record) in (first.0..).map(Position).zip(all) {
        each(StoredRecord {
            lane: lane.clone(),
            position,
            timestamp: record.timestamp,
            key: record.key.map(copy),
            value: record.value.map(copy),
            headers: record
                .headers
                .map(|(name, value)| (name.to_owned(), value.map(copy)))
                .collect(),
        });
    }
}
