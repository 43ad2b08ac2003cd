use headwater_wire::batch::{
    BatchBuilder, Codec, Compressor, Decompressor, Header, Record, check_crc, payload, records,
};
use headwater_wire::time::Millis;
use headwater_wire::uplink::{BATCH_BYTES_MAX, BATCH_BYTES_TARGET, BatchRange};
use proptest::prelude::*;

use super::*;

const ID: i64 = 1 << 52;
const NO_HEADERS: [(&str, Option<&[u8]>); 0] = [];

fn batcher(first: u64) -> Batcher {
    Batcher::new(ID, Position(first), BATCH_BYTES_TARGET)
}

fn push(batcher: &mut Batcher, value: &[u8]) {
    let number = batcher.next().0;
    let key = number.to_be_bytes();
    let timestamp = 1_000 + i64::try_from(number % 1_000_000).unwrap();
    batcher
        .push(Millis(5), timestamp, Some(&key), Some(value), NO_HEADERS)
        .unwrap();
}

/// Keys of a batch: the positions under which its records were pushed.
fn keys(bytes: &[u8]) -> Vec<u64> {
    let header = Header::parse_exact(bytes).unwrap();
    check_crc(bytes, &header).unwrap();
    let mut plain = payload(&header, bytes).to_vec();
    if header.codec() == Ok(Codec::Zstd) {
        Decompressor::new()
            .decompress_into(payload(&header, bytes), &mut plain, 1 << 24)
            .unwrap();
    }
    let key = |record: Record<'_>| u64::from_be_bytes(record.key.unwrap().try_into().unwrap());
    records(&header, &plain)
        .map(|record| key(record.unwrap()))
        .collect()
}

/// What the batch says is what it holds.
fn check(batch: &SealedBatch) {
    let range = BatchRange::of(&Header::parse_exact(&batch.bytes).unwrap()).unwrap();
    assert_eq!((range.first, range.next), (batch.first, batch.next));
    assert_eq!(
        keys(&batch.bytes),
        (batch.first.0..batch.next.0).collect::<Vec<_>>()
    );
    assert!(batch.bytes.len() <= BATCH_BYTES_MAX);
}

fn reading(number: u64) -> Vec<u8> {
    let walk = |step: u64| f64::from(u32::try_from(number * step % 9_973).unwrap()) / 1_000.0;
    let text = format!(
        r#"{{"ts":{},"n":{number},"device":"sensor-{:02}","a":{:.3},"b":{:.3},"c":{:.3},"d":{:.3}}}"#,
        1_700_000_000_000 + number * 7,
        number * 31 % 40,
        walk(3),
        walk(7),
        walk(11),
        walk(13),
    );
    text.into_bytes()
}

struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut step = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0.to_le_bytes()[3]
        };
        (0..count).map(|_| step()).collect()
    }
}

#[test]
fn batches_of_readings_come_close_to_the_target_and_never_above() {
    let mut batcher = batcher(0);
    let mut compressor = Compressor::new(1);
    let mut batches = Vec::new();
    let mut attempts = 0;
    for number in 0..60_000 {
        push(&mut batcher, &reading(number));
        let tried = batcher.estimate.tried;
        while let Some(batch) = batcher.poll_full(&mut compressor) {
            batches.push(batch);
        }
        attempts += usize::from(batcher.estimate.tried != tried);
    }
    assert!(batches.len() > 10);
    batches.iter().for_each(check);
    for pair in batches.windows(2) {
        assert_eq!(pair[0].next, pair[1].first);
    }
    let sizes: Vec<usize> = batches.iter().map(|batch| batch.bytes.len()).collect();
    assert!(
        sizes.iter().all(|size| (57_600..=64_000).contains(size)),
        "{sizes:?}"
    );
    assert!(
        attempts <= batches.len() + 3,
        "{attempts} attempts for {} batches",
        batches.len()
    );
}

