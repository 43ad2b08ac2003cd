use super::*;
use crate::batch::{BATCH_LENGTH_MIN, BatchBuilder, Producer, payload};

const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 10_000,
    records_max: 100,
};

fn batch_of(times: &[i64]) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for &time in times {
        builder
            .push(time, Some(b"k"), Some(b"value"), [("h", None)])
            .expect("fits");
    }
    let mut batch = Vec::new();
    builder.finish_into(Producer::NONE, &mut batch);
    batch
}

fn walk_all(header: &Header, records: &[u8], limits: &Limits) -> Result<usize, BatchError> {
    let mut seen = 0;
    walk(header, records, limits, |_| {
        seen += 1;
        Ok::<(), BatchError>(())
    })?;
    Ok(seen)
}

#[test]
fn a_good_batch_passes() {
    let batch = batch_of(&[5, 9, 7]);
    let header = Header::parse_exact(&batch).expect("built");
    assert_eq!(check_crc(&batch, &header), Ok(()));
    assert_eq!(check_produced(&header), Ok(()));
    assert_eq!(walk_all(&header, payload(&header, &batch), &LIMITS), Ok(3));
}

#[test]
fn every_flipped_bit_under_the_crc_is_found() {
    let batch = batch_of(&[5, 9, 7]);
    for bit in ATTRIBUTES * 8..batch.len() * 8 {
        let mut bad = batch.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let header = Header::parse(&bad).expect("length and version are as they were");
        assert!(matches!(
            check_crc(&bad, &header),
            Err(BatchError::Crc { .. })
        ));
    }
}

#[test]
fn a_crc_beyond_the_bytes_is_an_error() {
    let batch = batch_of(&[5]);
    let header = Header::parse(&batch).expect("built");
    assert_eq!(
        check_crc(&batch[..batch.len() - 1], &header),
        Err(BatchError::Truncated)
    );
}

type Change = fn(&mut Header);

#[test]
fn headers_that_no_producer_may_send() {
    let good = Header::parse(&batch_of(&[1, 2])).expect("built");
    let count = |records, last_offset_delta| BatchError::Count {
        records,
        last_offset_delta,
    };
    let cases: [(Change, BatchError); 13] = [
        (|h| h.attributes = 5, BatchError::Codec(5)),
        (|h| h.attributes = 1 << 3, BatchError::LogAppendTime),
        (|h| h.attributes = 1 << 4, BatchError::Transactional),
        (|h| h.attributes = 1 << 5, BatchError::Control),
        (|h| h.attributes = 1 << 6, BatchError::Attributes(1 << 6)),
        (|h| h.attributes = 1 << 15, BatchError::Attributes(1 << 15)),
        (|h| h.base_offset = 1, BatchError::BaseOffset(1)),
        (
            |h| (h.record_count, h.last_offset_delta) = (0, -1),
            count(0, -1),
        ),
        (|h| h.record_count = i32::MIN, count(i32::MIN, 1)),
        (|h| h.last_offset_delta = 2, count(2, 2)),
        (
            |h| (h.producer_id, h.producer_epoch) = (7, 0),
            BatchError::Producer,
        ),
        (
            |h| (h.producer_id, h.base_sequence) = (7, 0),
            BatchError::Producer,
        ),
        (|h| h.producer_id = -2, BatchError::Producer),
    ];
    for (change, error) in cases {
        let mut header = good;
        change(&mut header);
        assert_eq!(check_produced(&header), Err(error));
    }
}

/// What clients without idempotence write as epoch and sequence differs.
#[test]
fn producers_that_pass() {
    let good = Header::parse(&batch_of(&[1, 2])).expect("built");
    for (id, epoch, base_sequence) in [(-1, -1, -1), (-1, 0, 0), (7, 0, 0), (1 << 52, 3, 9)] {
        let mut header = good;
        (header.producer_id, header.producer_epoch) = (id, epoch);
        header.base_sequence = base_sequence;
        assert_eq!(check_produced(&header), Ok(()));
    }
}

#[test]
fn limits_are_reached_and_not_passed() {
    let batch = batch_of(&[1, 2, 3]);
    let header = Header::parse(&batch).expect("built");
    let records = payload(&header, &batch);
    let limits = Limits {
        uncompressed_bytes_max: records.len(),
        records_max: 3,
    };
    assert_eq!(walk_all(&header, records, &limits), Ok(3));
    let fewer = Limits {
        records_max: 2,
        ..limits
    };
    assert_eq!(
        walk_all(&header, records, &fewer),
        Err(BatchError::TooManyRecords(3))
    );
    let smaller = Limits {
        uncompressed_bytes_max: records.len() - 1,
        ..limits
    };
    assert_eq!(
        walk_all(&header, records, &smaller),
        Err(BatchError::TooLarge)
    );
}

