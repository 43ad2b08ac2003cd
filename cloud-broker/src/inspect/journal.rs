//! A journal file, and the frames in it: chunks and tombstones.

use headwater_broker_core::Entry;
use headwater_store::StoreError;
use headwater_store::format::chunk::{HEADER_BYTES, Header};
use headwater_store::format::journal_file::{self, FileHeader};
use headwater_store::traits::Blobs;
use serde_json::{Value, json};

use super::source::Source;
use super::{hex, stream_id, unreadable};

/// Frames begin at multiples of this.
const PAGE_BYTES: u64 = 4096;

/// Everything that looks like a frame, in order of place. `stale` are those of another journal or
/// of an earlier use of the file, which do not continue the chain.
pub(super) fn file(source: &Source) -> Result<Value, StoreError> {
    let first_page = source.start(journal_file::HEADER_BYTES as u64)?;
    let header = FileHeader::decode(&first_page);
    let mut chain = header
        .as_ref()
        .ok()
        .map(|header| (header.inc, header.first_seq));
    let mut frames = Vec::new();
    let mut position = PAGE_BYTES;
    while position < source.bytes() {
        let head = source.get("", position..position + HEADER_BYTES as u64)?;
        let Ok(header) = Header::decode(&head) else {
            position += PAGE_BYTES;
            continue;
        };
        let bytes = source.get("", position..position.saturating_add(header.frame_bytes()))?;
        let mut found = frame(&bytes, position);
        let link = header.link;
        let continues = chain.is_none_or(|(inc, seq)| link.inc == inc && link.seq >= seq);
        match continues {
            true => chain = Some((link.inc, link.seq.saturating_add(1))),
            false => found["stale"] = true.into(),
        }
        frames.push(found);
        position += header.frame_bytes().next_multiple_of(PAGE_BYTES);
    }
    Ok(json!({
        "kind": "journal file",
        "format": 1,
        "bytes": source.bytes(),
        "header": match header {
            Ok(header) => json!({
                "inc": header.inc.to_string(),
                "first_seq": header.first_seq,
                "preallocated": header.preallocated,
                "prev_nonce": header.prev_nonce.to_string(),
                "after_damage": header.after_damage,
            }),
            Err(error) => json!({ "error": error.to_string() }),
        },
        "frames": frames,
    }))
}

/// The frame at the front of `bytes`, which lies at `position`.
pub(super) fn frame(bytes: &[u8], position: u64) -> Value {
    let header = match Header::decode(bytes) {
        Ok(header) => header,
        Err(error) => return unreadable("chunk", error),
    };
    let payload_pos = usize::try_from(header.payload_pos()).unwrap_or(usize::MAX);
    let index = bytes.get(HEADER_BYTES..payload_pos).unwrap_or_default();
    let mut value = json!({
        "kind": if header.tombstone { "tombstone" } else { "chunk" },
        "format": 1,
        "position": position,
        "bytes": header.frame_bytes(),
        "inc": header.link.inc.to_string(),
        "seq": header.link.seq,
        "nonce": header.link.nonce.to_string(),
        "prev_nonce": header.link.prev_nonce.to_string(),
        "low_water": header.link.low_water,
    });
    if header.tombstone {
        value["tombstone"] = match header.decode_tombstone(index) {
            Ok(tombstone) => json!({
                "sealer": tombstone.sealer.to_string(),
                "reason": format!("{:?}", tombstone.reason).to_lowercase(),
                "note": tombstone.note,
            }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        return value;
    }
    let end = usize::try_from(header.frame_bytes()).unwrap_or(usize::MAX);
    let payload = bytes.get(payload_pos..end).unwrap_or_default();
    value["payload"] = match header.check_payload(payload) {
        Ok(()) => "whole".into(),
        Err(error) => error.to_string().into(),
    };
    value["batches"] = match header.decode_index(index) {
        Ok(entries) => entries.iter().map(batch).collect(),
        Err(error) => json!({ "error": error.to_string() }),
    };
    value
}

fn batch(entry: &Entry) -> Value {
    json!({
        "shard": entry.shard,
        "epoch": entry.epoch,
        "stream": stream_id(&entry.topic),
        "partition": entry.partition,
        "from": entry.base_offset,
        "to": entry.end_offset(),
        "position": entry.pos,
        "bytes": entry.len,
        "max_timestamp": entry.max_timestamp,
        "arrival_ms": entry.arrival_ms,
        "producer_id": entry.producer_id,
        "producer_epoch": entry.producer_epoch,
        "base_sequence": entry.base_sequence,
        "attributes": entry.attributes,
        "crc": hex(&entry.batch_crc.to_be_bytes()),
        "topic_filter_bytes": entry.topics.len(),
    })
}
