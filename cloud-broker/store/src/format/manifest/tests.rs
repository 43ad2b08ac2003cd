use prost::Message;

use super::*;

fn id(byte: u8) -> Vec<u8> {
    vec![byte; 16]
}

fn sample() -> Manifest {
    Fields {
        rev: 3,
        write_id: id(1),
        shard: 1,
        epoch: 2,
        owner: id(2),
        wanted: Vec::new(),
        sources: vec![
            Source {
                inc: id(3),
                from: 0,
                to: Some(9),
            }
            .into(),
            Source {
                inc: id(2),
                from: 0,
                to: None,
            }
            .into(),
        ],
        segments: vec![segment().into()],
        pages: vec![
            Page {
                name: "p".into(),
                bytes: 1,
                segments: 2,
                copy: "q".into(),
            }
            .into(),
        ],
        snapshots: vec![
            SnapshotRef {
                name: "x".into(),
                bytes: 1,
                inc: id(2),
                next_seq: 4,
            }
            .into(),
        ],
        log_starts: vec![
            LogStart {
                topic: id(7),
                partition: 1,
                offset: 10,
            }
            .into(),
        ],
        pending_delete: vec!["old".into()],
        writer: "0.1.0".into(),
        compacted: vec![compacted().into()],
    }
    .into()
}

fn segment() -> Segment {
    let run = Run {
        topic: id(7),
        partition: 1,
        from: 10,
        to: 20,
        bytes: 90,
        max_timestamp: -5,
        arrival_ms: 2,
    };
    Segment {
        name: "s/00001/g/00000002-01010101-00000003".into(),
        bytes: 100,
        runs: vec![run.into()],
        max_timestamp_so_far: -5,
        arrival_ms_min: 1,
        arrival_ms_max: 2,
        dead_bytes: 11,
    }
}

fn compacted() -> Compacted {
    let mark = Mark { to: 15, ms: -7 };
    Compacted {
        topic: vec![7; 16],
        partition: 1,
        bytes: 12,
        marks: vec![mark.into()],
    }
}

#[test]
fn a_manifest_is_read_back() {
    let manifest = sample();
    let read = decode(&encode(&manifest).unwrap()).unwrap();
    assert_eq!(read, manifest);
    assert_eq!(read.owner(), Some(Incarnation([2; 16])));
    assert_eq!(read.write_id(), WriteId([1; 16]));
    assert_eq!(read.sources[0].inc(), Incarnation([3; 16]));
    assert_eq!(read.snapshots[0].inc(), Incarnation([2; 16]));
}

#[test]
fn every_field_that_is_written_is_known_when_it_is_read() {
    let read = decode(&encode(&sample()).unwrap()).unwrap();
    let unknown = [
        read.unknown_bytes(),
        read.sources[0].unknown_bytes(),
        read.segments[0].unknown_bytes(),
        read.segments[0].runs[0].unknown_bytes(),
        read.pages[0].unknown_bytes(),
        read.snapshots[0].unknown_bytes(),
        read.log_starts[0].unknown_bytes(),
    ];
    assert_eq!(unknown, [0; 7]);
}

#[test]
fn fields_of_a_later_version_are_written_again() {
    let mut raw = sample().encode_to_vec();
    prost::encoding::string::encode(500, &"later".to_owned(), &mut raw);
    let read = decode(&ENVELOPE.seal(&raw).unwrap()).unwrap();
    assert!(read.unknown_bytes() > 5);
    let again = ENVELOPE.open(&encode(&read).unwrap()).unwrap();
    assert_eq!(again, raw);
}

#[test]
fn ids_and_ranges_that_cannot_be_are_refused() {
    let changes: [fn(&mut Manifest); 8] = [
        |manifest| manifest.write_id.truncate(15),
        |manifest| manifest.owner.push(0),
        |manifest| manifest.wanted.push(0),
        |manifest| manifest.sources[0].to = None,
        |manifest| manifest.sources[1].from = u64::MAX,
        |manifest| manifest.sources[1].inc.clear(),
        |manifest| manifest.segments[0].runs[0].topic.clear(),
        |manifest| manifest.log_starts[0].topic.clear(),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        let mut manifest = sample();
        change(&mut manifest);
        let fits = at == 4; // An open source may begin anywhere.
        assert_eq!(
            decode(&encode(&manifest).unwrap()).is_ok(),
            fits,
            "change {at}"
        );
    }
}

#[test]
fn every_bit_counts_and_any_bytes_are_survived() {
    let bytes = encode(&sample()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // The high half of the flags is left to later versions, but is under the checksum.
        assert!(decode(&changed).is_err(), "bit {bit}");
    }
    for end in 0..bytes.len() {
        assert!(decode(&bytes[..end]).is_err());
    }
    let mut later = bytes;
    later[4] = 2;
    assert!(matches!(
        decode(&later),
        Err(FormatError::UnknownFormat { .. })
    ));
}

#[test]
fn protobuf_with_any_byte_changed_is_survived() {
    let raw = sample().encode_to_vec();
    for at in 0..raw.len() {
        for to in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = raw.clone();
            changed[at] = to;
            let _ = decode(&ENVELOPE.seal(&changed).unwrap());
        }
    }
}

#[test]
fn a_body_larger_than_it_says_is_refused() {
    let bomb = ENVELOPE.seal(&vec![0; 1 << 20]).unwrap();
    let mut header = bomb[..28].to_vec();
    header[16..24].copy_from_slice(&100u64.to_le_bytes());
    let checksum = headwater_wire::crc::crc32c(&header);
    let lying = [&header, &checksum.to_le_bytes()[..], &bomb[32..]].concat();
    assert!(matches!(
        decode(&lying),
        Err(FormatError::TooLarge { max: 100, .. })
    ));
}
