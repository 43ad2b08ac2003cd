//! Batches that stock Kafka clients made, and one of each kind of ours: `data/v1/` holds their
//! bytes, and they must be read for ever. `data/v1/capture.py` and `Batches.java` made them.

use std::fs;
use std::path::PathBuf;

use headwater_wire::batch::{
    BatchBuilder, BatchError, Codec, Compressor, Decompressor, Header, Limits, Producer, check_crc,
    check_produced, payload, walk,
};

const BASE_MS: i64 = 1_760_000_000_000;
const LIMITS: Limits = Limits {
    uncompressed_bytes_max: 1 << 20,
    records_max: 100,
};

type Pair<'a> = (&'a str, Option<&'a [u8]>);

#[derive(Debug, PartialEq)]
struct Expected<'a> {
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: Vec<Pair<'a>>,
}

const LONG: [u8; 800] = {
    let mut long = [0; 800];
    let mut at = 0;
    while at < long.len() {
        long[at] = b"abcdefgh"[at % 8];
        at += 1;
    }
    long
};

/// What capture.py sent; kafka-python has no null header values.
fn expected(file: &str) -> Vec<Expected<'static>> {
    let empty: &[Pair<'_>] = &[];
    let lines: [(_, _, &'static [Pair<'static>], _); 5] = [
        (
            Some("gw-1/room/temperature"),
            Some(&br#"{"value":21.5,"unit":"C"}"#[..]),
            &[("hw-device", Some(b"gw-1"))],
            0,
        ),
        (None, Some(b"no key"), empty, 5),
        (
            Some("tombstone"),
            None,
            &[
                ("null", None),
                ("empty", Some(b"")),
                ("null", Some(b"again")),
            ],
            3,
        ),
        (Some(""), Some(b""), empty, 3),
        (
            Some("gw-1/\u{fc}ml\u{e4}ut"),
            Some(&LONG),
            &[("\u{fc}", Some(b"\x00\xff"))],
            1000,
        ),
    ];
    let null_headers = !file.starts_with("kafka-python");
    lines
        .into_iter()
        .map(|(key, value, headers, ms)| Expected {
            timestamp: BASE_MS + ms,
            key: key.map(str::as_bytes),
            value,
            headers: headers
                .iter()
                .copied()
                .filter(|(_, value)| null_headers || value.is_some())
                .collect(),
        })
        .collect()
}

fn golden(file: &str) -> (Vec<u8>, Header) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/data/v1", file]
        .iter()
        .collect();
    let batch = fs::read(path).expect("the file is in the repository");
    let header = Header::parse_exact(&batch).expect(file);
    assert_eq!(check_crc(&batch, &header), Ok(()), "{file}");
    assert_eq!(check_produced(&header), Ok(()), "{file}");
    (batch, header)
}

fn check_records(file: &str, header: &Header, uncompressed: &[u8]) {
    let mut found = Vec::new();
    walk(header, uncompressed, &LIMITS, |record| {
        found.push(Expected {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers.collect(),
        });
        Ok::<(), BatchError>(())
    })
    .expect(file);
    assert_eq!(found, expected(file), "{file}");
}

fn rebuilt(file: &str) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for record in expected(file) {
        builder
            .push(record.timestamp, record.key, record.value, record.headers)
            .expect("a small batch");
    }
    builder
}

#[test]
fn uncompressed_batches_are_read_and_made_byte_for_byte() {
    for file in [
        "librdkafka-none.batch",
        "kafka-python-none.batch",
        "java-none.batch",
        "librdkafka-idempotent.batch",
    ] {
        let (mut batch, header) = golden(file);
        check_records(file, &header, payload(&header, &batch));
        let mut ours = Vec::new();
        rebuilt(file).finish_into(header.producer(), &mut ours);
        // Outside the CRC, and the broker's: librdkafka sends 0 where we and Java send -1.
        headwater_wire::batch::patch_leader_epoch(&mut batch, -1);
        assert_eq!(ours, batch, "{file}");
    }
}

#[test]
fn zstd_batches_are_read() {
    let mut decompressor = Decompressor::new();
    let mut records = Vec::new();
    for file in [
        "librdkafka-zstd.batch",
        "kafka-python-zstd.batch",
        "java-zstd.batch",
        "headwater-zstd.batch",
    ] {
        let (batch, header) = golden(file);
        assert_eq!(header.codec(), Ok(Codec::Zstd));
        decompressor
            .decompress_into(payload(&header, &batch), &mut records, 1 << 20)
            .expect(file);
        check_records(file, &header, &records);
    }
}

/// Their payloads are for the broker's codecs; here only the headers are read.
#[test]
fn batches_of_other_codecs_have_valid_headers() {
    for (codec, name) in [
        (Codec::Gzip, "gzip"),
        (Codec::Snappy, "snappy"),
        (Codec::Lz4, "lz4"),
    ] {
        for client in ["librdkafka", "kafka-python", "java"] {
            let (_, header) = golden(&format!("{client}-{name}.batch"));
            assert_eq!(header.codec(), Ok(codec));
            assert_eq!(header.record_count, 5);
        }
    }
}

#[test]
fn idempotent_batches_carry_their_producer() {
    let (_, header) = golden("librdkafka-idempotent.batch");
    assert_eq!(
        header.producer(),
        Producer {
            id: 4711,
            epoch: 7,
            base_sequence: 0
        }
    );
    assert_eq!(header.last_sequence(), 4);
}

#[test]
fn our_batches_are_as_they_were() {
    let file = "headwater-zstd.batch";
    let (batch, header) = golden(file);
    let producer = Producer {
        id: 1 << 52,
        epoch: 1,
        base_sequence: 2,
    };
    assert_eq!(header.producer(), producer);
    // Another release of zstd may compress otherwise; what must stay is all the rest.
    let mut ours = Vec::new();
    rebuilt(file).finish_zstd_into(producer, &mut Compressor::new(1), &mut ours);
    let rebuilt = Header::parse_exact(&ours).expect("just built");
    let same = Header {
        batch_length: header.batch_length,
        crc: header.crc,
        ..rebuilt
    };
    assert_eq!(same, header);
    assert!(batch.len() < 400);
}

#[test]
fn every_file_is_named_in_a_test() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/v1");
    let source = include_str!("golden.rs");
    for entry in fs::read_dir(folder).expect("the folder is in the repository") {
        let name = entry
            .expect("readable")
            .file_name()
            .into_string()
            .expect("ASCII");
        let codec = name
            .trim_end_matches(".batch")
            .rsplit('-')
            .next()
            .expect("never empty");
        let known = source.contains(&name) || source.contains(&format!("\"{codec}\""));
        assert!(known, "{name}");
    }
}
