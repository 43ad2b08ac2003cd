//! A protobuf message that keeps the fields it does not know, so that an older broker that
//! rewrites a newer one's manifest loses nothing of it. (prost alone drops them.)

use std::ops::{Deref, DerefMut};

use bytes::{Buf, BufMut};
use prost::encoding::{DecodeContext, WireType, encode_key, encode_varint, skip_field};
use prost::{DecodeError, Message};

/// The field numbers of a message.
pub trait Known: Message + Default {
    /// Every number that this version reads.
    const TAGS: &'static [u32];
}

/// `M`, and behind it what else was there, as it was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept<M> {
    /// The fields that this version knows.
    pub known: M,
    /// Encoded fields with other numbers, in their order; written after the known ones.
    unknown: Vec<u8>,
}

impl<M> Kept<M> {
    /// `known` with nothing behind it.
    pub fn new(known: M) -> Self {
        Self {
            known,
            unknown: Vec::new(),
        }
    }

    /// Bytes of the fields that this version does not know.
    pub fn unknown_bytes(&self) -> usize {
        self.unknown.len()
    }
}

impl<M> Deref for Kept<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.known
    }
}

impl<M> DerefMut for Kept<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.known
    }
}

impl<M> From<M> for Kept<M> {
    fn from(known: M) -> Self {
        Self::new(known)
    }
}

impl<M: Known> Message for Kept<M> {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        self.known.encode_raw(buf);
        buf.put_slice(&self.unknown);
    }

    fn merge_field(
        &mut self,
        tag: u32,
        wire_type: WireType,
        buf: &mut impl Buf,
        ctx: DecodeContext,
    ) -> Result<(), DecodeError> {
        if M::TAGS.contains(&tag) {
            return self.known.merge_field(tag, wire_type, buf, ctx);
        }
        keep_field(&mut self.unknown, tag, wire_type, buf, ctx)
    }

    fn encoded_len(&self) -> usize {
        self.known.encoded_len() + self.unknown.len()
    }

    fn clear(&mut self) {
        self.known.clear();
        self.unknown.clear();
    }
}

/// Copies one field, number and wire type included.
fn keep_field(
    out: &mut Vec<u8>,
    tag: u32,
    wire_type: WireType,
    buf: &mut impl Buf,
    ctx: DecodeContext,
) -> Result<(), DecodeError> {
    let bytes = match wire_type {
        WireType::Varint => {
            let value = prost::encoding::decode_varint(buf)?;
            encode_key(tag, wire_type, out);
            encode_varint(value, out);
            return Ok(());
        }
        WireType::LengthDelimited => {
            let mut value = Vec::new();
            prost::encoding::bytes::merge(wire_type, &mut value, buf, ctx)?;
            encode_key(tag, wire_type, out);
            encode_varint(value.len() as u64, out);
            out.extend_from_slice(&value);
            return Ok(());
        }
        // Groups are long out of use: skipping reads one to its end, and it is not kept.
        WireType::StartGroup | WireType::EndGroup => return skip_field(wire_type, tag, buf, ctx),
        WireType::ThirtyTwoBit => 4,
        WireType::SixtyFourBit => 8,
    };
    let mut value = vec![0; bytes];
    if buf.try_copy_to_slice(&mut value).is_err() {
        // Lets prost make its own error for a value that is cut off.
        return skip_field(wire_type, tag, buf, ctx);
    }
    encode_key(tag, wire_type, out);
    out.extend_from_slice(&value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, PartialEq, Message)]
    struct Old {
        #[prost(uint64, tag = "1")]
        rev: u64,
    }

    impl Known for Old {
        const TAGS: &'static [u32] = &[1];
    }

    #[derive(Clone, PartialEq, Message)]
    struct New {
        #[prost(uint64, tag = "1")]
        rev: u64,
        #[prost(string, tag = "2")]
        name: String,
        #[prost(fixed32, tag = "3")]
        crc: u32,
        #[prost(fixed64, tag = "4")]
        id: u64,
        #[prost(sint64, repeated, tag = "5")]
        offsets: Vec<i64>,
        #[prost(message, repeated, tag = "6")]
        inner: Vec<Old>,
        #[prost(uint32, tag = "7")]
        small: u32,
    }

    #[test]
    fn an_old_reader_keeps_what_a_new_writer_wrote() {
        let new = New {
            rev: 1,
            name: "x".into(),
            crc: 7,
            id: u64::MAX,
            offsets: vec![-1, 300],
            inner: vec![Old { rev: 9 }],
            small: 300,
        };
        let mut old = Kept::<Old>::decode(&new.encode_to_vec()[..]).unwrap();
        old.known.rev = 2;
        let bytes = old.encode_to_vec();
        assert_eq!(bytes.len(), old.encoded_len());
        assert_eq!(New::decode(&bytes[..]).unwrap(), New { rev: 2, ..new });
    }

    #[test]
    fn a_field_that_is_cut_off_is_an_error() {
        let bytes = New {
            id: 1,
            name: "abc".into(),
            ..New::default()
        }
        .encode_to_vec();
        for end in 1..bytes.len() {
            let cut = Kept::<Old>::decode(&bytes[..end]);
            let whole_field = end == 2 + 3;
            assert_eq!(cut.is_ok(), whole_field, "{end}");
        }
    }
}
