//! A million events buffered offline: the agent's memory does not grow with them, and the link
//! carries a fraction of what single publishes would.

use std::path::Path;

use headwater_tests::behind;
use headwater_tests::events::Events;
use headwater_tests::offline;
use headwater_wire::batch::{BatchBuilder, Compressor, Producer};

const EVENTS: usize = 1_000_000;
/// Beside the program itself, whose development build is larger than what is shipped: the
/// benchmark tells the release's 16 MiB.
const HEAP_BYTES_MAX: u64 = 8 << 20;

#[test]
fn a_million_events_cost_little_memory_and_few_bytes() {
    let report =
        offline::run(Path::new(env!("CARGO_BIN_EXE_headwater-node")), EVENTS).expect("a run");
    println!("{report:?}");
    let heap = report
        .peak_memory_bytes
        .saturating_sub(report.program_bytes);
    assert!(heap <= HEAP_BYTES_MAX, "{heap} bytes, {report:?}");
    assert!(
        report.link_bytes * 5 <= report.single_publish_bytes,
        "{} bytes on the link, {} as single publishes",
        report.link_bytes,
        report.single_publish_bytes
    );
}

#[test]
fn the_backlog_costs_no_memory_and_all_of_it_arrives() {
    const BYTES: u64 = 600_000_000;
    const MORE: usize = 20_000;
    let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
    let report = behind::run(program, BYTES, MORE).expect("a run");
    println!("{report:?}");
    let expected = u64::try_from(report.backlog.events + MORE).expect("a count");
    assert_eq!(report.stored, expected, "{report:?}");
    let phases = [
        report.memory_at_start,
        report.memory_after_intake,
        report.memory_after_drain,
    ];
    for memory in phases {
        let heap = memory.peak_bytes.saturating_sub(memory.program_bytes);
        assert!(heap <= HEAP_BYTES_MAX, "{heap} bytes, {report:?}");
    }
}

#[test]
fn the_events_compress_as_the_ratios_assume() {
    let mut builder = BatchBuilder::new();
    for event in Events::new(1, 1_760_000_000_000) {
        let none: [(&str, Option<&[u8]>); 0] = [];
        let (key, value) = (event.topic.as_bytes(), event.payload.as_bytes());
        builder
            .push(event.timestamp_ms, Some(key), Some(value), none)
            .expect("a small record");
        if builder.uncompressed_bytes() >= 64 << 10 {
            break;
        }
    }
    let uncompressed = builder.uncompressed_bytes();
    let mut batch = Vec::new();
    builder.finish_zstd_into(Producer::NONE, &mut Compressor::new(1), &mut batch);
    let tenths = uncompressed * 10 / batch.len();
    assert!(
        (50..=90).contains(&tenths),
        "compressed {}.{} x",
        tenths / 10,
        tenths % 10
    );
}
