//! Agents' requests: batches, handshakes, repairs, status (`kafka.md` 3.4).

use std::sync::Arc;

use bytes::Bytes;
use headwater_wire::batch::{self, BatchBuilder, Codec, Header, Producer};
use headwater_wire::names::LOSS_KEY_PREFIX;
use headwater_wire::uplink::{self, BatchRange, LossKey, RepairKey};

use crate::catalog::{DEVICES, LANES};
use crate::lanes::{Binding, Incoming, LaneDecision};
use crate::state::LaneEntry;
use crate::submit::{LaneBatch, Repair, RepairReason, Request, Resume};
use crate::{LaneName, LaneOutcome, PartitionId, Refusal, Stream};

use super::undo::Undo;
use super::{Journal, LaneMoved, STATUS_BYTES_MAX, StatusKept};

/// A lane as a request names it: its stream, its id and the partition that it has or would get.
struct Target {
    stream: Arc<Stream>,
    id: i64,
    partition: PartitionId,
    bound: bool,
}

impl Journal {
    /// Decides about one request; there is no answer to the end of a connection.
    pub(super) fn handle_request(&mut self, request: Request) -> Option<LaneOutcome> {
        let outcome = match request {
            Request::Batch(batch) => self.handle_batch(&batch),
            Request::Resume(resume) => self.handle_resume(&resume),
            Request::Repair(repair) => self.handle_repair(&repair),
            Request::Status { device, json } => self.handle_status(device, json),
            Request::Busy { retry_ms } => Err(Refusal::Busy { retry_ms }),
            Request::Closed { connection } => {
                self.holders.disconnect(connection);
                return None;
            }
        };
        Some(outcome.unwrap_or_else(LaneOutcome::Refused))
    }

    fn handle_batch(&mut self, batch: &LaneBatch) -> Result<LaneOutcome, Refusal> {
        let target = self.target(&batch.name)?;
        if batch.header.producer_id != target.id {
            return Err(Refusal::NotYours);
        }
        let incoming = incoming(batch)?;
        if !self.holders.holds(target.id, batch.connection) {
            return Err(Refusal::Stale);
        }
        let lanes = &self.log.parts[target.partition.index()].lanes;
        match lanes.decide(target.id, &incoming) {
            LaneDecision::Append { next } => {
                self.append_lane_batch(batch, &target, incoming)?;
                Ok(LaneOutcome::Appended { next })
            }
            LaneDecision::Duplicate { next } => Ok(LaneOutcome::Duplicate { next }),
            LaneDecision::Stale => Err(Refusal::Stale),
            LaneDecision::OutOfOrder { next } => Err(Refusal::OutOfOrder { next }),
            LaneDecision::Conflict { next } => {
                self.holders.close(target.id);
                Err(Refusal::Conflict { next })
            }
        }
    }

    fn append_lane_batch(
        &mut self,
        batch: &LaneBatch,
        target: &Target,
        incoming: Incoming,
    ) -> Result<(), Refusal> {
        self.bind(&batch.name, target, batch.name.generation)?;
        let id = target.partition;
        let write = |out: &mut Vec<u8>, _| out.extend_from_slice(&batch.bytes);
        let base_offset = self.log.place(id, batch.topics.clone(), write);
        let Incoming {
            first, last, crc, ..
        } = incoming;
        let part = &mut self.log.parts[id.index()];
        let entry = LaneEntry {
            first,
            last,
            base_offset,
            crc,
        };
        let before = part.lanes.advance(target.id, entry, part.arrival);
        self.log.chunk.undo.push(Undo::Lane {
            id,
            lane: target.id,
            before,
        });
        self.report(&batch.name, target);
        Ok(())
    }

