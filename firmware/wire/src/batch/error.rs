//! Why a batch is refused.

use core::fmt;

/// Why bytes are not a batch that may be appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchError {
    /// The bytes end before the batch does.
    Truncated,
    /// The length field says less than a header.
    Length(i32),
    /// Bytes follow where the batch should be the last.
    Trailing(usize),
    /// Not version 2.
    Magic(u8),
    /// The stored CRC-32C is not that of the bytes.
    Crc {
        /// As the header has it.
        stored: u32,
        /// Of the bytes as they are.
        computed: u32,
    },
    /// A compression codec that Kafka does not know.
    Codec(u16),
    /// Attribute bits that a producer may not set.
    Attributes(u16),
    /// A transaction's marker, which only a broker writes.
    Control,
    /// Part of a transaction, where none is open.
    Transactional,
    /// Timestamps by time of append, which only a broker gives.
    LogAppendTime,
    /// A base offset other than 0 from a producer.
    BaseOffset(i64),
    /// Record count and last offset delta do not belong together, or there is no record.
    Count {
        /// The header's record count.
        records: i32,
        /// The header's last offset delta.
        last_offset_delta: i32,
    },
    /// Producer id, epoch and sequence do not belong together.
    Producer,
    /// More records than the limit.
    TooManyRecords(i32),
    /// More uncompressed bytes than the limit.
    TooLarge,
    /// The records cannot be decompressed.
    Decompress(DecompressError),
    /// A record is malformed.
    Record {
        /// Its place in the batch, from 0.
        index: i32,
        /// What is wrong with it.
        error: RecordError,
    },
    /// The header's greatest timestamp is not that of the records.
    MaxTimestamp {
        /// As the header has it.
        header: i64,
        /// The records' greatest.
        records: i64,
    },
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordError {
    /// A number or a field does not end within the record, or the record not within the batch.
    Truncated,
    /// The record ends before its length does.
    Trailing,
    /// A length or count below what it may be.
    Negative,
    /// Base timestamp and delta give no number of 64 bits.
    Timestamp,
    /// The offset delta is not the record's place.
    OffsetDelta(i32),
    /// A header's name is not UTF-8.
    HeaderName,
    /// A key, a value or a name is longer than a batch can be.
    TooLong,
}

/// Why compressed records cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecompressError {
    /// Not what the codec writes, or cut off.
    Corrupt,
    /// More uncompressed bytes than the limit.
    TooLarge,
    /// Bytes follow the end of the compressed stream.
    Trailing,
}

impl From<DecompressError> for BatchError {
    fn from(error: DecompressError) -> Self {
        match error {
            DecompressError::TooLarge => Self::TooLarge,
            DecompressError::Corrupt | DecompressError::Trailing => Self::Decompress(error),
        }
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("Batch is cut off"),
            Self::Length(length) => write!(f, "Batch length {length} is below that of a header"),
            Self::Trailing(bytes) => write!(f, "{bytes} bytes follow the batch"),
            Self::Magic(magic) => write!(f, "Batch has version {magic}, not 2"),
            Self::Crc { stored, computed } => {
                write!(
                    f,
                    "Batch CRC is {stored:08x}, its bytes have {computed:08x}"
                )
            }
            Self::Codec(codec) => write!(f, "Compression codec {codec} is unknown"),
            Self::Attributes(bits) => write!(f, "Attributes {bits:04x} are not a producer's"),
            Self::Control => f.write_str("Control batch from a producer"),
            Self::Transactional => f.write_str("Transactional batch outside a transaction"),
            Self::LogAppendTime => f.write_str("Batch from a producer with time of append"),
            Self::BaseOffset(offset) => write!(f, "Base offset is {offset}, not 0"),
            Self::Count {
                records,
                last_offset_delta,
            } => write!(
                f,
                "Batch of {records} records has last offset delta {last_offset_delta}"
            ),
            Self::Producer => f.write_str("Producer id, epoch and sequence do not agree"),
            Self::TooManyRecords(records) => write!(f, "{records} records are above the limit"),
            Self::TooLarge => f.write_str("Uncompressed bytes are above the limit"),
            Self::Decompress(error) => error.fmt(f),
            Self::Record { index, error } => write!(f, "Record {index}: {error}"),
            Self::MaxTimestamp { header, records } => {
                write!(
                    f,
                    "Greatest timestamp is {records}, the batch says {header}"
                )
            }
        }
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("Record is cut off"),
            Self::Trailing => f.write_str("Record is longer than its fields"),
            Self::Negative => f.write_str("Length or count is negative"),
            Self::Timestamp => f.write_str("Timestamp is out of range"),
            Self::OffsetDelta(delta) => write!(f, "Offset delta {delta} is not its place"),
            Self::HeaderName => f.write_str("Header name is not UTF-8"),
            Self::TooLong => f.write_str("Field is longer than a batch can be"),
        }
    }
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "Compressed records are corrupt",
            Self::TooLarge => "Uncompressed bytes are above the limit",
            Self::Trailing => "Bytes follow the compressed records",
        })
    }
}

impl core::error::Error for BatchError {}
impl core::error::Error for RecordError {}
impl core::error::Error for DecompressError {}
