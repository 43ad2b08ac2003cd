//! Every batch: its bytes, its records, and whether offsets are missing between batches.

use std::collections::BTreeMap;

use headwater_broker_core::catalog::{CATALOG, CatalogRecord, Cleanup, internal_streams};
use headwater_broker_core::{StreamId, StreamSpec, uuid};
use headwater_wire::batch::{self, BatchError, Header};

use super::ranges::Ranges;
use super::report::{Damage, Report};
use crate::validate::Validator;

/// What was learnt from all batches.
#[derive(Debug)]
pub(super) struct Batches {
    validator: Validator,
    partitions: BTreeMap<(StreamId, u32), Partition>,
    streams: BTreeMap<StreamId, StreamSpec>,
    catalog: Option<StreamId>,
}

#[derive(Debug, Default)]
struct Partition {
    /// Offsets of batches that an index names.
    there: Ranges,
    /// Offsets that were told to be damaged already.
    told: Ranges,
}

impl Default for Batches {
    fn default() -> Self {
        let streams: BTreeMap<_, _> = internal_streams().into_iter().collect();
        let is_catalog = |(_, spec): &(&StreamId, &StreamSpec)| spec.name == CATALOG;
        Self {
            validator: Validator::default(),
            partitions: BTreeMap::new(),
            catalog: streams.iter().find(is_catalog).map(|(id, _)| *id),
            streams,
        }
    }
}

impl Batches {
    /// Looks at a batch that an index names: CRC, decompression, every record.
    pub(super) fn check(
        &mut self,
        partition: (StreamId, u32),
        offsets: (i64, i64),
        bytes: &[u8],
        report: &mut Report,
    ) -> Result<(), BatchError> {
        self.there(partition, offsets);
        report.batches += 1;
        report.bytes += bytes.len() as u64;
        let header = Header::parse_exact(bytes)?;
        batch::check_crc(bytes, &header)?;
        let records = self.validator.records(&header, bytes)?;
        let mut count = 0_i32;
        let mut rest = batch::records(&header, records);
        for record in rest.by_ref() {
            let record = record?;
            if Some(partition.0) == self.catalog {
                // One that cannot be understood is not damage, but of a later version.
                let value = record
                    .value
                    .and_then(|value| CatalogRecord::decode(value).ok());
                self.streams
                    .extend(value.map(|(id, record)| (id, record.spec)));
            }
            count += 1;
        }
        if rest.trailing_bytes() > 0 {
            return Err(BatchError::Trailing(rest.trailing_bytes()));
        }
        report.records += u64::from(count.unsigned_abs());
        let told = header.record_count;
        match count == told
            && (header.base_offset, header.last_offset().saturating_add(1)) == offsets
        {
            true => Ok(()),
            false => Err(BatchError::Count {
                records: count,
                last_offset_delta: header.last_offset_delta,
            }),
        }
    }

    /// An index names these offsets.
    pub(super) fn there(&mut self, partition: (StreamId, u32), (from, to): (i64, i64)) {
        self.partitions
            .entry(partition)
            .or_default()
            .there
            .add(from, to);
    }

    /// Reports that these offsets are damaged.
    pub(super) fn damaged(
        &mut self,
        partition: (StreamId, u32),
        (from, to): (i64, i64),
        damage: Damage,
        report: &mut Report,
    ) {
        self.partitions
            .entry(partition)
            .or_default()
            .told
            .add(from, to);
        report.damaged(Damage {
            // The name is known once all is read.
            stream: Some(uuid::format(&partition.0)),
            partition: Some(partition.1),
            from: Some(from),
            to: Some(to),
            ..damage
        });
    }

    /// Reports offsets that are missing, and gives the streams that are named their names. Keyed
    /// compaction leaves gaps.
    pub(super) fn finish(self, report: &mut Report) {
        for ((topic, partition), found) in &self.partitions {
            let compacted = |spec: &StreamSpec| spec.cleanup != Cleanup::Delete;
            if self.streams.get(topic).is_some_and(compacted) {
                continue;
            }
            for (from, to) in found
                .there
                .gaps()
                .flat_map(|gap| found.told.missing_of(gap))
            {
                report.damaged(Damage {
                    stream: Some(uuid::format(topic)),
                    partition: Some(*partition),
                    from: Some(from),
                    to: Some(to),
                    ..Damage::object("log", "Offsets are missing")
                });
            }
        }
        let names: BTreeMap<String, &str> = self
            .streams
            .iter()
            .map(|(id, spec)| (uuid::format(id), spec.name.as_str()))
            .collect();
        for stream in report
            .damage
            .iter_mut()
            .filter_map(|damage| damage.stream.as_mut())
        {
            if let Some(name) = names.get(stream) {
                *stream = (*name).to_owned();
            }
        }
    }
}
