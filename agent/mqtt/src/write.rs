//! Writes the data types of section 1.5.

use core::fmt;

use bytes::{BufMut, BytesMut};

use crate::{Kind, PACKET_BYTES_MAX};

/// A string or binary field of more than 65,535 bytes, or a packet of more than
/// [`PACKET_BYTES_MAX`] bytes. Nothing was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// Appends a packet whose body `write` appends; the length is put before it afterwards.
pub(crate) fn packet(
    out: &mut BytesMut,
    kind: Kind,
    write: impl FnOnce(&mut BytesMut) -> Result<(), TooLong>,
) -> Result<(), TooLong> {
    let start = out.len();
    out.put_bytes(0, HEAD_BYTES_MAX);
    let written = write(out);
    let body = out.len() - start - HEAD_BYTES_MAX;
    if written.is_err() || body > PACKET_BYTES_MAX - HEAD_BYTES_MAX {
        out.truncate(start);
        return Err(TooLong);
    }
    let (length, used) = var_bytes(body);
    out[start] = kind.first_byte();
    out[start + 1..start + 1 + used].copy_from_slice(&length[..used]);
    out.copy_within(start + HEAD_BYTES_MAX.., start + 1 + used);
    out.truncate(start + 1 + used + body);
    Ok(())
}

const HEAD_BYTES_MAX: usize = 5;

/// A variable byte integer (1.5.5); `value` is at most 268,435,455.
pub(crate) fn var(out: &mut BytesMut, value: usize) {
    let (bytes, used) = var_bytes(value);
    out.put_slice(&bytes[..used]);
}

fn var_bytes(mut value: usize) -> ([u8; 4], usize) {
    let mut bytes = [0_u8; 4];
    for (index, slot) in bytes.iter_mut().enumerate() {
        // The mask makes the conversion exact.
        *slot = u8::try_from(value & 0x7f).unwrap_or(0x7f);
        value >>= 7;
        if value == 0 {
            return (bytes, index + 1);
        }
        *slot |= 0x80;
    }
    debug_assert!(value == 0, "lengths are checked before they are written");
    (bytes, 4)
}

/// Bytes that [`var`] appends.
pub(crate) const fn var_length(value: usize) -> usize {
    match value {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    }
}

/// A binary field or a string (1.5.4, 1.5.6).
pub(crate) fn binary(out: &mut BytesMut, bytes: &[u8]) -> Result<(), TooLong> {
    let length = u16::try_from(bytes.len()).map_err(|_| TooLong)?;
    out.put_u16(length);
    out.put_slice(bytes);
    Ok(())
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Too long for its length field")
    }
}

impl core::error::Error for TooLong {}
