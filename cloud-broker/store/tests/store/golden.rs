//! Samples of every format, from every version that wrote it, are read for ever.

mod segment;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use headwater_broker_core::Entry;
use headwater_broker_core::state::{
    KeyedRecord, LaneEntry, LaneState, PartitionState, ProducerBatch, ProducerState, ShardState,
};
use headwater_store::faulty::FakeDisk;
use headwater_store::format::Rest;
use headwater_store::format::chunk::{self, HEADER_BYTES, Header, Link, Reason, Tombstone};
use headwater_store::format::cluster::Cluster;
use headwater_store::format::head::{Head, State};
use headwater_store::format::journal_file::FileHeader;
use headwater_store::format::manifest::{self, Fields, LogStart, Manifest, Page, Run};
use headwater_store::format::manifest::{Segment, SnapshotRef, Source};
use headwater_store::format::member::Member;
use headwater_store::format::page;
use headwater_store::format::producer_ids::ProducerIds;
use headwater_store::format::snapshot::{self, Snapshot};
use headwater_store::{Incarnation, Nonce, Scanned, Slot, WriteId, names};

use crate::support::open;

const INC: Incarnation = Incarnation(*b"incarnation-0001");
const SEALER: Incarnation = Incarnation(*b"incarnation-0002");
const TOPIC: [u8; 16] = *b"stream-uuid-0001";
const WRITE: WriteId = WriteId(*b"write-id-0000001");

type Check = fn(&[u8]);

/// Every sample of version 1, and how it is read.
const SAMPLES: [(&str, Check); 13] = [
    ("chunk.bin", |bytes| {
        assert_eq!(bytes, chunk_bytes(0, Nonce::default()))
    }),
    ("cluster.json", |bytes| {
        assert_eq!(Cluster::decode(bytes).unwrap(), cluster())
    }),
    ("head-open.json", |bytes| {
        assert_eq!(Head::decode(bytes).unwrap(), Head::new(WRITE))
    }),
    ("head-sealed.json", |bytes| {
        assert_eq!(Head::decode(bytes).unwrap(), head_sealed())
    }),
    ("journal.log", check_journal),
    ("manifest.bin", |bytes| {
        assert_eq!(manifest::decode(bytes).unwrap(), shard_manifest())
    }),
    ("member.json", |bytes| {
        assert_eq!(Member::decode(bytes).unwrap(), member())
    }),
    ("page.bin", |bytes| {
        assert_eq!(page::decode(bytes).unwrap(), manifest_page())
    }),
    ("producer-ids.json", |bytes| {
        assert_eq!(ProducerIds::decode(bytes).unwrap(), producer_ids())
    }),
    ("registers.redb", check_registers),
    ("segment.bin", segment::check),
    ("snapshot.bin", |bytes| {
        assert_eq!(snapshot::decode(bytes).unwrap(), state_snapshot())
    }),
    ("tombstone.bin", |bytes| {
        assert_eq!(bytes, tombstone_bytes(1, Nonce([0x11; 16])))
    }),
];

#[test]
fn every_sample_is_read() {
    write_missing_samples();
    let found: Vec<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    let listed = SAMPLES.map(|(name, _)| name);
    assert_eq!(
        found, listed,
        "each file has a line in SAMPLES, and each line a file"
    );
    for (name, check) in SAMPLES {
        check(&fs::read(folder().join(name)).unwrap());
    }
}

/// What is written now is what was written then, where no compression lies between.
#[test]
fn every_sample_is_written_as_it_was() {
    for (name, bytes) in written() {
        let compressed =
            ["manifest.bin", "page.bin", "snapshot.bin", "registers.redb"].contains(&name);
        if !compressed {
            assert!(
                bytes == fs::read(folder().join(name)).unwrap(),
                "{name} has changed"
            );
        }
    }
}

/// With `HW_WRITE_SAMPLES` set, writes the samples that are missing; one that is there is never
/// replaced.
fn write_missing_samples() {
    if std::env::var_os("HW_WRITE_SAMPLES").is_none() {
        return;
    }
    for (name, bytes) in written() {
        let path = folder().join(name);
        if !path.exists() {
            fs::write(path, bytes).unwrap();
        }
    }
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/v1")
}

