//! What agents publish to `$hw/1/...` (`interfaces.md` 1), and what they are answered.

use bytes::Bytes;
use headwater_broker_core::bloom::Topics;
use headwater_broker_core::catalog::{Stream, Validation};
use headwater_broker_core::submit::{LaneBatch, Repair, RepairReason, Resume};
use headwater_broker_core::{LaneName, LaneOutcome, Refusal, uuid};
use headwater_mqtt::{Bad, PropertyBuf, Publish, Qos, Reason, TooLong, Version};
use headwater_wire::batch::{BatchError, Header, Record, payload};
use headwater_wire::names;
use headwater_wire::uplink::{
    BatchRange, LaneTopic, LossKey, LossReason, Topic, loss_range, producer_id, property,
};
use serde::Deserialize;

use super::intake::Intake;
use super::waiting::LaneNote;
use crate::validate::Validator;

/// What is kept of `resume`.
#[derive(Debug, Deserialize)]
struct ResumeJson {
    oldest: u64,
    next: u64,
    predecessor: Option<u32>,
}

/// What is kept of `repair`.
#[derive(Debug, Deserialize)]
struct RepairJson<'a> {
    reason: &'a str,
}

/// What is counted of a loss record.
#[derive(Debug, Deserialize)]
struct LossJson<'a> {
    reason: &'a str,
    events: u64,
}

/// Takes in what was published to a reserved topic.
pub(super) fn handle(intake: &mut Intake<'_>, publish: &Publish<'_>) -> Result<(), Bad> {
    let (device, connected_version) = {
        let state = intake.connection.state.borrow();
        let agent = state
            .session
            .as_ref()
            .and_then(|session| session.agent.clone());
        (agent, state.version())
    };
    let packet_id = match publish.packet_id {
        Some(id) if connected_version == Version::V5 && publish.qos == Qos::AtLeastOnce => id,
        _ => {
            let why = "Reserved topic without QoS 1 of version 5";
            return Err(Bad {
                reason: Reason::NOT_AUTHORIZED,
                why,
            });
        }
    };
    // Bytes of before are submitted first; nothing is validated while the inbox is locked.
    intake.seal();
    let Some(device) = device.filter(|_| !publish.retain) else {
        refuse(intake, packet_id, Refusal::NotYours);
        return Ok(());
    };
    if let Err(refusal) = take(intake, packet_id, &device, publish) {
        refuse(intake, packet_id, refusal);
    }
    Ok(())
}

fn refuse(intake: &mut Intake<'_>, packet_id: u16, refusal: Refusal) {
    let (reason, properties) = puback(&LaneOutcome::Refused(refusal));
    intake.acknowledge(packet_id, reason, &properties);
}

fn take(
    intake: &mut Intake<'_>,
    packet_id: u16,
    device: &str,
    publish: &Publish<'_>,
) -> Result<(), Refusal> {
    let payload = publish.payload;
    let token = intake.core.token();
    let note = LaneNote {
        token,
        packet_id,
        records: 0,
        lost: None,
    };
    match Topic::parse(publish.topic).map_err(|_| Refusal::NotYours)? {
        Topic::Status => {
            let _: StatusJson = json(payload)?;
            let (device, json) = (device.to_owned(), Bytes::copy_from_slice(payload));
            intake.request(note, payload.len(), |inbox, token| {
                inbox.status(token, device, json)
            });
        }
        Topic::Resume(topic) => take_resume(intake, note, device, topic, payload)?,
        Topic::Repair(topic) => take_repair(intake, note, device, topic, payload)?,
        Topic::Batch(topic) => take_batch(intake, note, device, topic, payload)?,
    }
    Ok(())
}

fn take_resume(
    intake: &mut Intake<'_>,
    note: LaneNote,
    device: &str,
    topic: LaneTopic<'_>,
    payload: &[u8],
) -> Result<(), Refusal> {
    stream(intake, topic)?;
    let json: ResumeJson = json(payload)?;
    let resume = Resume {
        name: name(device, topic),
        connection: intake.connection.holder.number,
        oldest: json.oldest,
        next: json.next,
        predecessor: json.predecessor,
    };
    intake.request(note, payload.len(), |inbox, token| {
        inbox.resume(token, resume)
    });
    Ok(())
}

