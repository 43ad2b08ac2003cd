//! New runs take the place of the old, in one change of the manifest.

use std::collections::BTreeSet;

use headwater_broker_core::segments::Run;
use headwater_store::StoreError;
use headwater_store::format::manifest::{self, Compacted, Fields};
use headwater_store::segment::RunId;

use super::{Keyed, is_of};
use crate::backend::compaction::Compactor;
use crate::backend::compaction::compactor::Told;
use crate::backend::compaction::write::NewSegment;

impl Compactor {
    /// Puts `new` in the place of these runs. Segments that hold other partitions too stay for
    /// them. `end`: the offset behind what was compacted. `reached`: all that is to be done is done with that.
    pub(super) fn replace_runs(
        &mut self,
        keyed: &Keyed,
        old: &[Run],
        new: Vec<NewSegment>,
        end: i64,
        reached: Option<Compacted>,
    ) -> Result<(), StoreError> {
        let names: BTreeSet<String> = old.iter().map(|run| run.segment.name.clone()).collect();
        let entries: Vec<_> = new.iter().map(NewSegment::to_manifest).collect();
        let told = Told {
            segments: new,
            replaced: names.clone(),
            compacted: Some((keyed.id, end)),
            ..Told::default()
        };
        let id = keyed.id;
        self.commit(keyed.shard, told, |fields| {
            take_out(fields, &names, id, entries);
            if let Some(reached) = reached {
                fields.compacted.retain(|known| !is_of(known, id));
                fields.compacted.push(reached.into());
            }
        })
    }
}

impl Keyed {
    /// What a manifest says once the compacted part has so many bytes.
    pub(super) fn reached(&self, bytes: u64) -> Compacted {
        let marks = self.marks.iter().map(|mark| manifest::Mark {
            to: mark.to.unsigned_abs(),
            ms: mark.ms,
        });
        Compacted {
            topic: self.id.topic.to_vec(),
            partition: self.id.partition,
            bytes,
            marks: marks.map(Into::into).collect(),
        }
    }
}

/// Takes a partition out of these segments, puts `new` before them, and gives up those that hold
/// nothing else.
fn take_out(fields: &mut Fields, names: &BTreeSet<String>, id: RunId, new: Vec<manifest::Segment>) {
    let is_ours = |run: &manifest::Run| run.topic == id.topic && run.partition == id.partition;
    let is_old = |segment: &manifest::Segment| names.contains(&segment.name);
    let first = fields.segments.iter().position(|kept| is_old(kept));
    for segment in fields.segments.iter_mut().filter(|kept| is_old(kept)) {
        let dead: u64 = { segment.runs.iter() }
            .filter(|run| is_ours(run))
            .map(|run| run.bytes)
            .sum();
        segment.dead_bytes = segment.dead_bytes.saturating_add(dead);
        segment.runs.retain(|run| !is_ours(run));
    }
    let gone = |segment: &manifest::Segment| is_old(segment) && segment.runs.is_empty();
    let dropped = fields.segments.iter().filter(|kept| gone(kept));
    let dropped: Vec<String> = dropped.map(|kept| kept.name.clone()).collect();
    fields.pending_delete.extend(dropped);
    let new = new.into_iter().map(Into::into);
    let first = first.unwrap_or(0);
    drop(fields.segments.splice(first..first, new));
    fields.segments.retain(|kept| !gone(kept));
}
