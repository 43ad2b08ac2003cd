//! Declared loss: what could not be kept is said, at its place in the lane.

use bytes::Bytes;
use headwater_wire::batch::{BatchBuilder, RecordError};
use headwater_wire::names::LOST;
use headwater_wire::uplink::{LossKey, LossReason, LossReport, LostRange, Position, producer_id};

use crate::lane::{LaneName, SealedBatch};

/// What is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// The lost positions, not empty.
    pub range: LostRange,
    /// Why.
    pub reason: LossReason,
    /// Time of the first event, ms, if known.
    pub first_ms: Option<i64>,
    /// Time of the last event, ms, if known.
    pub last_ms: Option<i64>,
    /// CRC of the batch that ended where the range does, if it was sealed.
    pub crc: Option<u32>,
}

impl Loss {
    /// Events that are gone: positions left out at the end of an epoch held none.
    pub fn events(&self) -> u64 {
        match self.reason {
            LossReason::Wrap => 0,
            _ => self.range.to.since(self.range.from),
        }
    }

    /// Whether its events count as lost. What an old stream of that name had acknowledged does
    /// not: it was delivered.
    pub fn counts(&self) -> bool {
        self.reason != LossReason::Recreated
    }

    /// The batch that declares it: one record at the last lost position, uncompressed. Made once
    /// and stored before it is sent, since a resend must be the same to the byte; `now_ms` is the
    /// record's timestamp.
    pub fn batch(
        &self,
        device: &str,
        lane: &LaneName,
        generation: u32,
        now_ms: i64,
    ) -> Result<SealedBatch, RecordError> {
        let LostRange { from, to } = self.range;
        let report = LossReport {
            range: self.range,
            reason: self.reason,
            events: self.events(),
            first_ms: self.first_ms,
            last_ms: self.last_ms,
            crc: self.crc,
        };
        let key = LossKey {
            device,
            stream: &lane.stream,
        }
        .to_string();
        let (value, lost) = (report.to_string(), self.range.to_string());
        let mut builder = BatchBuilder::new();
        let header = (LOST, Some(lost.as_bytes()));
        builder.push(
            now_ms,
            Some(key.as_bytes()),
            Some(value.as_bytes()),
            [header],
        )?;
        let id = producer_id(device, &lane.stream, &lane.lane, generation);
        let last = Position(to.0.saturating_sub(1));
        let producer = last.producer(id).ok_or(RecordError::TooLong)?;
        let mut bytes = Vec::new();
        builder.finish_into(producer, &mut bytes);
        Ok(SealedBatch {
            first: from,
            next: to,
            bytes: bytes.into(),
        })
    }
}

/// The range that `bytes`, a batch of ours, declares lost; `None` for a batch of events.
pub fn declared(bytes: &Bytes) -> Option<LostRange> {
    let header = headwater_wire::batch::Header::parse_exact(bytes).ok()?;
    headwater_wire::uplink::loss_range(&header, headwater_wire::batch::payload(&header, bytes))
}

#[cfg(test)]
mod tests {
    use headwater_wire::batch::{Header, check_crc, check_produced};
    use headwater_wire::uplink::BatchRange;

    use super::*;

    fn loss(reason: LossReason) -> Loss {
        let range = LostRange {
            from: Position(100),
            to: Position(250),
        };
        Loss {
            range,
            reason,
            first_ms: Some(5),
            last_ms: None,
            crc: Some(0xab),
        }
    }

    #[test]
    fn is_one_record_at_the_last_position() {
        let lane = LaneName::main("events");
        let batch = loss(LossReason::Refused)
            .batch("gw-1", &lane, 0, 77)
            .unwrap();
        let header = Header::parse_exact(&batch.bytes).unwrap();
        check_crc(&batch.bytes, &header).unwrap();
        check_produced(&header).unwrap();
        let range = BatchRange::of(&header).unwrap();
        assert_eq!((range.first, range.next), (Position(249), batch.next));
        assert_eq!(batch.first, Position(100));
        assert_eq!(
            declared(&batch.bytes),
            Some(loss(LossReason::Refused).range)
        );
        let again = loss(LossReason::Refused)
            .batch("gw-1", &lane, 0, 77)
            .unwrap();
        assert_eq!(again, batch, "the same to the byte");
    }

    #[test]
    fn counts_what_is_gone_for_good() {
        assert_eq!(loss(LossReason::Restored).events(), 150);
        assert!(loss(LossReason::Restored).counts());
        assert!(!loss(LossReason::Recreated).counts());
        assert_eq!(loss(LossReason::Wrap).events(), 0);
    }
}
