use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::batch::{
    BatchError, Limits, check_crc, check_produced, patch_base_offset, patch_leader_epoch, payload,
    restamp, walk,
};

const PRODUCER: Producer = Producer {
    id: 1 << 52,
    epoch: 3,
    base_sequence: 77,
};
const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 1 << 20,
    records_max: 1000,
};

#[derive(Debug, Clone, PartialEq)]
struct Owned {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn owned() -> impl Strategy<Value = Owned> {
    let bytes = || option::of(vec(any::<u8>(), 0..80));
    let headers = vec((".{0,4}", bytes()), 0..4);
    // Half of the range, so that no difference of two passes 64 bits.
    let timestamp = i64::MIN / 2..i64::MAX / 2;
    (timestamp, bytes(), bytes(), headers).prop_map(|(timestamp, key, value, headers)| Owned {
        timestamp,
        key,
        value,
        headers,
    })
}

fn push_all(builder: &mut BatchBuilder, records: &[Owned]) {
    for record in records {
        let headers = record
            .headers
            .iter()
            .map(|(name, value)| (&**name, value.as_deref()));
        builder
            .push(
                record.timestamp,
                record.key.as_deref(),
                record.value.as_deref(),
                headers,
            )
            .expect("small");
    }
}

fn read_all(header: &Header, uncompressed: &[u8]) -> Result<Vec<Owned>, BatchError> {
    let mut records = Vec::new();
    walk(header, uncompressed, &LIMITS, |record| {
        records.push(Owned {
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .map(|(n, v)| (n.into(), v.map(<[u8]>::to_vec)))
                .collect(),
        });
        Ok::<(), BatchError>(())
    })?;
    Ok(records)
}

proptest! {
    #[test]
    fn round_trip(records in vec(owned(), 1..20)) {
        let mut builder = BatchBuilder::new();
        push_all(&mut builder, &records);
        prop_assert_eq!(builder.records(), records.len());
        let mut batch = b"before".to_vec();
        builder.finish_into(PRODUCER, &mut batch);
        prop_assert!(builder.is_empty());
        let batch = &batch[6..];
        let header = Header::parse_exact(batch).expect("built");
        prop_assert_eq!(check_crc(batch, &header), Ok(()));
        prop_assert_eq!(check_produced(&header), Ok(()));
        prop_assert_eq!(header.producer(), PRODUCER);
        prop_assert_eq!((header.base_offset, header.leader_epoch), (0, -1));
        prop_assert_eq!(read_all(&header, payload(&header, batch)), Ok(records));
    }

    #[test]
    fn patches_keep_the_batch_valid(
        records in vec(owned(), 1..5),
        offset: i64,
        leader: i32,
        id: i64,
        epoch: i16,
        base_sequence: i32,
    ) {
        let mut builder = BatchBuilder::new();
        push_all(&mut builder, &records);
        let mut batch = Vec::new();
        builder.finish_into(Producer::NONE, &mut batch);

        patch_base_offset(&mut batch, offset);
        patch_leader_epoch(&mut batch, leader);
        let header = Header::parse(&batch).expect("as before");
        prop_assert_eq!((header.base_offset, header.leader_epoch), (offset, leader));
        prop_assert_eq!(check_crc(&batch, &header), Ok(()));

        let producer = Producer { id, epoch, base_sequence };
        batch.extend_from_slice(b"another batch");
        restamp(&mut batch, producer).expect("whole");
        let header = Header::parse(&batch).expect("as before");
        prop_assert_eq!(header.producer(), producer);
        prop_assert_eq!(header.base_offset, offset);
        prop_assert_eq!(check_crc(&batch, &header), Ok(()));
        prop_assert!(batch.ends_with(b"another batch"));
        prop_assert_eq!(read_all(&header, payload(&header, &batch)), Ok(records));
    }
}

#[test]
fn restamp_changes_nothing_that_is_no_batch() {
    let mut bytes = [7; 100];
    assert_eq!(restamp(&mut bytes, PRODUCER), Err(BatchError::Magic(7)));
    assert_eq!(bytes, [7; 100]);
}

#[test]
fn memory_is_used_again_and_nothing_of_the_last_batch_stays() {
    let mut builder = BatchBuilder::new();
    let mut first = Vec::new();
    builder.push(100, None, Some(b"v"), []).expect("small");
    builder.finish_into(Producer::NONE, &mut first);
    assert_eq!(
        (builder.base_timestamp(), builder.max_timestamp()),
        (None, None)
    );
    let mut nothing = Vec::new();
    builder.finish_into(Producer::NONE, &mut nothing);
    assert!(nothing.is_empty());
    let mut second = Vec::new();
    builder.push(100, None, Some(b"v"), []).expect("small");
    builder.finish_into(Producer::NONE, &mut second);
    assert_eq!(first, second);
}

#[test]
fn times_too_far_apart_are_refused_and_leave_the_builder_as_it_was() {
    let mut builder = BatchBuilder::new();
    builder
        .push(i64::MIN, None, None, [])
        .expect("the first sets the base");
    let bytes = builder.uncompressed_bytes();
    assert_eq!(builder.push(1, None, None, []), Err(RecordError::Timestamp));
    assert_eq!(
        (builder.records(), builder.uncompressed_bytes()),
        (1, bytes)
    );
    assert_eq!(builder.max_timestamp(), Some(i64::MIN));
}

#[test]
fn rebase_moves_all_records() {
    let mut builder = BatchBuilder::new();
    for time in [0, 5, 2] {
        builder.push(time, None, None, []).expect("small");
    }
    builder.rebase(1000);
    assert_eq!(
        (builder.base_timestamp(), builder.max_timestamp()),
        (Some(1000), Some(1005))
    );
    let mut batch = Vec::new();
    builder.finish_into(Producer::NONE, &mut batch);
    let header = Header::parse(&batch).expect("built");
    let times: Vec<_> = read_all(&header, payload(&header, &batch))
        .expect("valid")
        .iter()
        .map(|record| record.timestamp)
        .collect();
    assert_eq!(times, [1000, 1005, 1002]);
}
