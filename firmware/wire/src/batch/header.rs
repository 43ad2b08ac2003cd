//! The 61 bytes before the records, and where each field lies.

use super::BatchError;

/// Offset of the base offset, i64; outside the CRC, set by the broker.
pub const BASE_OFFSET: usize = 0;
/// Offset of the length of what follows it, i32.
pub const BATCH_LENGTH: usize = BASE_OFFSET + 8;
/// Offset of the partition's leader epoch, i32; outside the CRC, set by the broker.
pub const LEADER_EPOCH: usize = BATCH_LENGTH + 4;
/// Offset of the format's version, 2.
pub const MAGIC: usize = LEADER_EPOCH + 4;
/// Offset of the CRC-32C over [`ATTRIBUTES`] to the end of the batch, u32.
pub const CRC: usize = MAGIC + 1;
/// Offset of the attributes, u16.
pub const ATTRIBUTES: usize = CRC + 4;
/// Offset of the last record's offset delta, i32.
pub const LAST_OFFSET_DELTA: usize = ATTRIBUTES + 2;
/// Offset of the base timestamp in milliseconds, i64.
pub const BASE_TIMESTAMP: usize = LAST_OFFSET_DELTA + 4;
/// Offset of the greatest timestamp in milliseconds, i64.
pub const MAX_TIMESTAMP: usize = BASE_TIMESTAMP + 8;
/// Offset of the producer id, i64.
pub const PRODUCER_ID: usize = MAX_TIMESTAMP + 8;
/// Offset of the producer's epoch, i16.
pub const PRODUCER_EPOCH: usize = PRODUCER_ID + 8;
/// Offset of the first record's sequence number, i32.
pub const BASE_SEQUENCE: usize = PRODUCER_EPOCH + 2;
/// Offset of the number of records, i32.
pub const RECORD_COUNT: usize = BASE_SEQUENCE + 4;
/// Bytes before the records.
pub const HEADER_BYTES: usize = RECORD_COUNT + 4;
/// Bytes that the batch length does not count: itself and the base offset.
pub const LOG_OVERHEAD_BYTES: usize = LEADER_EPOCH;
/// The least batch length: a header and no record.
pub const BATCH_LENGTH_MIN: i32 = 49;

const _: () = assert!(HEADER_BYTES == 61 && HEADER_BYTES - LOG_OVERHEAD_BYTES == 49);

pub(super) const VERSION: u8 = 2;
pub(super) const CODEC_BITS: u16 = 0b111;
pub(super) const LOG_APPEND_TIME_BIT: u16 = 1 << 3;
pub(super) const TRANSACTIONAL_BIT: u16 = 1 << 4;
pub(super) const CONTROL_BIT: u16 = 1 << 5;

/// A batch header, read. Nothing but length and version has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record in its partition; 0 from a producer.
    pub base_offset: i64,
    /// Bytes that follow this field, at least [`BATCH_LENGTH_MIN`].
    pub batch_length: i32,
    /// Epoch of the partition's leader that took the batch; -1 from a producer.
    pub leader_epoch: i32,
    /// CRC-32C as stored.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: u16,
    /// Offset delta of the last record, also what the last sequence number is above the first.
    pub last_offset_delta: i32,
    /// Milliseconds to which the records' timestamp deltas are added.
    pub base_timestamp: i64,
    /// The records' greatest timestamp, or the time of append, in milliseconds.
    pub max_timestamp: i64,
    /// Producer id, negative for none.
    pub producer_id: i64,
    /// The producer's epoch, -1 for none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1 for none.
    pub base_sequence: i32,
    /// Number of records.
    pub record_count: i32,
}

