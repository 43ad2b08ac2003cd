//! Registers: JSON ones as they are, manifests, and the database of a data directory.

use std::path::Path;
use std::sync::Arc;

use headwater_store::disk::Disk;
use headwater_store::format::manifest::{self, Manifest};
use headwater_store::format::page;
use headwater_store::{ErrorKind, Registers, StoreError, local};
use serde_json::{Map, Value, json};

use super::{hex, stream_id, unreadable};

/// Every register of the database `path`, by name.
pub(super) fn database(path: &Path) -> Result<Value, StoreError> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let registers = open(dir.unwrap_or_else(|| Path::new(".")))?;
    let mut all = Map::new();
    for name in registers.list("")? {
        if let Some(found) = registers.read(&name)? {
            all.insert(name, describe(&found.value));
        }
    }
    Ok(json!({ "kind": "registers", "registers": all }))
}

/// One register of the data directory `dir`.
pub(super) fn named(dir: &Path, name: &str) -> Result<Value, StoreError> {
    match open(dir)?.read(name)? {
        Some(found) => Ok(describe(&found.value)),
        None => {
            let place = format!("{name} in {}", dir.display());
            Err(StoreError::new(ErrorKind::NotFound, "Cannot find", place))
        }
    }
}

fn open(dir: &Path) -> Result<Arc<dyn Registers>, StoreError> {
    let disk: Arc<dyn Disk> = Arc::new(super::disk(dir)?);
    local::open_registers(disk)
}

fn describe(bytes: &[u8]) -> Value {
    match bytes.starts_with(&manifest::MAGIC) {
        true => manifest(bytes),
        false => json(bytes),
    }
}

/// A JSON register is what it is; one that is damaged is shown as text.
pub(super) fn json(bytes: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(value) => json!({ "kind": "register", "value": value }),
        Err(error) => {
            let shown = &bytes[..bytes.len().min(256)];
            let mut value = unreadable("unknown", error);
            value["text"] = String::from_utf8_lossy(shown).into();
            value
        }
    }
}

pub(super) fn manifest(bytes: &[u8]) -> Value {
    match manifest::decode(bytes) {
        Ok(manifest) => describe_manifest(&manifest, bytes.len()),
        Err(error) => unreadable("manifest", error),
    }
}

pub(super) fn page(bytes: &[u8]) -> Value {
    let page = match page::decode(bytes) {
        Ok(page) => page,
        Err(error) => return unreadable("page", error),
    };
    let segments = page
        .segments
        .iter()
        .map(|segment| describe_segment(segment));
    json!({
        "kind": "page",
        "format": 1,
        "bytes": bytes.len(),
        "shard": page.shard,
        "segments": segments.collect::<Vec<_>>(),
    })
}

fn describe_manifest(manifest: &Manifest, bytes: usize) -> Value {
    let sources = manifest.sources.iter().map(
        |source| json!({ "inc": source.inc().to_string(), "from": source.from, "to": source.to }),
    );
    let snapshots = manifest.snapshots.iter().map(|snapshot| {
        json!({
            "name": snapshot.name,
            "bytes": snapshot.bytes,
            "inc": snapshot.inc().to_string(),
            "next_seq": snapshot.next_seq,
        })
    });
    let pages = manifest
        .pages
        .iter()
        .map(|page| json!({ "name": page.name, "copy": page.copy, "bytes": page.bytes, "segments": page.segments }));
    let starts = manifest.log_starts.iter().map(|start| {
        json!({
            "stream": stream_id(&start.topic),
            "partition": start.partition,
            "offset": start.offset,
        })
    });
    json!({
        "kind": "manifest",
        "format": 1,
        "bytes": bytes,
        "rev": manifest.rev,
        "write_id": hex(&manifest.write_id),
        "shard": manifest.shard,
        "epoch": manifest.epoch,
        "owner": hex(&manifest.owner),
        "wanted": hex(&manifest.wanted),
        "writer": manifest.writer,
        "sources": sources.collect::<Vec<_>>(),
        "segments": manifest.segments.iter().map(|segment| describe_segment(segment)).collect::<Vec<_>>(),
        "pages": pages.collect::<Vec<_>>(),
        "snapshots": snapshots.collect::<Vec<_>>(),
        "log_starts": starts.collect::<Vec<_>>(),
        "pending_delete": manifest.pending_delete,
    })
}

fn describe_segment(segment: &manifest::Segment) -> Value {
    let runs = segment.runs.iter().map(|run| {
        json!({
            "stream": stream_id(&run.topic),
            "partition": run.partition,
            "from": run.from,
            "to": run.to,
        })
    });
    json!({
        "name": segment.name,
        "bytes": segment.bytes,
        "runs": runs.collect::<Vec<_>>(),
        "max_timestamp_so_far": segment.max_timestamp_so_far,
        "arrival_ms": [segment.arrival_ms_min, segment.arrival_ms_max],
    })
}
