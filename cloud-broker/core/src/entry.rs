//! What the journal's index says about one batch (`cluster.md` 3, chunk index).

use headwater_wire::batch::Header;

use crate::StreamId;

/// One batch of a chunk: where it belongs, where it lies, and all that recovery needs of it, so
/// that replay reads no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Shard that owned the partition.
    pub shard: u32,
    /// The shard's epoch at that time; also the batch's leader epoch.
    pub epoch: u32,
    /// Stream.
    pub topic: StreamId,
    /// Partition of the stream.
    pub partition: u32,
    /// Offset of the first record.
    pub base_offset: i64,
    /// Number of offsets that the batch takes.
    pub count: u32,
    /// First byte within the chunk's payload.
    pub pos: u32,
    /// Length in bytes.
    pub len: u32,
    /// Largest timestamp of its records, ms, as its producer says.
    pub max_timestamp: i64,
    /// When it came, ms; never less than that of the entry before it in its partition.
    pub arrival_ms: i64,
    /// -1 if none.
    pub producer_id: i64,
    /// -1 if none.
    pub producer_epoch: i16,
    /// -1 if none.
    pub base_sequence: i32,
    /// As in the batch's header.
    pub attributes: u16,
    /// The CRC that the producer computed; the identity of a lane's batch.
    pub batch_crc: u32,
    /// Bloom filter over the topics in the batch (see [`crate::bloom`]); empty = not known.
    pub topics: Vec<u8>,
}

impl Entry {
    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.count) - 1
    }

    /// The offset that follows.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.base_offset + i64::from(self.count)
    }

    /// Takes over what a batch's header says; place, arrival and topics are the caller's.
    pub fn describe(&mut self, header: &Header) {
        self.max_timestamp = header.max_timestamp;
        self.producer_id = header.producer_id;
        self.producer_epoch = header.producer_epoch;
        self.base_sequence = header.base_sequence;
        self.attributes = header.attributes;
        self.batch_crc = header.crc;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An entry of a partition, as far as an index looks at it.
    pub(crate) fn entry(base_offset: i64, count: u32, max_timestamp: i64) -> Entry {
        Entry {
            shard: 0,
            epoch: 1,
            topic: [1; 16],
            partition: 0,
            base_offset,
            count,
            pos: 0,
            len: 100,
            max_timestamp,
            arrival_ms: 0,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            attributes: 0,
            batch_crc: 0,
            topics: Vec::new(),
        }
    }

    #[test]
    fn ends() {
        assert_eq!(entry(5, 3, 0).last_offset(), 7);
        assert_eq!(entry(5, 3, 0).end_offset(), 8);
    }
}