fn take_repair(
    intake: &mut Intake<'_>,
    note: LaneNote,
    device: &str,
    topic: LaneTopic<'_>,
    payload: &[u8],
) -> Result<(), Refusal> {
    stream(intake, topic)?;
    let json: RepairJson<'_> = json(payload)?;
    let reason = RepairReason::parse(json.reason).ok_or(Refusal::Corrupt)?;
    let connection = intake.connection.holder.number;
    let repair = Repair {
        name: name(device, topic),
        connection,
        reason,
    };
    intake.request(note, payload.len(), |inbox, token| {
        inbox.repair(token, repair)
    });
    Ok(())
}

fn take_batch(
    intake: &mut Intake<'_>,
    note: LaneNote,
    device: &str,
    topic: LaneTopic<'_>,
    payload: &[u8],
) -> Result<(), Refusal> {
    let stream = stream(intake, topic)?;
    let checked = intake
        .core
        .checker
        .borrow_mut()
        .check(&stream, device, topic, payload)?;
    let batch = LaneBatch {
        name: name(device, topic),
        connection: intake.connection.holder.number,
        bytes: Bytes::copy_from_slice(payload),
        header: checked.header,
        topics: checked.topics,
    };
    let records = u64::try_from(checked.header.record_count).unwrap_or(0);
    let note = LaneNote {
        records,
        lost: checked.lost,
        ..note
    };
    // An agent that is behind sends several at once.
    let is_live = !intake.connection.bulk.get() && !intake.is_waiting();
    intake.request(note, payload.len(), |inbox, token| {
        inbox.lane_batch(token, batch);
        if is_live {
            inbox.mark_live();
        }
    });
    Ok(())
}

fn json<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Refusal> {
    serde_json::from_slice(payload).map_err(|_| Refusal::Corrupt)
}

/// Whether a payload is understood under one of the topics that take JSON, for the fuzz targets.
pub fn is_uplink_payload(payload: &[u8]) -> bool {
    let is_repair = |json: RepairJson<'_>| RepairReason::parse(json.reason).is_some();
    json::<ResumeJson>(payload).is_ok()
        || json(payload).is_ok_and(is_repair)
        || json::<StatusJson>(payload).is_ok()
}

/// Any JSON object; the agent's version decides what is in it.
type StatusJson = std::collections::BTreeMap<String, serde::de::IgnoredAny>;

fn name(device: &str, topic: LaneTopic<'_>) -> LaneName {
    LaneName {
        device: device.to_owned(),
        stream: topic.stream.to_owned(),
        lane: topic.lane.to_owned(),
        generation: topic.generation,
    }
}

fn stream(intake: &Intake<'_>, topic: LaneTopic<'_>) -> Result<std::sync::Arc<Stream>, Refusal> {
    let catalog = intake.core.catalog();
    let stream = catalog
        .by_name(topic.stream)
        .filter(|stream| !stream.internal);
    let stream = stream.ok_or(Refusal::NoStream)?;
    if !stream.takes_whole_batches() {
        return Err(Refusal::PartitionedByTopic);
    }
    Ok(std::sync::Arc::clone(stream))
}

/// Looks into agents' batches before the journal sees them; memory is used again.
#[derive(Debug, Default)]
pub(super) struct Checker {
    validator: Validator,
    topics: Topics,
}

/// A batch that may be submitted.
#[derive(Debug)]
pub(super) struct Checked {
    header: Header,
    topics: Vec<u8>,
    lost: Option<(Option<LossReason>, u64)>,
}