    fn handle_resume(&mut self, resume: &Resume) -> Result<LaneOutcome, Refusal> {
        let target = self.target(&resume.name)?;
        self.check_lane_count(&resume.name, &target)?;
        // What a connection may hold covers all lanes of its device, each in two generations.
        let most = 2 * self.lanes_per_device;
        if !self
            .holders
            .open(target.id, resume.connection, target.stream.id, most)
        {
            return Err(Refusal::TooManyLanes);
        }
        let highest = self.highest_generation(&resume.name, &target);
        let generation = resume.name.generation;
        // One that was restored from a backup may not know this generation, but a later one.
        if let Some(predecessor) = resume.predecessor
            && !self.knows_generation(&resume.name, &target)
        {
            self.bind(&resume.name, &target, generation)?;
            let reason = RepairReason::Restored;
            self.write_repair_record(&resume.name, &target, predecessor, generation, reason);
        }
        let (next, crc) = self.log.parts[target.partition.index()]
            .lanes
            .position(target.id);
        Ok(LaneOutcome::Resumed {
            next,
            crc: crc.filter(|_| next > 0),
            topic_id: target.stream.id,
            generation: highest.filter(|highest| *highest > generation),
        })
    }

    fn handle_repair(&mut self, repair: &Repair) -> Result<LaneOutcome, Refusal> {
        let target = self.target(&repair.name)?;
        self.check_lane_count(&repair.name, &target)?;
        let from = repair.name.generation;
        let highest = self.highest_generation(&repair.name, &target);
        let to = highest
            .unwrap_or(from)
            .max(from)
            .checked_add(1)
            .ok_or(Refusal::TooManyLanes)?;
        self.bind(&repair.name, &target, to)?;
        self.write_repair_record(&repair.name, &target, from, to, repair.reason);
        let name = LaneName {
            generation: to,
            ..repair.name.clone()
        };
        self.report(&name, &target);
        Ok(LaneOutcome::Repaired { generation: to })
    }

    fn handle_status(&mut self, device: String, json: Bytes) -> Result<LaneOutcome, Refusal> {
        if json.len() > STATUS_BYTES_MAX {
            return Err(Refusal::Corrupt);
        }
        self.keep(DEVICES, device.as_bytes(), Some(json.to_vec()));
        let arrival = self.log.chunk.now;
        self.log.chunk.changes.statuses.push(StatusKept {
            device,
            json,
            arrival,
        });
        Ok(LaneOutcome::Kept)
    }

    fn target(&self, name: &LaneName) -> Result<Target, Refusal> {
        let stream = self
            .catalog
            .by_name(&name.stream)
            .filter(|stream| !stream.internal);
        let stream = Arc::clone(stream.ok_or(Refusal::NoStream)?);
        if !stream.takes_whole_batches() {
            return Err(Refusal::PartitionedByTopic);
        }
        let id = uplink::producer_id(&name.device, &name.stream, &name.lane, name.generation);
        let binding = self.bindings.find(&name.device, &name.stream, &stream.id);
        let bound = binding.is_some_and(|binding| binding.lanes.contains_key(&name.lane));
        let partition = binding
            .and_then(|binding| stream.partitions.get(binding.partition as usize).copied())
            .unwrap_or_else(|| stream.partition_for_client(&name.device));
        Ok(Target {
            stream,
            id,
            partition,
            bound,
        })
    }

    fn check_lane_count(&self, name: &LaneName, target: &Target) -> Result<(), Refusal> {
        let full = self.bindings.lanes_of(&name.device) >= self.lanes_per_device;
        if full && !target.bound {
            Err(Refusal::TooManyLanes)
        } else {
            Ok(())
        }
    }

    fn highest_generation(&self, name: &LaneName, target: &Target) -> Option<u32> {
        let binding = self
            .bindings
            .find(&name.device, &name.stream, &target.stream.id)?;
        binding.lanes.get(&name.lane).map(|lane| lane.generation)
    }

    fn knows_generation(&self, name: &LaneName, target: &Target) -> bool {
        let binding = self
            .bindings
            .find(&name.device, &name.stream, &target.stream.id);
        let lane = binding.and_then(|binding| binding.lanes.get(&name.lane));
        lane.is_some_and(|lane| lane.ids.contains(&target.id))
    }