#[test]
fn one_large_event_is_a_batch_of_its_own_and_what_is_too_much_is_split() {
    let mut noise = Noise(9);
    let mut batcher = batcher(0);
    let mut compressor = Compressor::new(1);
    let mut batches = Vec::new();
    for size in [
        240_000, 100, 50_000, 50_000, 239_000, 10, 200_000, 200_000, 1,
    ] {
        push(&mut batcher, &noise.bytes(size));
        batches.extend(std::iter::from_fn(|| batcher.poll_full(&mut compressor)));
    }
    batches.extend(std::iter::from_fn(|| batcher.poll_seal(&mut compressor)));
    batches.iter().for_each(check);
    assert_eq!(batches.last().unwrap().next, Position(9));
    for batch in batches {
        let count = batch.next.since(batch.first);
        assert!(count == 1 || batch.bytes.len() <= BATCH_BYTES_TARGET);
    }
    assert!(batcher.is_empty() && batcher.poll_seal(&mut compressor).is_none());
}

#[test]
fn a_change_of_nature_in_the_middle_of_a_batch_is_split_too() {
    let mut noise = Noise(3);
    let mut batcher = batcher(0);
    let mut compressor = Compressor::new(1);
    for number in 0..3_000 {
        push(&mut batcher, &reading(number));
        assert_eq!(
            batcher
                .poll_full(&mut compressor)
                .map(|batch| check(&batch)),
            None
        );
    }
    for _ in 0..5 {
        push(&mut batcher, &noise.bytes(60_000));
    }
    let batches: Vec<_> = std::iter::from_fn(|| batcher.poll_full(&mut compressor)).collect();
    assert!(batches.len() > 1);
    batches.iter().for_each(check);
    assert!(
        batches
            .iter()
            .all(|batch| batch.bytes.len() <= BATCH_BYTES_TARGET)
    );
}

#[test]
fn uncompressed_bytes_close_a_batch_that_compresses_to_nothing() {
    let mut batcher = batcher(0);
    let mut compressor = Compressor::new(1);
    let value = vec![b'a'; 10_000];
    let mut closed = None;
    for _ in 0..1_000 {
        push(&mut batcher, &value);
        assert!(batcher.uncompressed_bytes() <= BATCH_UNCOMPRESSED_BYTES_MAX);
        closed = batcher.poll_full(&mut compressor);
        if closed.is_some() {
            break;
        }
    }
    let closed = closed.unwrap();
    check(&closed);
    assert!((170..=210).contains(&closed.next.0), "{}", closed.next);
}

#[test]
fn records_close_a_batch() {
    let mut batcher = batcher(0);
    let mut compressor = Compressor::new(1);
    for _ in 0..BATCH_RECORDS_MAX - 1 {
        batcher.push(Millis(0), 0, None, None, NO_HEADERS).unwrap();
        assert_eq!(batcher.poll_full(&mut compressor), None);
    }
    batcher.push(Millis(0), 0, None, None, NO_HEADERS).unwrap();
    let batch = batcher.poll_full(&mut compressor).unwrap();
    assert_eq!(batch.next, Position(BATCH_RECORDS_MAX as u64));
}

#[test]
fn a_batch_ends_with_its_epoch() {
    let end = 1 << 31;
    let mut batcher = batcher(end - 2);
    let mut compressor = Compressor::new(1);
    push(&mut batcher, b"a");
    assert_eq!(batcher.poll_full(&mut compressor), None);
    push(&mut batcher, b"b");
    assert!(!batcher.has_room(1));
    let batch = batcher.poll_full(&mut compressor).unwrap();
    check(&batch);
    assert_eq!(
        (batch.first, batch.next),
        (Position(end - 2), Position(end))
    );
    push(&mut batcher, b"c");
    let batch = batcher.poll_seal(&mut compressor).unwrap();
    check(&batch);
    assert_eq!(batch.first.parts(), Some((1, 0)));
}