fn written() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("chunk.bin", chunk_bytes(0, Nonce::default())),
        ("cluster.json", cluster().encode()),
        ("head-open.json", Head::new(WRITE).encode()),
        ("head-sealed.json", head_sealed().encode()),
        ("journal.log", journal_bytes()),
        ("manifest.bin", manifest::encode(&shard_manifest()).unwrap()),
        ("member.json", member().encode()),
        ("page.bin", page::encode(&manifest_page()).unwrap()),
        ("producer-ids.json", producer_ids().encode()),
        ("registers.redb", registers_bytes()),
        ("segment.bin", segment::bytes()),
        ("snapshot.bin", snapshot::encode(&state_snapshot()).unwrap()),
        ("tombstone.bin", tombstone_bytes(1, Nonce([0x11; 16]))),
    ])
}

fn plain_entry() -> Entry {
    Entry {
        shard: 3,
        epoch: 2,
        topic: TOPIC,
        partition: 5,
        base_offset: 1000,
        count: 10,
        pos: 0,
        len: 20,
        max_timestamp: 1_760_000_000_000,
        arrival_ms: 1_760_000_000_123,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        attributes: 4,
        batch_crc: 0xdead_beef,
        topics: Vec::new(),
    }
}

fn entries() -> Vec<Entry> {
    let lane = Entry {
        partition: 6,
        base_offset: 1 << 40,
        count: 65_536,
        pos: 20,
        len: 30,
        producer_id: (1 << 52) + 12_345,
        producer_epoch: 1,
        base_sequence: i32::MAX,
        topics: vec![0x55; 12],
        ..plain_entry()
    };
    vec![plain_entry(), lane]
}

fn chunk_bytes(seq: u64, prev_nonce: Nonce) -> Vec<u8> {
    let link = Link {
        inc: INC,
        seq,
        nonce: Nonce([0x11; 16]),
        prev_nonce,
        low_water: 0,
    };
    let payload: Vec<u8> = (0..50).collect();
    let mut bytes = Vec::new();
    let header = chunk::encode_into(&link, &entries(), &[&payload], &mut bytes).unwrap();
    bytes.extend_from_slice(&payload);
    let read = Header::decode(&bytes).unwrap();
    assert_eq!(read, header);
    let end = usize::try_from(header.payload_pos()).unwrap();
    assert_eq!(
        read.decode_index(&bytes[HEADER_BYTES..end]).unwrap(),
        entries()
    );
    bytes
}

fn tombstone() -> Tombstone {
    Tombstone {
        sealer: SEALER,
        reason: Reason::Restart,
        note: "sealed at the start".into(),
    }
}

fn tombstone_bytes(seq: u64, prev_nonce: Nonce) -> Vec<u8> {
    let nonce = Nonce([0x22; 16]);
    chunk::encode_tombstone(
        &Link {
            inc: INC,
            seq,
            nonce,
            prev_nonce,
            low_water: 0,
        },
        &tombstone(),
    )
}

/// A file with one chunk and a tombstone, each at a page.
fn journal_bytes() -> Vec<u8> {
    let header = FileHeader {
        inc: INC,
        first_seq: 0,
        preallocated: 4 * 4096,
        prev_nonce: Nonce::default(),
        after_damage: false,
    };
    let parts = [
        header.encode(),
        chunk_bytes(0, Nonce::default()),
        tombstone_bytes(1, Nonce([0x11; 16])),
    ];
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&part);
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
    }
    bytes
}

fn check_journal(bytes: &[u8]) {
    let disk = FakeDisk::new(0);
    disk.replace(&format!("journal/{INC}/{:016x}.log", 0), bytes.to_vec());
    let store = open(&disk).unwrap();
    let mut found = Vec::new();
    let end = store
        .slots
        .scan(INC, 0, &mut |scanned| {
            found.push(scanned);
            Ok(())
        })
        .unwrap();
    assert!(end.sealed);
    let [
        Scanned::Chunk { entries: read, .. },
        Scanned::Tombstone {
            tombstone: last, ..
        },
    ] = &found[..]
    else {
        panic!("{found:?}")
    };
    assert_eq!(*read, entries());
    assert_eq!(*last, tombstone());
    let slot = Slot { inc: INC, seq: 0 };
    assert_eq!(
        store.slots.get(slot, 0..u64::MAX).unwrap(),
        chunk_bytes(0, Nonce::default())
    );
}

fn registers_bytes() -> Vec<u8> {
    let disk = FakeDisk::new(0);
    let store = open(&disk).unwrap();
    let _ = store
        .registers
        .create(names::CLUSTER, &cluster().encode())
        .unwrap();
    drop(store);
    disk.contents("registers.redb").unwrap()
}

