//! A segment: directory, blocks, and what of them is damaged.

use std::sync::Arc;

use headwater_store::StoreError;
use headwater_store::format::segment::{HEADER_BYTES, Header};
use headwater_store::segment::{Block, Run, Segment, Segments};
use serde_json::{Value, json};

use super::source::Source;
use super::{stream_id, unreadable};

/// Memory for directories and indexes, bytes.
const CACHE_BYTES: usize = 64 << 20;

pub(super) fn describe(source: &Source) -> Value {
    match read(source) {
        Ok(value) => value,
        Err(error) => unreadable("segment", error),
    }
}

fn read(source: &Source) -> Result<Value, StoreError> {
    let header = Header::decode(&source.start(HEADER_BYTES as u64)?).ok();
    let place = source.place().to_owned();
    let again = Source::file(place.as_ref())?;
    let segments = Segments::new(Arc::new(again), CACHE_BYTES);
    let segment = segments.open(&place, source.bytes())?;
    let runs = segment
        .directory()
        .runs
        .iter()
        .map(|run| describe_run(&segment, run));
    Ok(json!({
        "kind": "segment",
        "format": 1,
        "bytes": source.bytes(),
        "shard": header.map(|header| header.shard),
        "epoch": header.map(|header| header.epoch),
        "directory": if segment.is_repaired() { "damaged" } else { "whole" },
        "partitions": runs.collect::<Result<Vec<_>, _>>()?,
    }))
}

fn describe_run(segment: &Segment, run: &Run) -> Result<Value, StoreError> {
    let index = segment.index(run.id)?;
    let blocks = index.iter().flat_map(|index| &index.blocks);
    let epochs = run
        .epochs
        .iter()
        .map(|epoch| json!({ "epoch": epoch.epoch, "from": epoch.from }));
    Ok(json!({
        "stream": stream_id(&run.id.topic),
        "partition": run.id.partition,
        "from": run.from,
        "to": run.to,
        "batches": run.batches,
        "records": run.records,
        "bytes": run.bytes,
        "max_timestamp": run.max_timestamp,
        "arrival_ms": [run.arrival_ms_min, run.arrival_ms_max],
        "epochs": epochs.collect::<Vec<_>>(),
        "blocks": blocks
            .map(|block| describe_block(segment, run, block))
            .collect::<Result<Vec<_>, _>>()?,
    }))
}

fn describe_block(segment: &Segment, run: &Run, block: &Block) -> Result<Value, StoreError> {
    let lost = segment.read_block(run.id, block)?.lost;
    let lost = lost
        .iter()
        .map(|lost| json!({ "from": lost.from, "to": lost.to }));
    let mut value = json!({
        "position": block.pos,
        "bytes": block.len,
        "from": block.from,
        "to": block.to,
        "batches": block.batches,
        "timestamp_so_far": block.timestamp_so_far,
        "arrival_ms": [block.arrival_ms_min, block.arrival_ms_max],
        "topic_filters": block.filters.len(),
        "topics_known": block.filtered,
    });
    let lost: Vec<Value> = lost.collect();
    if !lost.is_empty() {
        value["damage"] = lost.into();
    }
    Ok(value)
}
