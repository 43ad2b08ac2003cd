//! A writer of chunks from a seed, and what it was told about each.

use std::sync::Arc;

use headwater_broker_core::Entry;
use headwater_store::format::chunk::{self, Header, Link, Reason, Tombstone};
use headwater_store::local::{self, LocalOptions};
use headwater_store::{
    Damage, Incarnation, Nonce, Outcome, ScanEnd, Scanned, Slot, Store, StoreError,
};

/// Small files, so that a few chunks fill several.
pub(crate) fn options() -> LocalOptions {
    LocalOptions {
        first_file_bytes: 32 << 10,
        file_bytes: 64 << 10,
        spares_max: 2,
        prepare: false,
    }
}

/// Opens the store of one life on a fake disk.
pub(crate) fn open(disk: &headwater_store::faulty::FakeDisk) -> Result<Store, StoreError> {
    local::open_on(disk.shared(), options())
}

/// xorshift.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    pub(crate) fn bytes(&mut self, count: u64) -> Vec<u8> {
        (0..count)
            .map(|_| u8::try_from(self.below(256)).unwrap())
            .collect()
    }

    fn nonce(&mut self) -> Nonce {
        Nonce(self.bytes(16).try_into().unwrap())
    }
}

/// A frame, whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) bytes: Vec<u8>,
}

/// Writes the journal of one incarnation.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) inc: Incarnation,
    pub(crate) random: Random,
    /// Frames that were acknowledged, by slot.
    pub(crate) acknowledged: Vec<Frame>,
    /// The frame whose put failed last, until the next one is acknowledged.
    pub(crate) failed: Option<Frame>,
}

impl Writer {
    pub(crate) fn new(inc: u8, seed: u64) -> Self {
        Self {
            inc: Incarnation([inc; 16]),
            random: Random::new(seed),
            acknowledged: Vec::new(),
            failed: None,
        }
    }

    pub(crate) fn slot(&self, seq: u64) -> Slot {
        Slot { inc: self.inc, seq }
    }

    pub(crate) fn next(&self) -> u64 {
        self.acknowledged.len() as u64
    }

    pub(crate) fn link(&mut self) -> Link {
        let before = self.acknowledged.last();
        let prev_nonce = before.map_or_else(Nonce::default, |frame| frame.header.link.nonce);
        let nonce = self.random.nonce();
        Link {
            inc: self.inc,
            seq: self.next(),
            nonce,
            prev_nonce,
            low_water: 0,
        }
    }

    /// The next chunk, with a payload of `bytes`.
    pub(crate) fn chunk(&mut self, bytes: u64) -> Frame {
        let link = self.link();
        let payload = self.random.bytes(bytes);
        let mut out = Vec::new();
        let header =
            chunk::encode_into(&link, &[entry(link.seq, bytes)], &[&payload], &mut out).unwrap();
        out.extend_from_slice(&payload);
        Frame { header, bytes: out }
    }

    /// Puts the next chunk, of a size that the seed chooses.
    pub(crate) fn put(&mut self, store: &Store) -> Result<(), StoreError> {
        let bytes = self.random.below(15_000);
        let frame = self.chunk(bytes);
        self.put_frame(store, frame)
    }

    pub(crate) fn put_frame(&mut self, store: &Store, frame: Frame) -> Result<(), StoreError> {
        let half = frame.bytes.len() / 2;
        let pieces = [&frame.bytes[..half], &frame.bytes[half..]];
        match store.slots.put_absent(self.slot(self.next()), &pieces) {
            Ok(Outcome::Mine) => {
                self.acknowledged.push(frame);
                self.failed = None;
                Ok(())
            }
            Ok(other) => panic!("a free slot answered {other:?}"),
            Err(error) => {
                self.failed = Some(frame);
                Err(error)
            }
        }
    }

