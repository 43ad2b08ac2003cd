//! A broker over much stored data: how long it takes to open, and what it holds.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_broker_core::StreamId;
use headwater_broker_core::catalog::{SHARDS, shard};
use headwater_store::format::manifest::{self, Run, Segment};
use headwater_store::{Incarnation, Outcome, Store, WriteId, local, names};
use headwater_tests::broker::Broker;
use headwater_tests::{http, process};

use super::say;

/// Bytes of each segment; on disk they are holes.
const SEGMENT_BYTES: u64 = 64 << 20;
/// Offsets that each has of each partition.
const OFFSETS: u64 = 100_000;
/// Where they lie.
const STREAM: &str = "stored";

/// Puts `segments` into the manifests of a broker with so many partitions, and opens it again.
pub(super) fn measure(segments: u64, partitions: u32) -> Result<(), String> {
    let settings = format!("[[stream]]\nname = \"{STREAM}\"\npartitions = {partitions}\n");
    let mut broker = Broker::start_with(&process::node(), &settings)?;
    let path = format!("/api/v1/streams/{STREAM}");
    let stream = http::json(broker.process().address("http"), &path)?;
    let id = stream["id"].as_str().and_then(parse_id).ok_or("No id")?;
    broker.stop()?;
    fill(&broker.data_dir(), id, segments, partitions)?;
    let began = Instant::now();
    broker.start_again()?;
    let took = began.elapsed();
    let process = broker.process();
    let resident = || process.resident_bytes().unwrap_or(0) >> 20;
    let files = std::fs::read_dir(format!("/proc/{}/fd", process.id()));
    say(&format!(
        "{segments} segments, {} GB in {partitions} partitions: ready after {:.2} s, {} MiB resident, {} open files",
        segments * SEGMENT_BYTES / 1_000_000_000,
        took.as_secs_f64(),
        resident(),
        files.map_err(|e| e.to_string())?.count(),
    ));
    std::thread::sleep(Duration::from_secs(12));
    say(&format!("after 12 s: {} MiB resident", resident()));
    Ok(())
}

fn fill(data: &Path, id: StreamId, segments: u64, partitions: u32) -> Result<(), String> {
    let store = local::open(data, local::LocalOptions::default()).map_err(|e| e.to_string())?;
    let shards = u64::from(SHARDS);
    for number in 0..shards {
        let shard_number = u32::try_from(number).map_err(|e| e.to_string())?;
        let ours: Vec<u32> = (0..partitions)
            .filter(|partition| shard(&id, *partition, SHARDS) == shard_number)
            .collect();
        let share = segments / shards + u64::from(number < segments % shards);
        add(&store, data, shard_number, (id, &ours), share)?;
    }
    Ok(())
}

fn add(
    store: &Store,
    data: &Path,
    shard: u32,
    (id, partitions): (StreamId, &[u32]),
    segments: u64,
) -> Result<(), String> {
    let name = names::manifest(shard);
    let found = store.registers.read(&name).map_err(|e| e.to_string())?;
    let found = found.ok_or("No manifest")?;
    let mut manifest = manifest::decode(&found.value).map_err(|e| e.to_string())?;
    for number in 0..segments {
        let segment = segment(shard, number, id, partitions)?;
        let file = data.join("blobs").join(&segment.name);
        let parent = file.parent().ok_or("No folder")?;
        std::fs::create_dir_all(parent).map_err(|e| e.to_string())?;
        let file = std::fs::File::create(file).map_err(|e| e.to_string())?;
        file.set_len(SEGMENT_BYTES).map_err(|e| e.to_string())?;
        manifest.segments.push(segment.into());
    }
    manifest.rev += 1;
    manifest.write_id = WriteId([7; 16]).0.to_vec();
    let value = manifest::encode(&manifest).map_err(|e| e.to_string())?;
    match store.registers.cas(&name, &found.version, &value) {
        Ok(Outcome::Mine) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn segment(shard: u32, number: u64, id: StreamId, partitions: &[u32]) -> Result<Segment, String> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|e| e.to_string())?;
    let now = i64::try_from(now.as_millis()).map_err(|e| e.to_string())?;
    let run = |partition: &u32| Run {
        topic: id.to_vec(),
        partition: *partition,
        from: number * OFFSETS,
        to: (number + 1) * OFFSETS,
        bytes: SEGMENT_BYTES / partitions.len().max(1) as u64,
        max_timestamp: now,
        arrival_ms: now,
    };
    let n = u32::try_from(number).map_err(|e| e.to_string())?;
    Ok(Segment {
        name: names::segment(shard, 0, Incarnation([7; 16]), n),
        bytes: SEGMENT_BYTES,
        runs: partitions
            .iter()
            .map(|partition| run(partition).into())
            .collect(),
        max_timestamp_so_far: now,
        arrival_ms_min: now,
        arrival_ms_max: now,
        dead_bytes: 0,
    })
}

/// A UUID's bytes.
fn parse_id(text: &str) -> Option<StreamId> {
    let digits = text.replace('-', "");
    let byte = |at: usize| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..16).map(byte).collect::<Option<_>>()?;
    bytes.try_into().ok()
}
