//! Segments that manifests name: directory, indexes, every block.

use std::sync::Arc;

use headwater_store::format::manifest::{Manifest, Segment as Named};
use headwater_store::segment::{RunId, Segment, Segments};
use headwater_store::{ErrorKind, Store, StoreError};

use super::batches::Batches;
use super::report::{Damage, Report};

/// Directories and indexes that are remembered, bytes: each is read once.
const CACHE_BYTES: usize = 8 << 20;

/// Reads every segment.
pub(super) fn check(
    store: &Store,
    manifests: &[Manifest],
    batches: &mut Batches,
    report: &mut Report,
) -> Result<(), StoreError> {
    let segments = Segments::new(Arc::clone(&store.blobs), CACHE_BYTES);
    for named in manifests.iter().flat_map(|manifest| &manifest.segments) {
        report.segments += 1;
        match open(store, &segments, named, report) {
            Ok(segment) => read(&segment, batches, report)?,
            Err(error) => {
                report.damaged(Damage::object(named.name.as_str(), &error));
                lose_all(named, &error, batches, report);
            }
        }
    }
    Ok(())
}

/// Opens a segment, and compares it with what its manifest says.
fn open(
    store: &Store,
    segments: &Arc<Segments>,
    named: &Named,
    report: &mut Report,
) -> Result<Segment, StoreError> {
    let bytes = store.blobs.len(&named.name)?;
    if bytes != named.bytes {
        let what = format!("It has {bytes} bytes instead of {}", named.bytes);
        report.damaged(Damage::object(named.name.as_str(), what));
    }
    let segment = segments.open(&named.name, bytes)?;
    if segment.is_repaired() {
        let what = "Footer or directory is damaged";
        report.damaged(Damage::object(named.name.as_str(), what));
    }
    Ok(segment)
}

fn read(segment: &Segment, batches: &mut Batches, report: &mut Report) -> Result<(), StoreError> {
    for run in &segment.directory().runs {
        let Some(index) = segment.index(run.id)? else {
            continue;
        };
        for block in &index.blocks {
            let found = segment.read_block(run.id, block)?;
            for batch in found.batches {
                let offsets = (batch.base_offset(), batch.end_offset());
                let partition = partition(run.id);
                if let Err(what) = batches.check(partition, offsets, &batch.bytes, report) {
                    let damage = Damage {
                        position: Some(block.pos),
                        ..Damage::object(segment.name(), what)
                    };
                    batches.damaged(partition, offsets, damage, report);
                }
            }
            for lost in found.lost {
                let damage = Damage::place(&lost.place, "Batches are damaged");
                batches.damaged(partition(run.id), (lost.from, lost.to), damage, report);
            }
        }
    }
    Ok(())
}

/// Nothing of a segment can be read: its manifest may know what is lost.
fn lose_all(named: &Named, error: &StoreError, batches: &mut Batches, report: &mut Report) {
    let what = match error.kind {
        ErrorKind::NotFound => "The segment is missing",
        _ => "The segment cannot be read",
    };
    for run in &named.runs {
        let offsets = [run.from, run.to].map(|offset| i64::try_from(offset).unwrap_or(i64::MAX));
        let Ok(topic) = run.topic.as_slice().try_into() else {
            continue;
        };
        let damage = Damage::object(named.name.as_str(), what);
        batches.damaged((topic, run.partition), offsets.into(), damage, report);
    }
}

fn partition(id: RunId) -> ([u8; 16], u32) {
    (id.topic, id.partition)
}
