//! Produce: a batch is checked, takes its place in line, and is answered once it is durable.

use bytes::Bytes;
use headwater_broker_core::bloom::Topics;
use headwater_broker_core::catalog::{Cleanup, Validation};
use headwater_broker_core::{PartitionId, Stream};
use headwater_kafka::produce::{
    Partition, PartitionResponse, RecordError, Request, Response, TopicResponse,
};
use headwater_kafka::{ErrorCode, Response as AnyResponse};
use headwater_wire::batch::{BatchError, Codec, Header, Record};
use headwater_wire::uplink::LANE_ID_BASE;
use tokio::task::block_in_place;

use super::dispatch::{Handled, Unacknowledged, unavailable};
use super::session::Session;
use crate::backend::{AppendError, Pending};
use crate::metrics::DoorName;
use crate::validate::Validator;

/// The largest batch, Kafka's default of `max.message.bytes`: clients split above it.
pub(super) const BATCH_BYTES_MAX: usize = 1_048_588;
/// The first Produce version whose clients know zstd.
const ZSTD_SINCE: i16 = 7;
/// A compressed batch above this is checked where it does not keep other connections waiting. One
/// that is not compressed takes 0.1 ms at most, which is less than to move them to another thread.
const INLINE_BYTES_MAX: usize = 32 << 10;

/// Batches that have their places in line.
pub(super) struct Submitted {
    acks: i16,
    topics: Vec<(String, Vec<Slot>)>,
}

enum Slot {
    Waiting {
        index: i32,
        records: u64,
        pending: Pending,
    },
    Refused(PartitionResponse),
}

/// A batch that was checked.
struct Checked {
    header: Header,
    bytes: Bytes,
    /// Bloom filter of its keys, for streams that MQTT subscribers read.
    topics: Vec<u8>,
}

/// Why a batch is not appended.
struct Refused {
    error: ErrorCode,
    message: String,
    record: Option<i32>,
}

/// Checks every batch and submits those that are good, in the order of the request; returns when
/// each has its place, so that whoever submits next comes behind.
pub(super) async fn submit(session: &Session, request: Request, version: i16) -> Submitted {
    let catalog = session.backend().catalog();
    let whole = refused_as_a_whole(&request);
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let stream = match whole {
            Some((error, message)) => Err(Refused::new(error, message)),
            None => destination(catalog.by_name(&topic.name).map(AsRef::as_ref)),
        };
        let mut slots = Vec::with_capacity(topic.partitions.len());
        for partition in topic.partitions {
            let index = partition.index;
            let slot = match &stream {
                Ok(stream) => append(session, stream, partition, version).await,
                Err(refused) => Err(refused.again()),
            };
            slots.push(slot.unwrap_or_else(|refused| Slot::Refused(refused.answer(index))));
        }
        topics.push((topic.name, slots));
    }
    Submitted {
        acks: request.acks,
        topics,
    }
}

impl Submitted {
    /// Waits until every batch is durable or refused.
    pub(super) async fn finish(self, session: &Session) -> Result<Handled, Unacknowledged> {
        let mut topics = Vec::with_capacity(self.topics.len());
        for (name, slots) in self.topics {
            let mut partitions = Vec::with_capacity(slots.len());
            for slot in slots {
                partitions.push(slot.finish(session).await);
            }
            topics.push(TopicResponse { name, partitions });
        }
        if self.acks != 0 {
            let response = AnyResponse::Produce(Response { topics });
            return Ok(response.into());
        }
        let errors = topics.iter().flat_map(|topic| &topic.partitions);
        match errors
            .map(|partition| partition.error)
            .find(|error| !error.is_none())
        {
            Some(error) => Err(Unacknowledged(error)),
            None => Ok(Handled {
                response: None,
                room: None,
            }),
        }
    }
}

impl Slot {
    async fn finish(self, session: &Session) -> PartitionResponse {
        let (index, records, pending) = match self {
            Self::Refused(answer) => return answer,
            Self::Waiting {
                index,
                records,
                pending,
            } => (index, records, pending),
        };
        let metrics = &session.door().metrics;
        match pending.await {
            Ok(appended) => {
                let counter = if appended.duplicate {
                    &metrics.duplicates
                } else {
                    &metrics.records_in
                };
                counter.of(DoorName::Kafka).add(records);
                PartitionResponse::appended(index, appended.base_offset, appended.log_start)
            }
            Err(error) => Refused::from(error).answer(index),
        }
    }
}

fn refused_as_a_whole(request: &Request) -> Option<(ErrorCode, &'static str)> {
    if request.transactional_id.is_some() {
        let error = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        return Some((error, "There are no transactions here"));
    }
    match request.acks {
        -1..=1 => None,
        _ => Some((ErrorCode::INVALID_REQUIRED_ACKS, "acks must be 0, 1 or -1")),
    }
}