#[test]
fn the_last_position_is_the_last() {
    let mut batcher = batcher(Position::END.0 - 1);
    push(&mut batcher, b"a");
    assert!(batcher.push(Millis(0), 0, None, None, NO_HEADERS).is_err());
    let batch = batcher.poll_full(&mut Compressor::new(1)).unwrap();
    assert_eq!(batch.next, Position::END);
    assert!(batcher.push(Millis(0), 0, None, None, NO_HEADERS).is_err());
}

#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    Full,
    Seal,
    Durable,
    RollBack,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => prop_oneof![1usize..300, 20_000usize..80_000].prop_map(Step::Push),
        3 => Just(Step::Full),
        1 => Just(Step::Seal),
        2 => Just(Step::Durable),
        1 => Just(Step::RollBack),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Batches tile the lane; what is durable survives every roll-back, and what is not is gone.
    #[test]
    fn commits_and_roll_backs(steps in proptest::collection::vec(step(), 1..60)) {
        let mut compressor = Compressor::new(1);
        let mut batcher = batcher(100);
        let mut noise = Noise(77);
        let mut sealed = Vec::new();
        let mut committed = Position(100);
        let mut durable = Position(100);
        for step in steps {
            match step {
                Step::Push(bytes) => push(&mut batcher, &noise.bytes(bytes)),
                Step::Full => sealed.extend(batcher.poll_full(&mut compressor)),
                Step::Seal => {
                    sealed.extend(std::iter::from_fn(|| batcher.poll_seal(&mut compressor)));
                }
                Step::Durable => {
                    for batch in sealed.drain(..) {
                        check(&batch);
                        prop_assert_eq!(batch.first, committed);
                        committed = batch.next;
                    }
                    let mut fresh = Vec::new();
                    batcher.encode_fresh_into(&mut compressor, &mut fresh);
                    let first = batcher.first().max(durable);
                    let expected: Vec<u64> = (first.0..batcher.next().0).collect();
                    let held = if fresh.is_empty() { Vec::new() } else { keys(&fresh) };
                    prop_assert_eq!(held, expected);
                    batcher.made_durable();
                    durable = batcher.next();
                }
                Step::RollBack => {
                    batcher.roll_back(Millis(9), &sealed, durable);
                    sealed.clear();
                    prop_assert_eq!((batcher.first(), batcher.next()), (committed, durable));
                }
            }
        }
        let mut open = Vec::new();
        batcher.encode_open_into(&mut compressor, &mut open);
        let expected: Vec<u64> = (batcher.first().0..batcher.next().0).collect();
        prop_assert_eq!(if open.is_empty() { Vec::new() } else { keys(&open) }, expected);
    }

    /// What the journal holds becomes the open batch again.
    #[test]
    fn reopening(parts in proptest::collection::vec(1usize..9, 1..8), skip in 0u64..12) {
        let mut compressor = Compressor::new(1);
        let mut first = batcher(0);
        let mut frames = Vec::new();
        for part in parts {
            (0..part).for_each(|_| push(&mut first, b"value"));
            let mut frame = Vec::new();
            first.encode_fresh_into(&mut compressor, &mut frame);
            frames.push(bytes::Bytes::from(frame));
            first.made_durable();
        }
        let start = Position(skip.min(first.next().0));
        let mut second = batcher(start.0);
        frames.iter().for_each(|frame| second.reopen(Millis(1), frame));
        prop_assert_eq!(second.next(), first.next());
        prop_assert!(second.is_durable());
        let mut open = Vec::new();
        second.encode_open_into(&mut compressor, &mut open);
        let expected: Vec<u64> = (start.0..first.next().0).collect();
        prop_assert_eq!(if open.is_empty() { Vec::new() } else { keys(&open) }, expected);
    }
}

#[test]
fn a_batch_that_begins_behind_a_hole_is_left_alone() {
    let mut other = BatchBuilder::new();
    other.push(0, None, None, NO_HEADERS).unwrap();
    let mut bytes = Vec::new();
    other.encode_into(Position(9).producer(ID).unwrap(), &mut bytes);
    let mut batcher = batcher(5);
    batcher.reopen(Millis(0), &bytes.into());
    assert!(batcher.is_empty() && batcher.next() == Position(5));
}
