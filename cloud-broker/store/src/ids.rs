//! Identities of 128 random bits. The store never makes one: randomness is the caller's.

use std::fmt;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One life of a broker process: new at every start and whenever it fences itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Incarnation(pub [u8; 16]);

/// Identity of one chunk or tombstone; the next one in the journal repeats it as `prev_nonce`.
///
/// Zero stands for "nothing before".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Nonce(pub [u8; 16]);

/// Identity of one write of a register, so that its writer knows its own value again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WriteId(pub [u8; 16]);

impl Incarnation {
    /// The incarnation in a bytes field: none unless it has exactly 16 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The incarnation written as 32 lower-case hex digits, or none if `text` is not that.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }

    /// First 4 bytes in hex, as names of segments and snapshots carry them.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text.chars().take(8).collect()
    }
}

impl WriteId {
    /// The id written as 32 lower-case hex digits, or none if `text` is not that.
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

macro_rules! shown_as_hex {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                let id = parse_hex(&text).map(Self);
                id.ok_or_else(|| D::Error::custom("32 lower-case hex digits were expected"))
            }
        }
    )*};
}
shown_as_hex!(Incarnation Nonce WriteId);

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
}

/// Upper case is refused, so that one incarnation has one name.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_back_and_nothing_else_is() {
        let inc = Incarnation(*b"0123456789abcdef");
        assert_eq!(Incarnation::parse(&inc.to_string()), Some(inc));
        assert_eq!(inc.short(), "30313233");
        for bad in ["", "00", &"A".repeat(32), &"g".repeat(32), &"0".repeat(33)] {
            assert_eq!(Incarnation::parse(bad), None);
        }
    }
}
