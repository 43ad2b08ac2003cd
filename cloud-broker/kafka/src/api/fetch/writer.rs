//! Writes Fetch responses without copying records: all fields go into one small buffer, which is
//! cut where the batches belong. One function a shape: versions 4 to 11, and flexible ones (12
//! with topic names, from 13 on with topic ids).

use bytes::{BufMut, Bytes, BytesMut};

use super::{PartitionResponse, Response, TopicResponse};
use crate::Header;
use crate::encoded::{EncodeError, Encoded, begin};

/// Bytes that a partition's fields take at most, in any version: reserved so that the buffer is
/// allocated once.
const PARTITION_BYTES_MAX: usize = 72;

pub(super) fn write(
    response: &Response,
    header: &Header,
    flexible_header: bool,
) -> Result<Encoded, EncodeError> {
    let topics = response.topics.iter();
    let estimate = topics
        .map(|topic| 32 + topic.name.len() + PARTITION_BYTES_MAX * topic.partitions.len())
        .sum::<usize>();
    let mut writer = Writer {
        version: header.version,
        fields: begin(header, flexible_header, 16 + estimate),
        cuts: Vec::new(),
    };
    match header.version {
        ..12 => writer.legacy(response),
        12.. => writer.flexible(response),
    }
    writer.finish().ok_or_else(|| EncodeError {
        key: header.key,
        version: header.version,
        reason: "A length does not fit".into(),
    })
}

struct Writer {
    version: i16,
    fields: BytesMut,
    /// Where batches stand between the fields.
    cuts: Vec<(usize, Vec<Bytes>)>,
}

impl Writer {
    fn legacy(&mut self, response: &Response) {
        self.fields.put_i32(0); // throttle time
        if self.version >= 7 {
            self.fields.put_i16(response.error.0);
            self.fields.put_i32(0); // session id
        }
        self.fields.put_i32(count(response.topics.len()));
        for topic in &response.topics {
            self.fields.put_i16(short(topic.name.len()));
            self.fields.put_slice(topic.name.as_bytes());
            self.fields.put_i32(count(topic.partitions.len()));
            for partition in &topic.partitions {
                self.legacy_partition(partition);
            }
        }
    }

    fn legacy_partition(&mut self, partition: &PartitionResponse) {
        self.offsets(partition);
        // Aborted transactions: an empty list or null.
        let aborted = if partition.read_committed { 0 } else { -1 };
        self.fields.put_i32(aborted);
        if self.version >= 11 {
            self.fields.put_i32(-1); // preferred read replica
        }
        // Never null: librdkafka takes a length of -1 for a malformed answer.
        self.fields.put_i32(count(record_bytes(partition)));
        self.records(partition);
    }

    fn flexible(&mut self, response: &Response) {
        self.fields.put_i32(0); // throttle time
        self.fields.put_i16(response.error.0);
        self.fields.put_i32(0); // session id
        self.compact(response.topics.len());
        for topic in &response.topics {
            self.topic(topic);
            self.compact(topic.partitions.len());
            for partition in &topic.partitions {
                self.flexible_partition(partition);
            }
            self.fields.put_u8(0); // no tagged fields
        }
        self.fields.put_u8(0);
    }

    fn topic(&mut self, topic: &TopicResponse) {
        if self.version == 12 {
            self.compact(topic.name.len());
            self.fields.put_slice(topic.name.as_bytes());
        } else {
            self.fields.put_slice(&topic.id);
        }
    }

    fn flexible_partition(&mut self, partition: &PartitionResponse) {
        self.offsets(partition);
        self.fields.put_u8(u8::from(partition.read_committed)); // as above, compact
        self.fields.put_i32(-1); // preferred read replica
        self.compact(record_bytes(partition));
        self.records(partition);
        match partition.diverging {
            None => self.fields.put_u8(0),
            Some(end) => {
                // One tagged field: number 0, its size, epoch, offset, no tags of its own.
                self.fields.put_slice(&[1, 0, 13]);
                self.fields.put_i32(end.epoch);
                self.fields.put_i64(end.end_offset);
                self.fields.put_u8(0);
            }
        }
    }

    fn offsets(&mut self, partition: &PartitionResponse) {
        self.fields.put_i32(partition.index);
        self.fields.put_i16(partition.error.0);
        self.fields.put_i64(partition.high_watermark);
        self.fields.put_i64(partition.high_watermark); // last stable offset
        if self.version >= 5 {
            self.fields.put_i64(partition.log_start_offset);
        }
    }

    fn records(&mut self, partition: &PartitionResponse) {
        let batches = partition.records.iter().filter(|batch| !batch.is_empty());
        let batches: Vec<Bytes> = batches.cloned().collect();
        if !batches.is_empty() {
            self.cuts.push((self.fields.len(), batches));
        }
    }

    /// A compact length: an unsigned varint, one more than the length.
    fn compact(&mut self, length: usize) {
        let mut rest = length + 1;
        while rest >= 0x80 {
            self.fields.put_u8(low_bits(rest) | 0x80);
            rest >>= 7;
        }
        self.fields.put_u8(low_bits(rest));
    }

    /// Sets the frame's length and cuts the buffer; `None` if the frame is too long for it.
    fn finish(mut self) -> Option<Encoded> {
        let batches = self.cuts.iter().flat_map(|(_, batches)| batches);
        let total = self.fields.len() + batches.map(Bytes::len).sum::<usize>();
        let length = i32::try_from(total - 4).ok()?;
        self.fields[..4].copy_from_slice(&length.to_be_bytes());
        let fields = self.fields.freeze();
        let mut pieces = Vec::new();
        let mut from = 0;
        for (at, batches) in self.cuts {
            pieces.push(fields.slice(from..at));
            pieces.extend(batches);
            from = at;
        }
        // Before flexible versions the last batch may end the frame.
        if from < fields.len() {
            pieces.push(fields.slice(from..));
        }
        Some(Encoded { pieces })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Seven bits fit into eight")]
fn low_bits(value: usize) -> u8 {
    (value & 0x7f) as u8
}

fn record_bytes(partition: &PartitionResponse) -> usize {
    partition.records.iter().map(Bytes::len).sum()
}

/// A count or length that the limits of the request keep far below 2^31; a frame in which one did
/// not fit is refused by `finish`, which sees the same bytes.
fn count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// A topic's name came from a request or the catalog, which bound it.
fn short(length: usize) -> i16 {
    i16::try_from(length).unwrap_or(i16::MAX)
}
