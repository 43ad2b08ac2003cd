use proptest::prelude::*;

use super::*;

fn link() -> Link {
    Link {
        inc: Incarnation([1; 16]),
        seq: 7,
        nonce: Nonce([2; 16]),
        prev_nonce: Nonce([3; 16]),
        low_water: 5,
    }
}

fn entry(payload: u32) -> impl Strategy<Value = Entry> {
    let place = (0..=payload).prop_flat_map(move |pos| (Just(pos), 0..=payload - pos));
    let ids = (any::<u32>(), any::<u32>(), 0..3u8, any::<u32>());
    let offsets = (0..i64::MAX / 2, 1..u32::MAX, place);
    let times = (any::<i64>(), any::<i64>());
    let producer = (
        any::<i64>(),
        any::<i16>(),
        any::<i32>(),
        any::<u16>(),
        any::<u32>(),
    );
    let topics = proptest::collection::vec(any::<u8>(), 0..40);
    (ids, offsets, times, producer, topics).prop_map(
        |(
            (shard, epoch, topic, partition),
            (base_offset, count, (pos, len)),
            times,
            of,
            topics,
        )| {
            Entry {
                shard: shard % 4,
                epoch,
                topic: [topic; 16],
                partition: partition % 4,
                base_offset,
                count,
                pos,
                len,
                max_timestamp: times.0,
                arrival_ms: times.1,
                producer_id: of.0,
                producer_epoch: of.1,
                base_sequence: of.2,
                attributes: of.3,
                batch_crc: of.4,
                topics,
            }
        },
    )
}

fn sorted(mut entries: Vec<Entry>) -> Vec<Entry> {
    entries.sort_by_key(|entry| (entry.shard, entry.topic, entry.partition, entry.base_offset));
    entries
}

fn sample() -> (Header, Vec<u8>, Vec<u8>) {
    let payload = b"0123456789".to_vec();
    let entries = [0, 4].map(|pos| Entry {
        shard: 1,
        epoch: 2,
        topic: [9; 16],
        partition: 0,
        base_offset: i64::from(pos),
        count: 4,
        pos,
        len: 4,
        max_timestamp: 10,
        arrival_ms: 11,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        attributes: 0,
        batch_crc: 77,
        topics: vec![1, 2],
    });
    let mut out = Vec::new();
    let header = encode_into(&link(), &entries, &[&payload], &mut out).unwrap();
    (header, out, payload)
}

proptest! {
    #[test]
    fn a_chunk_is_read_back(
        entries in proptest::collection::vec(entry(100), 0..20),
        cut in 0..=100usize,
    ) {
        let payload: Vec<u8> = (0..100).collect();
        let mut out = Vec::new();
        let pieces = [&payload[..cut], &payload[cut..]];
        let header = encode_into(&link(), &entries, &pieces, &mut out).unwrap();
        prop_assert_eq!(Header::decode(&out).unwrap(), header);
        prop_assert_eq!(header.payload_pos(), out.len() as u64);
        prop_assert_eq!(header.frame_bytes(), out.len() as u64 + 100);
        prop_assert_eq!(header.decode_index(&out[HEADER_BYTES..]).unwrap(), sorted(entries));
        header.check_payload(&payload).unwrap();
    }

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Header::decode(&bytes);
        let _ = index::decode(&bytes, u32::MAX, u32::MAX);
    }

    #[test]
    fn an_index_with_any_byte_changed_is_survived(
        entries in proptest::collection::vec(entry(100), 1..5),
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
    ) {
        let mut bytes = Vec::new();
        index::encode_into(&entries, 100, &mut bytes).unwrap();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(read) = index::decode(&bytes, u32::try_from(entries.len()).unwrap(), 100) {
            prop_assert!(read.iter().all(|entry| entry.count > 0 && entry.base_offset >= 0));
        }
    }
}

#[test]
fn every_bit_of_a_header_counts() {
    let (header, out, payload) = sample();
    for bit in 0..HEADER_BYTES * 8 {
        let mut changed = out.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Header::decode(&changed).is_err(), "bit {bit}");
    }
    for bit in 0..payload.len() * 8 {
        let mut changed = payload.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(header.check_payload(&changed).is_err());
    }
    for end in 0..HEADER_BYTES {
        assert!(Header::decode(&out[..end]).is_err());
    }
}

#[test]
fn what_cannot_be_is_not_written() {
    let (header, out, _) = sample();
    let entry = &header.decode_index(&out[HEADER_BYTES..]).unwrap()[0];
    let bad = [
        Entry {
            pos: 8,
            len: 3,
            ..entry.clone()
        },
        Entry {
            pos: u32::MAX,
            len: u32::MAX,
            ..entry.clone()
        },
        Entry {
            count: 0,
            ..entry.clone()
        },
        Entry {
            base_offset: -1,
            ..entry.clone()
        },
        Entry {
            base_offset: i64::MAX,
            ..entry.clone()
        },
        Entry {
            topics: vec![0; 1 << 16],
            ..entry.clone()
        },
    ];
    for entry in bad {
        let wrong = encode_into(&link(), &[entry], &[b"0123456789"], &mut Vec::new());
        assert!(matches!(wrong, Err(FormatError::Value { .. })));
    }
    let large = vec![0; usize::try_from(FRAME_BYTES_MAX).unwrap()];
    let wrong = encode_into(&link(), &[], &[large], &mut Vec::new());
    assert!(matches!(wrong, Err(FormatError::TooLarge { .. })));
}

#[test]
fn an_announced_number_of_batches_allocates_nothing() {
    let (header, out, _) = sample();
    let lying = Header {
        batches: u32::MAX,
        ..header
    };
    assert!(lying.decode_index(&out[HEADER_BYTES..]).is_err());
}

#[test]
fn a_plain_batch_takes_about_thirty_bytes_of_index() {
    let entries: Vec<Entry> = (0..100)
        .map(|n| Entry {
            shard: n % 8,
            epoch: 1,
            topic: [9; 16],
            partition: n % 8,
            base_offset: i64::from(n) * 1000,
            count: 100,
            pos: n * 10_000,
            len: 10_000,
            max_timestamp: 1_760_000_000_000 + i64::from(n),
            arrival_ms: 1_760_000_000_000 + i64::from(n),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            attributes: 4,
            batch_crc: n.wrapping_mul(0x9e37_79b9),
            topics: Vec::new(),
        })
        .collect();
    let mut out = Vec::new();
    index::encode_into(&entries, 1_000_000, &mut out).unwrap();
    assert!(out.len() < 32 * 100, "{} bytes", out.len());
}

#[test]
fn a_tombstone_is_read_back() {
    for reason in [
        Reason::Stop,
        Reason::Restart,
        Reason::SelfSeal,
        Reason::Takeover,
    ] {
        let tombstone = Tombstone {
            sealer: Incarnation([4; 16]),
            reason,
            note: "x".repeat(300) + "ä",
        };
        let frame = encode_tombstone(&link(), &tombstone);
        let header = Header::decode(&frame).unwrap();
        assert!(header.tombstone);
        assert_eq!(header.link, link());
        assert_eq!(header.frame_bytes(), frame.len() as u64);
        let read = header.decode_tombstone(&frame[HEADER_BYTES..]).unwrap();
        let note = "x".repeat(TOMBSTONE_NOTE_BYTES_MAX);
        assert_eq!(read, Tombstone { note, ..tombstone });
    }
    assert_eq!(Reason::from_number(200), Reason::Other(200));
}