impl Header {
    /// Reads the header of the batch at the front of `bytes`; more may follow it.
    ///
    /// # Errors
    /// [`BatchError::Truncated`], [`BatchError::Length`] or [`BatchError::Magic`]: not a whole
    /// batch of version 2.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(BatchError::Truncated)?;
        if head[MAGIC] != VERSION {
            return Err(BatchError::Magic(head[MAGIC]));
        }
        let header = Self::read(head);
        if header.batch_length < BATCH_LENGTH_MIN {
            return Err(BatchError::Length(header.batch_length));
        }
        if header.total_bytes() > bytes.len() {
            return Err(BatchError::Truncated);
        }
        Ok(header)
    }

    /// Reads the header of the one batch that `bytes` are.
    ///
    /// # Errors
    /// As [`Header::parse`], and [`BatchError::Trailing`] if anything follows the batch.
    pub fn parse_exact(bytes: &[u8]) -> Result<Self, BatchError> {
        let header = Self::parse(bytes)?;
        match bytes.len() - header.total_bytes() {
            0 => Ok(header),
            more => Err(BatchError::Trailing(more)),
        }
    }

    fn read(head: &[u8; HEADER_BYTES]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(field(head, BASE_OFFSET)),
            batch_length: i32::from_be_bytes(field(head, BATCH_LENGTH)),
            leader_epoch: i32::from_be_bytes(field(head, LEADER_EPOCH)),
            crc: u32::from_be_bytes(field(head, CRC)),
            attributes: u16::from_be_bytes(field(head, ATTRIBUTES)),
            last_offset_delta: i32::from_be_bytes(field(head, LAST_OFFSET_DELTA)),
            base_timestamp: i64::from_be_bytes(field(head, BASE_TIMESTAMP)),
            max_timestamp: i64::from_be_bytes(field(head, MAX_TIMESTAMP)),
            producer_id: i64::from_be_bytes(field(head, PRODUCER_ID)),
            producer_epoch: i16::from_be_bytes(field(head, PRODUCER_EPOCH)),
            base_sequence: i32::from_be_bytes(field(head, BASE_SEQUENCE)),
            record_count: i32::from_be_bytes(field(head, RECORD_COUNT)),
        }
    }

    /// Writes the header as it is, its CRC too.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut head = [0; HEADER_BYTES];
        put(&mut head, BASE_OFFSET, &self.base_offset.to_be_bytes());
        put(&mut head, BATCH_LENGTH, &self.batch_length.to_be_bytes());
        put(&mut head, LEADER_EPOCH, &self.leader_epoch.to_be_bytes());
        head[MAGIC] = VERSION;
        put(&mut head, CRC, &self.crc.to_be_bytes());
        put(&mut head, ATTRIBUTES, &self.attributes.to_be_bytes());
        put(
            &mut head,
            LAST_OFFSET_DELTA,
            &self.last_offset_delta.to_be_bytes(),
        );
        put(
            &mut head,
            BASE_TIMESTAMP,
            &self.base_timestamp.to_be_bytes(),
        );
        put(&mut head, MAX_TIMESTAMP, &self.max_timestamp.to_be_bytes());
        put(&mut head, PRODUCER_ID, &self.producer_id.to_be_bytes());
        put(
            &mut head,
            PRODUCER_EPOCH,
            &self.producer_epoch.to_be_bytes(),
        );
        put(&mut head, BASE_SEQUENCE, &self.base_sequence.to_be_bytes());
        put(&mut head, RECORD_COUNT, &self.record_count.to_be_bytes());
        head
    }

    /// Bytes of the whole batch, header included.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        LOG_OVERHEAD_BYTES + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::Codec`] for a number that Kafka does not know.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::try_from(self.attributes & CODEC_BITS)
    }

    /// Whether all records have the time of append, [`Header::max_timestamp`], as timestamp.
    #[must_use]
    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME_BIT != 0
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch is a transaction's marker, not data.
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset
            .saturating_add(i64::from(self.last_offset_delta))
    }

    /// Sequence number of the last record: after 2^31-1 comes 0, as Kafka counts; -1 for none.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// Who made the batch.
    #[must_use]
    pub fn producer(&self) -> Producer {
        Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
        }
    }
}

/// Who makes a batch, and the number of its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Producer {
    /// Producer id.
    pub id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// Sequence number of the first record.
    pub base_sequence: i32,
}

impl Producer {
    /// A producer that numbers nothing.
    pub const NONE: Self = Self {
        id: -1,
        epoch: -1,
        base_sequence: -1,
    };
}

/// How the records of a batch are compressed. The numbers are Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// As they are.
    None = 0,
    /// gzip.
    Gzip = 1,
    /// Snappy, raw or in xerial's frames.
    Snappy = 2,
    /// LZ4 frames.
    Lz4 = 3,
    /// One zstd frame.
    Zstd = 4,
}

impl TryFrom<u16> for Codec {
    type Error = BatchError;

    fn try_from(number: u16) -> Result<Self, BatchError> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Gzip),
            2 => Ok(Self::Snappy),
            3 => Ok(Self::Lz4),
            4 => Ok(Self::Zstd),
            _ => Err(BatchError::Codec(number)),
        }
    }
}

/// The bytes of the records, compressed as the header says; empty if `batch` ends before them.
#[must_use]
pub fn payload<'a>(header: &Header, batch: &'a [u8]) -> &'a [u8] {
    batch
        .get(HEADER_BYTES..header.total_bytes())
        .unwrap_or_default()
}

fn field<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

fn put(head: &mut [u8; HEADER_BYTES], at: usize, bytes: &[u8]) {
    head[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        base_offset: 1 << 40,
        batch_length: 49,
        leader_epoch: -1,
        crc: 0xdead_beef,
        attributes: 4,
        last_offset_delta: 6,
        base_timestamp: 1_760_000_000_000,
        max_timestamp: 1_760_000_000_009,
        producer_id: 1 << 52,
        producer_epoch: 3,
        base_sequence: i32::MAX - 2,
        record_count: 7,
    };

    #[test]
    fn header_round_trip() {
        let bytes = HEADER.to_bytes();
        assert_eq!(Header::parse_exact(&bytes), Ok(HEADER));
        assert_eq!(HEADER.codec(), Ok(Codec::Zstd));
        assert_eq!(HEADER.last_offset(), (1 << 40) + 6);
        assert_eq!(HEADER.last_sequence(), 3);
        assert_eq!(
            Header {
                base_sequence: -1,
                ..HEADER
            }
            .last_sequence(),
            -1
        );
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let bytes = HEADER.to_bytes();
        for len in 0..HEADER_BYTES {
            assert_eq!(Header::parse(&bytes[..len]), Err(BatchError::Truncated));
        }
        for (length, error) in [
            (48, BatchError::Length(48)),
            (-1, BatchError::Length(-1)),
            (50, BatchError::Truncated),
            (i32::MAX, BatchError::Truncated),
        ] {
            let bytes = Header {
                batch_length: length,
                ..HEADER
            }
            .to_bytes();
            assert_eq!(Header::parse(&bytes), Err(error));
        }
        let mut old = bytes;
        old[MAGIC] = 1;
        assert_eq!(Header::parse(&old), Err(BatchError::Magic(1)));
        let mut more = [0; HEADER_BYTES + 3];
        more[..HEADER_BYTES].copy_from_slice(&bytes);
        assert_eq!(Header::parse(&more), Ok(HEADER));
        assert_eq!(Header::parse_exact(&more), Err(BatchError::Trailing(3)));
        let unknown = Header {
            attributes: 5,
            ..HEADER
        };
        assert_eq!(unknown.codec(), Err(BatchError::Codec(5)));
    }
}
