//! Batches that were decompressed, each once per core for all who read it.

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use headwater_broker_core::PartitionId;
use headwater_wire::batch::{Codec, HEADER_BYTES, Header, Record, records};

use crate::validate::Validator;

/// Batches that are kept for whoever reads them next.
const KEPT_BATCHES_MAX: usize = 16;
/// Larger ones are not kept, bytes uncompressed.
const KEPT_BYTES_MAX: usize = 1 << 20;

/// A batch's records, uncompressed.
#[derive(Debug)]
pub(super) struct Opened {
    partition: PartitionId,
    header: Header,
    /// All records, one behind the other.
    pub(super) bytes: Bytes,
}

/// Opens batches and keeps some of those that were opened last.
#[derive(Debug, Default)]
pub(super) struct Opener {
    validator: Validator,
    kept: VecDeque<Rc<Opened>>,
}

impl Opener {
    /// The records of a batch of the log; `None` if it cannot be read, which a stream with
    /// `validation = "header"` permits, or holds no data.
    pub(super) fn open(&mut self, partition: PartitionId, batch: &Bytes) -> Option<Rc<Opened>> {
        let header = Header::parse(batch).ok()?;
        if header.is_control() {
            return None;
        }
        let is_same = |kept: &&Rc<Opened>| kept.partition == partition && kept.header == header;
        if let Some(kept) = self.kept.iter().find(is_same) {
            return Some(Rc::clone(kept));
        }
        let bytes = match header.codec().ok()? {
            Codec::None => batch
                .get(HEADER_BYTES..)
                .map(|records| batch.slice_ref(records))?,
            _ => Bytes::copy_from_slice(self.validator.records(&header, batch).ok()?),
        };
        self.validator.give_back();
        let opened = Rc::new(Opened {
            partition,
            header,
            bytes,
        });
        self.keep(&opened);
        Some(opened)
    }

    fn keep(&mut self, opened: &Rc<Opened>) {
        if opened.bytes.len() > KEPT_BYTES_MAX {
            return;
        }
        if self.kept.len() >= KEPT_BATCHES_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(Rc::clone(opened));
    }
}

impl Opened {
    /// The records from this offset on, each with its offset. One that is malformed ends them.
    pub(super) fn records(&self, from: i64) -> impl Iterator<Item = (i64, Record<'_>)> {
        let base = self.header.base_offset;
        let all = records(&self.header, &self.bytes).map_while(Result::ok);
        all.map(move |record| (base.saturating_add(i64::from(record.offset_delta)), record))
            .filter(move |(offset, _)| *offset >= from)
    }
}

#[cfg(test)]
mod tests {
    use headwater_wire::batch::{BatchBuilder, Compressor, Producer, patch_base_offset};

    use super::*;

    fn batch(compressor: Option<&mut Compressor>, base_offset: i64) -> Bytes {
        let mut builder = BatchBuilder::new();
        for value in ["a".repeat(100), "b".repeat(100), "c".repeat(100)] {
            let none: [(&str, Option<&[u8]>); 0] = [];
            builder
                .push(0, Some(b"t"), Some(value.as_bytes()), none)
                .unwrap();
        }
        let mut batch = Vec::new();
        match compressor {
            Some(compressor) => builder.finish_zstd_into(Producer::NONE, compressor, &mut batch),
            None => builder.finish_into(Producer::NONE, &mut batch),
        }
        patch_base_offset(&mut batch, base_offset);
        Bytes::from(batch)
    }

    #[test]
    fn records_have_their_offsets_whatever_the_codec() {
        for compressor in [None, Some(&mut Compressor::new(1))] {
            let batch = batch(compressor, 40);
            let opened = Opener::default().open(PartitionId(0), &batch).unwrap();
            let got: Vec<_> = opened
                .records(41)
                .map(|(offset, r)| (offset, r.value.map(|value| value[0])))
                .collect();
            assert_eq!(got, [(41, Some(b'b')), (42, Some(b'c'))]);
        }
    }

    #[test]
    fn a_batch_is_opened_once() {
        let mut opener = Opener::default();
        let batch = batch(Some(&mut Compressor::new(1)), 7);
        let first = opener.open(PartitionId(1), &batch).unwrap();
        assert!(Rc::ptr_eq(
            &first,
            &opener.open(PartitionId(1), &batch).unwrap()
        ));
        assert!(!Rc::ptr_eq(
            &first,
            &opener.open(PartitionId(2), &batch).unwrap()
        ));
        for other in 0..KEPT_BATCHES_MAX {
            opener.open(
                PartitionId(3),
                &self::batch(None, i64::try_from(other).unwrap()),
            );
        }
        assert_eq!(opener.kept.len(), KEPT_BATCHES_MAX);
    }

    #[test]
    fn damage_is_no_batch() {
        let batch = batch(Some(&mut Compressor::new(1)), 7);
        let cut = batch.slice(..batch.len() - 1);
        assert!(Opener::default().open(PartitionId(0), &cut).is_none());
    }
}
