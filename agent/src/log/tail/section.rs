//! What is in a frame: sections, each of one lane, or of one source.

use bytes::Bytes;
use headwater_agent_core::lane::LaneName;
use headwater_wire::batch::{Header, check_crc};
use headwater_wire::uplink::{BatchRange, check_lane, check_stream, loss_range};

use super::record::LaneRecord;
use crate::device::is_device_name;

const NAMES_AT: usize = 8;
const STATE: u8 = 1;
const EVENTS: u8 = 2;
const SEALED: u8 = 3;
const LOSS: u8 = 4;
const CURSOR: u8 = 5;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::log) enum Section {
    /// The lane as it is now.
    State(LaneName, LaneRecord),
    /// Open records: a batch that carries their positions, and is never sent.
    Events(LaneName, Bytes),
    /// A small batch, sealed.
    Sealed(LaneName, Bytes),
    /// A declared loss, in place of whatever lay in its range.
    Loss(LaneName, Bytes),
    /// Where a source goes on, in place of what was said of it before.
    Cursor(String, Bytes),
}

impl Section {
    pub(in crate::log) fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::State(lane, record) => put(out, STATE, lane, &record.encode()),
            Self::Events(lane, batch) => put(out, EVENTS, lane, batch),
            Self::Sealed(lane, batch) => put(out, SEALED, lane, batch),
            Self::Loss(lane, batch) => put(out, LOSS, lane, batch),
            Self::Cursor(source, cursor) => put_named(out, CURSOR, [source, ""], cursor),
        }
    }

    /// The next section of `body`; `None` if what follows is none.
    pub(in crate::log) fn decode(body: &mut Bytes) -> Option<Self> {
        let head = body.first_chunk::<NAMES_AT>()?;
        let [kind, stream_bytes, lane_bytes, _, bytes @ ..] = *head;
        let lane_at = NAMES_AT + usize::from(stream_bytes);
        let content_at = lane_at + usize::from(lane_bytes);
        let content_bytes = usize::try_from(u32::from_le_bytes(bytes)).ok()?;
        let end = content_at.checked_add(content_bytes)?;
        let stream = std::str::from_utf8(body.get(NAMES_AT..lane_at)?).ok()?;
        let lane = std::str::from_utf8(body.get(lane_at..content_at)?).ok()?;
        if end > body.len() {
            return None;
        }
        if kind == CURSOR {
            let source = is_device_name(stream).then(|| stream.to_owned())?;
            return Some(Self::Cursor(
                source,
                body.split_to(end).split_off(content_at),
            ));
        }
        check_stream(stream).ok()?;
        check_lane(lane).ok()?;
        let lane = LaneName::new(stream, lane);
        let mut section = body.split_to(end);
        let content = section.split_off(content_at);
        match kind {
            STATE => Some(Self::State(lane, LaneRecord::decode(&content)?)),
            EVENTS => range(&content).map(|_| Self::Events(lane, content)),
            SEALED => range(&content).map(|_| Self::Sealed(lane, content)),
            LOSS => lost(&content).map(|_| Self::Loss(lane, content)),
            _ => None,
        }
    }
}

/// Positions of a batch of ours, if its CRC is right, and what the CRC leaves out is as we write it.
pub(in crate::log) fn range(batch: &[u8]) -> Option<BatchRange> {
    let header = Header::parse_exact(batch).ok()?;
    check_crc(batch, &header).ok()?;
    let is_ours = header.base_offset == 0 && header.leader_epoch == -1;
    BatchRange::of(&header).filter(|_| is_ours)
}

/// Positions that a loss batch of ours declares, if its CRC is right.
pub(in crate::log) fn lost(batch: &[u8]) -> Option<BatchRange> {
    range(batch)?;
    let header = Header::parse_exact(batch).ok()?;
    let lost = loss_range(&header, headwater_wire::batch::payload(&header, batch))?;
    Some(BatchRange {
        first: lost.from,
        next: lost.to,
    })
}

/// CRC that identifies a batch.
pub(in crate::log) fn crc_of(batch: &[u8]) -> u32 {
    Header::parse(batch).map_or(0, |header| header.crc)
}

fn put(out: &mut Vec<u8>, kind: u8, lane: &LaneName, content: &[u8]) {
    put_named(out, kind, [&lane.stream, &lane.lane], content);
}

fn put_named(out: &mut Vec<u8>, kind: u8, names: [&str; 2], content: &[u8]) {
    let [stream_bytes, lane_bytes] = names
        .map(|name| u8::try_from(name.len()).expect("checked names are shorter than 256 bytes"));
    out.extend_from_slice(&[kind, stream_bytes, lane_bytes, 0]);
    let bytes = u32::try_from(content.len()).expect("a section is smaller than its file");
    out.extend_from_slice(&bytes.to_le_bytes());
    for name in names {
        out.extend_from_slice(name.as_bytes());
    }
    out.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn state_round_trips(record in crate::log::tail::record::tests::record()) {
            let section = Section::State(LaneName::new("events", "live-2"), record);
            let mut bytes = Vec::new();
            section.encode_into(&mut bytes);
            section.encode_into(&mut bytes);
            let mut body = Bytes::from(bytes);
            prop_assert_eq!(Section::decode(&mut body), Some(section.clone()));
            prop_assert_eq!(Section::decode(&mut body), Some(section));
            prop_assert!(body.is_empty());
        }

        #[test]
        fn cursors_round_trip(source in "[A-Za-z0-9._:-]{1,128}", cursor: Vec<u8>) {
            let section = Section::Cursor(source, cursor.into());
            let mut bytes = Vec::new();
            section.encode_into(&mut bytes);
            let mut body = Bytes::from(bytes);
            prop_assert_eq!(Section::decode(&mut body), Some(section));
            prop_assert!(body.is_empty());
        }

        #[test]
        fn anything_is_read_without_a_panic(bytes: Vec<u8>) {
            let mut body = Bytes::from(bytes);
            while Section::decode(&mut body).is_some() {}
        }
    }
}
