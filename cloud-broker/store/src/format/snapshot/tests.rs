use headwater_broker_core::state::{
    KeyedRecord, LaneEntry, LaneState, PartitionState, ProducerBatch, ProducerState,
};

use super::*;

fn sample() -> Snapshot {
    let producer = ProducerState {
        id: 5,
        epoch: 3,
        arrival_ms: 1_760_000_000_000,
        batches: vec![ProducerBatch {
            first_sequence: 0,
            last_sequence: i32::MAX,
            base_offset: 7,
            timestamp: -1,
        }],
    };
    let lane = LaneState {
        id: 1 << 52,
        next: 1 << 40,
        arrival_ms: 9,
        entries: vec![LaneEntry {
            first: 3,
            last: 4,
            base_offset: 1 << 33,
            crc: u32::MAX,
        }],
    };
    let record = KeyedRecord {
        key: b"key".to_vec(),
        value: vec![0; 300],
        offset: 11,
        timestamp: 12,
    };
    let full = PartitionState {
        topic: [7; 16],
        partition: 3,
        start_offset: 1,
        next_offset: 1 << 32,
        arrival_ms: 5,
        epochs: vec![(1, 0), (4, 9)],
        producers: vec![producer],
        lanes: vec![lane],
        records: vec![record],
    };
    let empty = PartitionState {
        topic: [8; 16],
        ..PartitionState::default()
    };
    let state = ShardState {
        shard: 9,
        partitions: vec![full, empty],
    };
    Snapshot {
        inc: Incarnation([1; 16]),
        next_seq: 77,
        epoch: 2,
        state,
    }
}

#[test]
fn a_snapshot_is_read_back() {
    let snapshot = sample();
    assert_eq!(decode(&encode(&snapshot).unwrap()).unwrap(), snapshot);
    let nothing = Snapshot::default();
    assert_eq!(decode(&encode(&nothing).unwrap()).unwrap(), nothing);
}

#[test]
fn every_bit_counts() {
    let bytes = encode(&sample()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(decode(&changed).is_err(), "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err());
    }
}

#[test]
fn items_with_any_byte_changed_are_survived() {
    let raw = items::encode(&sample());
    for at in 0..raw.len() {
        for to in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = raw.clone();
            changed[at] = to;
            let _ = items::decode(&changed);
        }
    }
    for end in 0..raw.len() {
        let _ = items::decode(&raw[..end]);
    }
}

#[test]
fn a_snapshot_begins_with_its_head_and_a_partition_comes_before_its_parts() {
    let raw = items::encode(&sample());
    let head = usize::from(raw[0]) + 1;
    let partition = head + usize::from(raw[head]) + 1;
    assert!(items::decode(&raw[head..]).is_err());
    assert!(items::decode(&[&raw[..head], &raw[partition..]].concat()).is_err());
    assert!(items::decode(&[&raw[..head], &raw[..]].concat()).is_err());
}