impl Checker {
    /// Checks what can be checked without the lane's state.
    fn check(
        &mut self,
        stream: &Stream,
        device: &str,
        topic: LaneTopic<'_>,
        bytes: &[u8],
    ) -> Result<Checked, Refusal> {
        let header = Header::parse_exact(bytes).map_err(|_| Refusal::Corrupt)?;
        let id = producer_id(device, topic.stream, topic.lane, topic.generation);
        let yours = header.producer_id == id;
        if header.leader_epoch != -1 || BatchRange::of(&header).is_none() {
            return Err(Refusal::Corrupt);
        }
        let loss = loss_range(&header, payload(&header, bytes)).is_some();
        // A loss is always looked into, and so is what might be taken for one.
        let single = header.record_count == 1;
        let level = if single {
            Validation::Full
        } else {
            stream.spec.validation
        };
        let loss_key = LossKey {
            device,
            stream: topic.stream,
        }
        .to_string();
        let mut lost = None;
        let topics = &mut self.topics;
        topics.clear();
        let each = |record: Record<'_>| {
            let key = record.key.unwrap_or_default();
            if loss && key == loss_key.as_bytes() {
                lost = Some(lost_events(record.value.unwrap_or_default()));
            } else if names::is_reserved_key(key) {
                return Err(Fault(Refusal::ForbiddenKey));
            }
            topics.add(key);
            Ok(())
        };
        let checked = self
            .validator
            .check(bytes, level, each)
            .map_err(|fault| fault.0);
        // Only a whole batch shows whose it is; damage comes first.
        match checked {
            Err(Refusal::Corrupt) => Err(Refusal::Corrupt),
            _ if !yours => Err(Refusal::NotYours),
            Err(refusal) => Err(refusal),
            Ok(_) => Ok(Checked {
                header,
                topics: self.topics.take(),
                lost,
            }),
        }
    }
}

/// What a loss record says, for the counter alone.
fn lost_events(value: &[u8]) -> (Option<LossReason>, u64) {
    match serde_json::from_slice::<LossJson<'_>>(value) {
        Ok(json) => (json.reason.parse().ok(), json.events),
        Err(_) => (None, 0),
    }
}

/// The first fault of a batch, as the agent is told.
struct Fault(Refusal);

impl From<BatchError> for Fault {
    fn from(_: BatchError) -> Self {
        Self(Refusal::Corrupt)
    }
}

/// The PUBACK for an outcome.
pub(super) fn puback(outcome: &LaneOutcome) -> (Reason, PropertyBuf) {
    let mut properties = PropertyBuf::new();
    let written = write_properties(outcome, &mut properties);
    debug_assert!(written.is_ok(), "numbers and words are short");
    let reason = match outcome {
        LaneOutcome::Refused(refusal) => Reason(refusal.reason_code()),
        _ => Reason::SUCCESS,
    };
    (reason, properties)
}

fn write_properties(outcome: &LaneOutcome, out: &mut PropertyBuf) -> Result<(), TooLong> {
    match outcome {
        LaneOutcome::Appended { next } => out.push_user(property::NEXT, &next.to_string()),
        LaneOutcome::Duplicate { next } => {
            out.push_user(property::NEXT, &next.to_string())?;
            out.push_user(property::DUPLICATE, "1")
        }
        LaneOutcome::Resumed {
            next,
            crc,
            topic_id,
            generation,
        } => {
            out.push_user(property::NEXT, &next.to_string())?;
            out.push_user(property::TOPIC_ID, &uuid::format(topic_id))?;
            if let Some(crc) = crc {
                out.push_user(property::CRC, &format!("{crc:08x}"))?;
            }
            match generation {
                Some(newer) => out.push_user(property::GENERATION, &newer.to_string()),
                None => Ok(()),
            }
        }
        LaneOutcome::Repaired { generation } => {
            out.push_user(property::GENERATION, &generation.to_string())
        }
        LaneOutcome::Kept => Ok(()),
        LaneOutcome::Refused(refusal) => write_refusal(refusal, out),
    }
}

fn write_refusal(refusal: &Refusal, out: &mut PropertyBuf) -> Result<(), TooLong> {
    out.push_user(property::ERROR, refusal.error())?;
    match refusal {
        Refusal::OutOfOrder { next } | Refusal::Conflict { next } => {
            out.push_user(property::NEXT, &next.to_string())
        }
        Refusal::Busy { retry_ms } => out.push_user(property::RETRY_MS, &retry_ms.to_string()),
        _ => Ok(()),
    }
}