    pub(crate) fn tombstone(&mut self) -> Frame {
        let link = self.link();
        let tombstone = Tombstone {
            sealer: self.inc,
            reason: Reason::Restart,
            note: "a test".into(),
        };
        let bytes = chunk::encode_tombstone(&link, &tombstone);
        Frame {
            header: Header::decode(&bytes).unwrap(),
            bytes,
        }
    }

    pub(crate) fn seal(&mut self, store: &Store) -> Result<(), StoreError> {
        let frame = self.tombstone();
        self.put_frame(store, frame)
    }

    /// What a journal holds must be what was acknowledged from slot `from` on, byte for byte,
    /// in order, without damage; beyond that at most the one frame whose put failed.
    pub(crate) fn verify(&mut self, store: &Store, from: u64) {
        let journal = Journal::read(store, self.inc, from);
        assert_eq!(journal.damage, Vec::<Damage>::new());
        let extra = usize::try_from(journal.end.next - self.next()).unwrap();
        assert!(extra <= 1, "{extra} frames that nobody put");
        if extra == 1 {
            let failed = self.failed.take().expect("only what was put is found");
            self.acknowledged.push(failed);
        }
        let expected: Vec<&Frame> = self
            .acknowledged
            .iter()
            .skip(usize::try_from(from).unwrap())
            .collect();
        let headers: Vec<Header> = expected.iter().map(|frame| frame.header).collect();
        assert_eq!(journal.headers, headers);
        for frame in expected {
            let bytes = store
                .slots
                .get(self.slot(frame.header.link.seq), 0..u64::MAX)
                .unwrap();
            assert_eq!(bytes, frame.bytes);
        }
        let nonce = self
            .acknowledged
            .last()
            .map(|frame| frame.header.link.nonce);
        assert_eq!(journal.end.nonce, nonce.unwrap_or_default());
    }
}

/// All findings of a scan.
#[derive(Debug)]
pub(crate) struct Journal {
    pub(crate) headers: Vec<Header>,
    pub(crate) damage: Vec<Damage>,
    pub(crate) end: ScanEnd,
}

impl Journal {
    pub(crate) fn read(store: &Store, inc: Incarnation, from: u64) -> Self {
        Self::try_read(store, inc, from).unwrap()
    }

    pub(crate) fn try_read(store: &Store, inc: Incarnation, from: u64) -> Result<Self, StoreError> {
        let (mut headers, mut damage) = (Vec::new(), Vec::new());
        let end = Arc::clone(&store.slots).scan(inc, from, &mut |found| {
            match found {
                Scanned::Chunk { header, entries } => {
                    let expected = entry(header.link.seq, header.payload_len.into());
                    assert_eq!(entries, [expected]);
                    headers.push(header);
                }
                Scanned::Tombstone { header, tombstone } => {
                    assert_eq!(tombstone.reason, Reason::Restart);
                    headers.push(header);
                }
                Scanned::Damage(found) => damage.push(found),
            }
            Ok(())
        })?;
        Ok(Self {
            headers,
            damage,
            end,
        })
    }

    pub(crate) fn seqs(&self) -> Vec<u64> {
        self.headers.iter().map(|header| header.link.seq).collect()
    }

    /// `(from, to)` of each damage.
    pub(crate) fn lost(&self) -> Vec<(u64, Option<u64>)> {
        self.damage
            .iter()
            .map(|damage| (damage.from, damage.to))
            .collect()
    }
}

pub(crate) fn entry(seq: u64, payload: u64) -> Entry {
    Entry {
        shard: 1,
        epoch: 1,
        topic: [7; 16],
        partition: 2,
        base_offset: i64::try_from(seq).unwrap() * 10,
        count: 10,
        pos: 0,
        len: u32::try_from(payload).unwrap(),
        max_timestamp: 1_760_000_000_000,
        arrival_ms: 1_760_000_000_001,
        producer_id: -1,
        producer_epoch: -1,
        base_sequence: -1,
        attributes: 0,
        batch_crc: 1,
        topics: vec![1, 2, 3],
    }
}