    /// Makes sure that the lane's binding, with this generation, is durable no later than what
    /// follows in this chunk.
    fn bind(&mut self, name: &LaneName, target: &Target, generation: u32) -> Result<(), Refusal> {
        let LaneName {
            device,
            stream,
            lane,
            ..
        } = name;
        let number = self.log.parts[target.partition.index()].number;
        let id = uplink::producer_id(device, stream, lane, generation);
        let known = self.bindings.find(device, stream, &target.stream.id);
        if known
            .and_then(|known| known.lanes.get(lane))
            .is_some_and(|lane| lane.ids.contains(&id))
        {
            return Ok(());
        }
        self.check_lane_count(name, target)?;
        let mut binding = known
            .cloned()
            .unwrap_or_else(|| Binding::new(target.stream.id, number));
        binding
            .add(lane, generation, id)
            .ok_or(Refusal::TooManyLanes)?;
        self.keep(
            LANES,
            format!("{device}/{stream}").as_bytes(),
            Some(binding.encode()),
        );
        let before = self.bindings.put(device, stream, Some(binding));
        let (device, stream) = (device.clone(), stream.clone());
        self.log.chunk.undo.push(Undo::Binding {
            device,
            stream,
            before,
        });
        Ok(())
    }

    fn write_repair_record(
        &mut self,
        name: &LaneName,
        target: &Target,
        from: u32,
        to: u32,
        reason: RepairReason,
    ) {
        let LaneName {
            device,
            stream,
            lane,
            ..
        } = name;
        let key = RepairKey { device, stream }.to_string();
        let value = serde_json::json!({
            "lane": lane,
            "from_generation": from,
            "to_generation": to,
            "reason": reason.as_str(),
        })
        .to_string();
        let mut record = BatchBuilder::new();
        record
            .push(
                0,
                Some(key.as_bytes()),
                Some(value.as_bytes()),
                std::iter::empty(),
            )
            .expect("names and numbers are short");
        self.log
            .place(target.partition, Vec::new(), |out, arrival| {
                record.rebase(arrival.0);
                record.finish_into(Producer::NONE, out);
            });
    }

    /// Tells the shell where the lane has come to, if this is its newest generation.
    fn report(&mut self, name: &LaneName, target: &Target) {
        if self.highest_generation(name, target) != Some(name.generation) {
            return;
        }
        let LaneName {
            device,
            stream,
            lane,
            generation,
        } = name;
        let id = uplink::producer_id(device, stream, lane, *generation);
        let part = &self.log.parts[target.partition.index()];
        self.log.chunk.changes.lanes.push(LaneMoved {
            name: name.clone(),
            partition: part.number,
            next: part.lanes.position(id).0,
            arrival: part.lanes.arrival(id),
        });
    }
}

/// Positions that a batch covers. A declared loss is known by its one uncompressed record's key;
/// other keys below it are nobody's.
fn incoming(batch: &LaneBatch) -> Result<Incoming, Refusal> {
    let LaneBatch {
        header,
        bytes,
        name,
        ..
    } = batch;
    let range = BatchRange::of(header).ok_or(Refusal::Corrupt)?;
    let payload = batch::payload(header, bytes);
    let Some(key) = loss_key(header, payload) else {
        return Ok(Incoming::batch(range, header.crc));
    };
    let LaneName { device, stream, .. } = name;
    let own_key = LossKey { device, stream }.to_string();
    if key != own_key.as_bytes() {
        return Err(Refusal::ForbiddenKey);
    }
    let lost = uplink::loss_range(header, payload).ok_or(Refusal::Corrupt)?;
    Incoming::loss(range, lost, header.crc).ok_or(Refusal::Corrupt)
}

fn loss_key<'a>(header: &Header, payload: &'a [u8]) -> Option<&'a [u8]> {
    if header.record_count != 1 || header.codec() != Ok(Codec::None) {
        return None;
    }
    let key = batch::records(header, payload).next()?.ok()?.key?;
    key.starts_with(LOSS_KEY_PREFIX.as_bytes()).then_some(key)
}
