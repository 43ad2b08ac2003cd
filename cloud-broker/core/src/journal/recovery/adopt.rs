//! Streams whose record was lost to damage. Their data says that they were there: it must not be
//! taken for that of streams that were deleted, by this start or by a later one.

use std::collections::BTreeMap;

use super::{Kept, Recovery, RecoveryError};
use crate::catalog::{self, CatalogRecord, PARTITIONS_MAX, PARTITIONS_OF_ALL_MAX};
use crate::{StreamId, StreamSpec, uuid};

impl Recovery {
    /// If damage may have taken records of the catalog, puts one there for each stream of which
    /// there is data: for ever, under a name that tells its identity. The next snapshot has them,
    /// and until then the damage is seen again. Gives the names.
    pub(super) fn adopt(&mut self) -> Result<Vec<String>, RecoveryError> {
        if self.damaged.first() != Some(&true) {
            return Ok(Vec::new());
        }
        let mut created = 0;
        let mut partitions = 0;
        let mut unknown = self.streams_with_data();
        // Those were deleted, for all that damage can have taken.
        unknown.retain(|id, _| !self.told.contains(id));
        for (_, kept) in self.records_of(catalog::CATALOG) {
            let (id, record) = CatalogRecord::decode(&kept.value)?;
            unknown.remove(&id);
            created = created.max(record.created);
            partitions += record.spec.partitions as usize;
        }
        let mut names = Vec::new();
        for (id, count) in unknown {
            let all = partitions + count as usize;
            if count > PARTITIONS_MAX || all > PARTITIONS_OF_ALL_MAX {
                continue;
            }
            partitions = all;
            created += 1;
            let record = CatalogRecord {
                id: uuid::format(&id),
                created,
                spec: StreamSpec {
                    partitions: count,
                    retention_ms: None,
                    ..StreamSpec::new(&format!("recovered-{}", uuid::format(&id)))
                },
            };
            names.push(record.spec.name.clone());
            self.add_record(&record);
        }
        Ok(names)
    }

    /// Streams of clients of which anything is known, and how many partitions at least.
    fn streams_with_data(&self) -> BTreeMap<StreamId, u32> {
        let mut found = BTreeMap::new();
        for (id, partition) in self.parts.keys() {
            let count = found.entry(*id).or_insert(0);
            *count = partition.saturating_add(1).max(*count);
        }
        for (id, _) in catalog::internal_streams() {
            found.remove(&id);
        }
        found
    }

    fn add_record(&mut self, record: &CatalogRecord) {
        let (first, _) = super::partitions_of(catalog::CATALOG).into_inner();
        let part = &mut self.parts.entry(first).or_default().part;
        let kept = Kept {
            value: record.encode(),
            offset: part.next_offset,
            timestamp: part.arrival.0,
        };
        let key = record.spec.name.clone().into_bytes();
        part.records.insert(key, kept);
    }
}
