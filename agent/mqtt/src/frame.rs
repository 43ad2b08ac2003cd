//! The fixed header: where a packet begins and ends (MQTT 5 and 3.1.1, section 2).

use crate::{Bad, Reason};

/// The largest packet that the length encoding can express: a fixed header of 5 bytes and
/// 268,435,455 more.
pub const PACKET_BYTES_MAX: usize = 5 + 268_435_455;

/// The kind of a packet, the upper four bits of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[expect(
    missing_docs,
    reason = "the names are those of the specification's table 2-1"
)]
pub enum Kind {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

/// A complete packet at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// The lower four bits of the first byte.
    pub flags: u8,
    /// Bytes of the fixed header, 2 to 5.
    pub head: usize,
    /// Bytes of the packet, fixed header included.
    pub total: usize,
}

/// Finds the packet at the front of `bytes`; `None` while it is incomplete.
///
/// # Errors
/// As soon as the first bytes show it: an unknown kind, flags that this kind does not have, an
/// overlong length, or more than `total_bytes_max` bytes in all (reason 0x95). Nothing is ever
/// reserved for what is only announced.
pub fn frame(bytes: &[u8], total_bytes_max: usize) -> Result<Option<Frame>, Bad> {
    let Some((&first, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    let (kind, flags) = kind_and_flags(first)?;
    let Some((length, length_bytes)) = remaining_length(rest)? else {
        return Ok(None);
    };
    let head = 1 + length_bytes;
    let total = head + length;
    if total > total_bytes_max {
        return Err(Bad {
            reason: Reason::PACKET_TOO_LARGE,
            why: "Packet larger than the limit",
        });
    }
    Ok((bytes.len() >= total).then_some(Frame {
        kind,
        flags,
        head,
        total,
    }))
}

/// Kind and flags of a first byte; all kinds but PUBLISH have fixed flags (MQTT-2.1.3-1).
fn kind_and_flags(first: u8) -> Result<(Kind, u8), Bad> {
    let kind = Kind::from_number(first >> 4).ok_or(Bad::malformed("Packet kind 0 is reserved"))?;
    let flags = first & 0x0f;
    if kind != Kind::Publish && flags != kind.fixed_flags() {
        return Err(Bad::malformed(
            "Reserved flags of the fixed header [MQTT-2.1.3-1]",
        ));
    }
    Ok((kind, flags))
}

/// The remaining length and how many bytes it took; `None` while incomplete.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Bad> {
    let mut length = 0_usize;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            if byte == 0 && index > 0 {
                return Err(Bad::malformed(
                    "Overlong variable byte integer [MQTT-1.5.5-1]",
                ));
            }
            return Ok(Some((length, index + 1)));
        }
    }
    if bytes.len() < 4 {
        return Ok(None);
    }
    Err(Bad::malformed(
        "Variable byte integer of more than 4 bytes [MQTT-1.5.5]",
    ))
}

impl Kind {
    /// The kind with this number; none has 0.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// The flags that every packet of this kind has; PUBLISH has its own.
    pub(crate) const fn fixed_flags(self) -> u8 {
        match self {
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => 0x02,
            _ => 0x00,
        }
    }

    /// The first byte of a packet of this kind that is not a PUBLISH.
    pub(crate) const fn first_byte(self) -> u8 {
        ((self as u8) << 4) | self.fixed_flags()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_encoding_has_its_boundaries() {
        let cases: [(&[u8], usize, usize); 6] = [
            (&[0x00], 0, 1),
            (&[0x7f], 127, 1),
            (&[0x80, 0x01], 128, 2),
            (&[0xff, 0x7f], 16_383, 2),
            (&[0x80, 0x80, 0x01], 16_384, 3),
            (&[0xff, 0xff, 0xff, 0x7f], 268_435_455, 4),
        ];
        for (bytes, length, used) in cases {
            assert_eq!(remaining_length(bytes), Ok(Some((length, used))));
            for cut in 0..used {
                assert_eq!(remaining_length(&bytes[..cut]), Ok(None));
            }
        }
        assert!(remaining_length(&[0x80, 0x00]).is_err());
        assert!(remaining_length(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }

    #[test]
    fn an_announced_giant_is_refused_by_its_header() {
        let bad = frame(&[0x30, 0xff, 0xff, 0xff, 0x7f], 1 << 20).unwrap_err();
        assert_eq!(bad.reason, Reason::PACKET_TOO_LARGE);
        assert_eq!(
            frame(&[0x30, 0xff, 0xff, 0xff, 0x7f], PACKET_BYTES_MAX),
            Ok(None)
        );
    }
}
