//! Zig-zag variable-length integers, as records have them: seven bits a byte, least significant
//! first, bit 7 set on all but the last. At most 5 bytes for 32 bits and 10 for 64.

use core::fmt;
use core::ops::Deref;

/// The most bytes that a number of 32 bits takes.
pub const I32_BYTES_MAX: usize = 5;
/// The most bytes that a number of 64 bits takes.
pub const I64_BYTES_MAX: usize = 10;

/// The bytes end within a number, or the number has more bits than its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VarintError;

/// Takes a varint (32 bits) off the front of `bytes`.
///
/// # Errors
/// When it does not end within `bytes`, or has more than 32 bits; `bytes` is then as before.
#[inline]
pub fn read_i32(bytes: &mut &[u8]) -> Result<i32, VarintError> {
    let raw = read_raw(bytes, I32_BYTES_MAX, 0x0f)?;
    let raw = u32::try_from(raw).map_err(|_| VarintError)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// Takes a varlong (64 bits) off the front of `bytes`.
///
/// # Errors
/// When it does not end within `bytes`, or has more than 64 bits; `bytes` is then as before.
#[inline]
pub fn read_i64(bytes: &mut &[u8]) -> Result<i64, VarintError> {
    let raw = read_raw(bytes, I64_BYTES_MAX, 0x01)?;
    Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

/// The bytes of a number. A 32-bit number is written alike in 32 and 64 bits, so there is one
/// function for both.
#[inline]
#[must_use]
pub fn encode(number: i64) -> Encoded {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let mut encoded = Encoded {
        bytes: [0; I64_BYTES_MAX],
        len: 0,
    };
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        let more = if rest == 0 { 0 } else { 0x80 };
        encoded.bytes[usize::from(encoded.len)] = (low & 0x7f) | more;
        encoded.len += 1;
        if rest == 0 {
            return encoded;
        }
    }
}

/// How many bytes [`encode`] makes of a number.
#[inline]
#[must_use]
pub fn encoded_bytes(number: i64) -> usize {
    let raw = ((number << 1) ^ (number >> 63)).cast_unsigned();
    let bits = u64::BITS - (raw | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// An encoded number; it dereferences to its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Encoded {
    bytes: [u8; I64_BYTES_MAX],
    len: u8,
}

impl Deref for Encoded {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for VarintError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variable-length number does not end where it must")
    }
}

impl core::error::Error for VarintError {}

#[inline]
fn read_raw(bytes: &mut &[u8], bytes_max: usize, last_max: u8) -> Result<u64, VarintError> {
    // Nearly all numbers in a batch are below 64.
    if let [first @ 0..=0x7f, rest @ ..] = *bytes {
        *bytes = rest;
        return Ok(u64::from(*first));
    }
    read_long(bytes, bytes_max, last_max)
}

fn read_long(bytes: &mut &[u8], bytes_max: usize, last_max: u8) -> Result<u64, VarintError> {
    let mut raw = 0;
    for (index, &byte) in bytes.iter().take(bytes_max).enumerate() {
        if index + 1 == bytes_max && byte > last_max {
            return Err(VarintError);
        }
        raw |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *bytes = &bytes[index + 1..];
            return Ok(raw);
        }
    }
    Err(VarintError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values() {
        for (number, bytes) in [
            (0, &[0][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 0x01]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (
                i64::MIN,
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            ),
        ] {
            assert_eq!(&*encode(number), bytes);
            assert_eq!(read_i64(&mut &bytes[..]), Ok(number));
        }
    }

    #[test]
    fn numbers_that_do_not_end_are_errors_and_take_nothing() {
        let overlong = [0xff, 0xff, 0xff, 0xff, 0x1f];
        for bytes in [&[][..], &[0x80], &[0x80; 4], &[0x80; 20], &overlong] {
            let mut rest = bytes;
            assert_eq!(read_i32(&mut rest), Err(VarintError));
            assert_eq!(rest, bytes);
        }
        assert_eq!(read_i64(&mut &[0x80; 20][..]), Err(VarintError));
    }

    proptest! {
        #[test]
        fn round_trip(number: i64, after in proptest::collection::vec(any::<u8>(), 0..3)) {
            let mut bytes = encode(number).to_vec();
            prop_assert_eq!(bytes.len(), encoded_bytes(number));
            bytes.extend(&after);
            let mut rest = &bytes[..];
            prop_assert_eq!(read_i64(&mut rest), Ok(number));
            prop_assert_eq!(rest, &after[..]);
            let small = i32::try_from(number);
            prop_assert_eq!(read_i32(&mut &bytes[..]).ok(), small.ok());
        }
    }
}
