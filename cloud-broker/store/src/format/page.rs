//! Manifest page (`HWP1`): segments that a manifest no longer lists itself, so that it stays small
//! however many there are. Nobody changes a page: the manifest names another one instead.

use std::hash::{DefaultHasher, Hash, Hasher};

use prost::Message;

use super::FormatError;
use super::coding::Kind;
use super::envelope::Envelope;
use super::kept::{Kept, Known};
use super::manifest::Segment;

/// First bytes of every page.
pub const MAGIC: [u8; 4] = *b"HWP1";
/// Largest page before compression, bytes.
pub const RAW_BYTES_MAX: usize = 16 << 20;

/// A page as it is stored, with the fields of later versions.
pub type Page = Kept<Fields>;

/// The fields that this version knows.
#[derive(Clone, PartialEq, Message)]
pub struct Fields {
    /// Number of the shard.
    #[prost(uint32, tag = "1")]
    pub shard: u32,
    /// Segments, in order.
    #[prost(message, repeated, tag = "2")]
    pub segments: Vec<Kept<Segment>>,
}

impl Known for Fields {
    const TAGS: &'static [u32] = &[1, 2];
}

const ENVELOPE: Envelope = Envelope {
    magic: MAGIC,
    kind: Kind::Page,
    what: "manifest page",
    raw_bytes_max: RAW_BYTES_MAX,
};

/// The bytes of the object. Fails only above [`RAW_BYTES_MAX`].
pub fn encode(page: &Page) -> Result<Vec<u8>, FormatError> {
    ENVELOPE.seal(&page.encode_to_vec())
}

/// What these segments take of a page, or of a manifest, before compression, bytes.
pub fn bytes_of(segments: &[Kept<Segment>]) -> usize {
    segments.iter().map(Message::encoded_len).sum()
}

/// A hash of all that is said of a segment, for this process alone.
pub fn hash_of(segment: &Kept<Segment>) -> u64 {
    let mut hasher = DefaultHasher::new();
    segment.encode_to_vec().hash(&mut hasher);
    hasher.finish()
}

/// Reads and checks what [`encode`] writes: ids have 16 bytes.
pub fn decode(bytes: &[u8]) -> Result<Page, FormatError> {
    let wrong = || FormatError::Value {
        what: "manifest page",
    };
    let raw = ENVELOPE.open(bytes)?;
    let page = Page::decode(&raw[..]).map_err(|_| wrong())?;
    let mut runs = page.segments.iter().flat_map(|segment| &segment.runs);
    match runs.all(|run| run.topic.len() == 16) {
        true => Ok(page),
        false => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifest::Run;
    use super::*;

    fn sample() -> Page {
        let run = Run {
            topic: vec![7; 16],
            to: 9,
            ..Run::default()
        };
        let segment = Segment {
            name: "g".to_owned(),
            runs: vec![run.into()],
            ..Segment::default()
        };
        Fields {
            shard: 3,
            segments: vec![segment.into()],
        }
        .into()
    }

    #[test]
    fn it_is_read_back_and_every_bit_counts() {
        let bytes = encode(&sample()).unwrap();
        assert_eq!(decode(&bytes).unwrap(), sample());
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&changed).is_err(), "bit {bit}");
        }
        let mut wrong = sample();
        wrong.segments[0].runs[0].topic.pop();
        assert!(decode(&encode(&wrong).unwrap()).is_err());
    }
}