fn destination(stream: Option<&Stream>) -> Result<&Stream, Refused> {
    match stream {
        None => Err(Refused::unknown()),
        Some(stream) if stream.internal => {
            let error = ErrorCode::INVALID_TOPIC_EXCEPTION;
            Err(Refused::new(
                error,
                "Internal streams take no records from clients",
            ))
        }
        Some(stream) => Ok(stream),
    }
}

async fn append(
    session: &Session,
    stream: &Stream,
    partition: Partition,
    version: i16,
) -> Result<Slot, Refused> {
    let index = partition.index;
    let place: Option<&PartitionId> = usize::try_from(index)
        .ok()
        .and_then(|index| stream.partitions.get(index));
    let place = *place.ok_or_else(Refused::unknown)?;
    let bytes = partition.records.unwrap_or_default();
    let is_long = bytes.len() > INLINE_BYTES_MAX && is_compressed(&bytes);
    let check = || session.with_validator(|validator| check(validator, stream, bytes, version));
    let checked = if is_long {
        block_in_place(check)
    } else {
        check()
    }?;
    let records = u64::try_from(checked.header.record_count).unwrap_or(0);
    let submitted = session
        .backend()
        .submit(place, checked.bytes, checked.topics)
        .await;
    Ok(Slot::Waiting {
        index,
        records,
        pending: submitted?,
    })
}

fn is_compressed(batch: &[u8]) -> bool {
    Header::parse(batch).is_ok_and(|header| header.codec() != Ok(Codec::None))
}

/// What a batch must be before the log decides about its sequence numbers.
fn check(
    validator: &mut Validator,
    stream: &Stream,
    bytes: Bytes,
    version: i16,
) -> Result<Checked, Refused> {
    if bytes.len() > BATCH_BYTES_MAX {
        let message = format!("{} bytes are above {BATCH_BYTES_MAX}", bytes.len());
        return Err(Refused::new(ErrorCode::MESSAGE_TOO_LARGE, message));
    }
    let header = Header::parse_exact(&bytes)?;
    if header.codec() == Ok(Codec::Zstd) && version < ZSTD_SINCE {
        let error = ErrorCode::UNSUPPORTED_COMPRESSION_TYPE;
        return Err(Refused::new(error, "zstd needs Produce version 7"));
    }
    if header.producer_id >= LANE_ID_BASE {
        return Err(Refused::invalid(
            "Producer ids from 2^52 on belong to agents",
        ));
    }
    let keyed = stream.spec.cleanup != Cleanup::Delete;
    // Whether a record has a key is only seen by looking.
    let level = if keyed {
        Validation::Full
    } else {
        stream.spec.validation
    };
    let mut topics = Topics::default();
    let each = |record: Record<'_>| match record.key {
        None if keyed => Err(Refused::keyless(record.offset_delta)),
        Some(key) if !stream.spec.filters.is_empty() => {
            topics.add(key);
            Ok(())
        }
        _ => Ok(()),
    };
    validator.check(&bytes, level, each)?;
    Ok(Checked {
        header,
        bytes,
        topics: topics.take(),
    })
}

impl Refused {
    fn new(error: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            error,
            message: message.into(),
            record: None,
        }
    }

    fn unknown() -> Self {
        let error = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
        Self::new(error, "There is no such partition")
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::INVALID_RECORD, message)
    }

    fn keyless(index: i32) -> Self {
        Self {
            record: Some(index),
            ..Self::invalid("A compacted stream takes no record without a key")
        }
    }

    /// The same for another partition.
    fn again(&self) -> Self {
        Self {
            error: self.error,
            message: self.message.clone(),
            record: self.record,
        }
    }

    fn answer(self, index: i32) -> PartitionResponse {
        let message = Some(self.message);
        let record_errors = self.record.map(|index| RecordError {
            index,
            message: message.clone(),
        });
        PartitionResponse {
            record_errors: record_errors.into_iter().collect(),
            ..PartitionResponse::refused(index, self.error, message)
        }
    }
}

impl From<BatchError> for Refused {
    /// What arrived damaged may arrive whole next time; what was made wrong stays wrong.
    fn from(error: BatchError) -> Self {
        let code = match error {
            BatchError::Truncated | BatchError::Length(_) | BatchError::Crc { .. } => {
                ErrorCode::CORRUPT_MESSAGE
            }
            _ => ErrorCode::INVALID_RECORD,
        };
        Self::new(code, error.to_string())
    }
}

impl From<AppendError> for Refused {
    fn from(error: AppendError) -> Self {
        let code = match error {
            AppendError::Unavailable(reason) => unavailable(reason),
            AppendError::OutOfOrderSequence => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
            AppendError::InvalidProducerEpoch => ErrorCode::INVALID_PRODUCER_EPOCH,
            AppendError::InvalidRecord => ErrorCode::INVALID_RECORD,
            AppendError::TooLarge => ErrorCode::MESSAGE_TOO_LARGE,
            AppendError::NoPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        };
        Self::new(code, error.to_string())
    }
}