#[test]
fn records_that_do_not_fit_their_header() {
    let batch = batch_of(&[5, 9, 7]);
    let header = Header::parse(&batch).expect("built");
    let records = payload(&header, &batch);

    let one_more = Header {
        record_count: 4,
        last_offset_delta: 3,
        ..header
    };
    let error = BatchError::Record {
        index: 3,
        error: RecordError::Truncated,
    };
    assert_eq!(walk_all(&one_more, records, &LIMITS), Err(error));

    let one_less = Header {
        record_count: 2,
        last_offset_delta: 1,
        ..header
    };
    assert_eq!(
        walk_all(&one_less, records, &LIMITS),
        Err(BatchError::Trailing(records.len() / 3))
    );

    let later = Header {
        max_timestamp: 10,
        ..header
    };
    let error = BatchError::MaxTimestamp {
        header: 10,
        records: 9,
    };
    assert_eq!(walk_all(&later, records, &LIMITS), Err(error));

    let overflow = Header {
        base_timestamp: i64::MAX,
        ..header
    };
    let error = BatchError::Record {
        index: 1,
        error: RecordError::Timestamp,
    };
    assert_eq!(walk_all(&overflow, records, &LIMITS), Err(error));

    let at_append = Header {
        attributes: 1 << 3,
        max_timestamp: 77,
        ..overflow
    };
    walk(&at_append, records, &LIMITS, |record| {
        assert_eq!(record.timestamp, 77);
        Ok::<(), BatchError>(())
    })
    .expect("the records' own times are not looked at");
}

/// Records by hand: length, attributes, timestamp delta, offset delta, key, value, headers.
#[test]
fn malformed_records() {
    let header = Header {
        record_count: 1,
        last_offset_delta: 0,
        max_timestamp: 0,
        ..ZERO
    };
    for (record, error) in [
        (&[][..], RecordError::Truncated),
        (&[0x01], RecordError::Negative),
        (&[0x00], RecordError::Truncated),
        (&[14, 0, 0, 0, 1, 1, 0], RecordError::Truncated),
        (&[12, 0, 0, 2, 1, 1, 0], RecordError::OffsetDelta(1)),
        (&[12, 0, 0, 0, 3, 1, 0], RecordError::Negative),
        (&[12, 0, 0, 0, 1, 2, 0], RecordError::Truncated),
        (&[12, 0, 0, 0, 1, 1, 1], RecordError::Negative),
        (&[12, 0, 0, 0, 1, 1, 2], RecordError::Truncated),
        (&[14, 0, 0, 0, 1, 1, 0, 0], RecordError::Trailing),
        (&[16, 0, 0, 0, 1, 1, 2, 1, 1], RecordError::Negative),
        (&[18, 0, 0, 0, 1, 1, 2, 2, 0xff, 1], RecordError::HeaderName),
    ] {
        let error = Err(BatchError::Record { index: 0, error });
        assert_eq!(walk_all(&header, record, &LIMITS), error, "{record:?}");
    }
    assert_eq!(
        walk_all(&header, &[12, 0xff, 0, 0, 1, 1, 0], &LIMITS),
        Ok(1)
    );
}

#[test]
fn the_visitor_may_stop() {
    #[derive(Debug, PartialEq)]
    enum Stop {
        Batch(BatchError),
        Enough,
    }
    impl From<BatchError> for Stop {
        fn from(error: BatchError) -> Self {
            Self::Batch(error)
        }
    }
    let batch = batch_of(&[1, 2]);
    let header = Header::parse(&batch).expect("built");
    let result = walk(&header, payload(&header, &batch), &LIMITS, |_| {
        Err(Stop::Enough)
    });
    assert_eq!(result, Err(Stop::Enough));
    assert_eq!(
        Stop::from(BatchError::Truncated),
        Stop::Batch(BatchError::Truncated)
    );
}

#[test]
fn records_end_with_the_first_error() {
    let batch = batch_of(&[1, 2, 3]);
    let header = Header::parse(&batch).expect("built");
    let cut = &payload(&header, &batch)[..20];
    let read: Vec<_> = records(&header, cut)
        .map(|record| record.map(drop))
        .collect();
    let error = BatchError::Record {
        index: 1,
        error: RecordError::Truncated,
    };
    assert_eq!(read, [Ok(()), Err(error)]);
    // Compaction leaves gaps, which only a batch as produced may not have.
    let gap: Result<Vec<_>, _> = records(
        &Header {
            record_count: 1,
            ..header
        },
        &[12, 0, 0, 4, 1, 1, 0],
    )
    .map(|record| record.map(|record| record.offset_delta))
    .collect();
    assert_eq!(gap, Ok(vec![2]));
}

#[test]
fn headers_keep_order_and_repeats() {
    let mut builder = BatchBuilder::new();
    let pairs = [
        ("a", Some(&b"1"[..])),
        ("b", None),
        ("a", Some(b"2")),
        ("", Some(b"")),
    ];
    builder.push(0, None, None, pairs).expect("fits");
    let mut batch = Vec::new();
    builder.finish_into(Producer::NONE, &mut batch);
    let header = Header::parse(&batch).expect("built");
    let mut all = records(&header, payload(&header, &batch));
    let record = all.next().expect("one").expect("whole");
    assert_eq!(record.headers.len(), 4);
    assert_eq!(record.headers.collect::<Vec<_>>(), pairs);
    assert_eq!(record.header("a"), Some(Some(&b"1"[..])));
    assert_eq!(record.header("b"), Some(None));
    assert_eq!(record.header("c"), None);
}

const ZERO: Header = Header {
    base_offset: 0,
    batch_length: BATCH_LENGTH_MIN,
    leader_epoch: 0,
    crc: 0,
    attributes: 0,
    last_offset_delta: 0,
    base_timestamp: 0,
    max_timestamp: 0,
    producer_id: -1,
    producer_epoch: -1,
    base_sequence: -1,
    record_count: 0,
};
