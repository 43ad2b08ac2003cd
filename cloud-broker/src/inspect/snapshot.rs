//! A state snapshot.

use headwater_broker_core::state::PartitionState;
use headwater_store::format::snapshot;
use serde_json::{Value, json};

use super::{stream_id, text, unreadable};

/// No snapshot is longer.
pub(super) const BYTES_MAX: u64 = 512 << 20;

pub(super) fn describe(bytes: &[u8]) -> Value {
    let snapshot = match snapshot::decode(bytes) {
        Ok(snapshot) => snapshot,
        Err(error) => return unreadable("snapshot", error),
    };
    json!({
        "kind": "snapshot",
        "format": 1,
        "bytes": bytes.len(),
        "inc": snapshot.inc.to_string(),
        "next_seq": snapshot.next_seq,
        "epoch": snapshot.epoch,
        "shard": snapshot.state.shard,
        "partitions": snapshot.state.partitions.iter().map(partition).collect::<Vec<_>>(),
    })
}

fn partition(state: &PartitionState) -> Value {
    let producers = state.producers.iter().map(|producer| {
        let batches = producer.batches.iter().map(|batch| {
            json!({
                "first_sequence": batch.first_sequence,
                "last_sequence": batch.last_sequence,
                "base_offset": batch.base_offset,
                "timestamp": batch.timestamp,
            })
        });
        json!({
            "id": producer.id,
            "epoch": producer.epoch,
            "arrival_ms": producer.arrival_ms,
            "batches": batches.collect::<Vec<_>>(),
        })
    });
    let lanes = state.lanes.iter().map(|lane| {
        json!({
            "id": lane.id,
            "next": lane.next,
            "arrival_ms": lane.arrival_ms,
            "entries": lane.entries.len(),
        })
    });
    let records = state.records.iter().map(|record| {
        json!({
            "key": text(&record.key),
            "value": text(&record.value),
            "offset": record.offset,
            "timestamp": record.timestamp,
        })
    });
    json!({
        "stream": stream_id(&state.topic),
        "partition": state.partition,
        "start_offset": state.start_offset,
        "next_offset": state.next_offset,
        "arrival_ms": state.arrival_ms,
        "producers": producers.collect::<Vec<_>>(),
        "lanes": lanes.collect::<Vec<_>>(),
        "records": records.collect::<Vec<_>>(),
    })
}