fn check_registers(bytes: &[u8]) {
    let disk = FakeDisk::new(0);
    disk.replace("registers.redb", bytes.to_vec());
    let store = open(&disk).unwrap();
    let there = store.registers.read(names::CLUSTER).unwrap().unwrap();
    assert_eq!(Cluster::decode(&there.value).unwrap(), cluster());
}

fn cluster() -> Cluster {
    Cluster::new(WRITE, *b"cluster-id-00001", 64)
}

fn producer_ids() -> ProducerIds {
    ProducerIds {
        rev: 3,
        write_id: WRITE,
        next: 3_000,
        rest: Rest::new(),
    }
}

fn head_sealed() -> Head {
    let mut head = Head::new(WRITE);
    head.rev = 7;
    head.state = State::Sealed;
    head.low = 3;
    head.end = Some(12);
    head.rest.insert("later".into(), "kept".into());
    head
}

fn member() -> Member {
    Member {
        rev: 9,
        write_id: WRITE,
        inc: INC,
        node: 0,
        host: "broker-0".into(),
        commit: 12,
        rest: Rest::new(),
    }
}

fn manifest_page() -> page::Page {
    page::Fields {
        shard: 3,
        segments: shard_manifest().known.segments,
    }
    .into()
}

fn shard_manifest() -> Manifest {
    let topic = TOPIC.to_vec();
    let run = Run {
        topic: topic.clone(),
        partition: 5,
        from: 0,
        to: 1000,
        ..Run::default()
    };
    let segment = Segment {
        name: "s/00003/g/00000002-696e6361-00000001".into(),
        bytes: 1 << 26,
        runs: vec![run.into()],
        max_timestamp_so_far: 1_760_000_000_000,
        arrival_ms_min: 1_750_000_000_000,
        arrival_ms_max: 1_760_000_000_000,
        dead_bytes: 0,
    };
    let snapshot = SnapshotRef {
        name: names::snapshot(3, 2, INC, 1),
        bytes: 123,
        inc: INC.0.to_vec(),
        next_seq: 1,
    };
    Fields {
        rev: 5,
        write_id: WRITE.0.to_vec(),
        shard: 3,
        epoch: 2,
        owner: SEALER.0.to_vec(),
        wanted: Vec::new(),
        sources: vec![
            Source {
                inc: INC.0.to_vec(),
                from: 0,
                to: Some(1),
            }
            .into(),
            Source {
                inc: SEALER.0.to_vec(),
                from: 0,
                to: None,
            }
            .into(),
        ],
        segments: vec![segment.into()],
        pages: vec![
            Page {
                name: "s/00003/p/1-1".into(),
                bytes: 9,
                segments: 4096,
                copy: String::new(),
            }
            .into(),
        ],
        snapshots: vec![snapshot.into()],
        log_starts: vec![
            LogStart {
                topic,
                partition: 5,
                offset: 10,
            }
            .into(),
        ],
        pending_delete: vec!["s/00003/x/old".into()],
        writer: "0.1.0".into(),
        compacted: Vec::new(),
    }
    .into()
}

fn state_snapshot() -> Snapshot {
    let batch = ProducerBatch {
        first_sequence: 0,
        last_sequence: 9,
        base_offset: 990,
        timestamp: 1,
    };
    let producer = ProducerState {
        id: 77,
        epoch: 3,
        arrival_ms: 2,
        batches: vec![batch],
    };
    let entry = LaneEntry {
        first: 0,
        last: 65_535,
        base_offset: 1 << 40,
        crc: 0xdead_beef,
    };
    let lane = LaneState {
        id: 1 << 52,
        next: 65_536,
        arrival_ms: 3,
        entries: vec![entry],
    };
    let record = KeyedRecord {
        key: b"key".to_vec(),
        value: b"value".to_vec(),
        offset: 4,
        timestamp: 5,
    };
    let partition = PartitionState {
        topic: TOPIC,
        partition: 5,
        start_offset: 10,
        next_offset: 1010,
        arrival_ms: 6,
        epochs: Vec::new(),
        producers: vec![producer],
        lanes: vec![lane],
        records: vec![record],
    };
    let state = ShardState {
        shard: 3,
        partitions: vec![partition],
    };
    Snapshot {
        inc: INC,
        next_seq: 1,
        epoch: 2,
        state,
    }
}
