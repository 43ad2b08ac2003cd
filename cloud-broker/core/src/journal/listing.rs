//! What is known of agents and groups, all of it: for the start, when there are no changes yet.

use bytes::Bytes;
use headwater_wire::time::Millis;
use headwater_wire::uplink;

use crate::{LaneName, catalog};

use super::part::Kept;
use super::{Journal, LaneMoved, StatusKept};

impl Journal {
    /// The newest records of `__groups`: key and value.
    pub fn group_records(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let groups = self.catalog.by_name(catalog::GROUPS).expect("always there");
        let parts = groups.partitions.iter();
        let records = parts.flat_map(|id| &self.log.parts[id.index()].records);
        records.map(|(key, kept)| (key.as_slice(), kept.value.as_slice()))
    }

    pub(super) fn lanes(&self) -> Vec<LaneMoved> {
        let mut lanes = Vec::new();
        for (device, stream_name, binding) in self.bindings.iter() {
            let Some(id) = self.catalog.partition(&binding.topic_id, binding.partition) else {
                continue;
            };
            for (lane, bound) in &binding.lanes {
                let generation = bound.generation;
                let id_of_lane = uplink::producer_id(device, stream_name, lane, generation);
                let part = &self.log.parts[id.index()];
                lanes.push(LaneMoved {
                    name: LaneName {
                        device: device.to_owned(),
                        stream: stream_name.to_owned(),
                        lane: lane.clone(),
                        generation,
                    },
                    partition: binding.partition,
                    next: part.lanes.position(id_of_lane).0,
                    arrival: part.lanes.arrival(id_of_lane),
                });
            }
        }
        lanes
    }

    pub(super) fn statuses(&self) -> Vec<StatusKept> {
        let devices = self
            .catalog
            .by_name(catalog::DEVICES)
            .expect("always there");
        let parts = devices
            .partitions
            .iter()
            .map(|id| &self.log.parts[id.index()]);
        let status = |(key, kept): (&Vec<u8>, &Kept)| StatusKept {
            device: String::from_utf8_lossy(key).into_owned(),
            json: Bytes::copy_from_slice(&kept.value),
            arrival: Millis(kept.timestamp),
        };
        parts
            .flat_map(|part| part.records.iter().map(status))
            .collect()
    }
}
