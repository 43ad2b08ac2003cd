//! Producer ids, which agents make offline and the broker checks without a table.

use sha2::{Digest, Sha256};

/// Lanes' producer ids begin here; the broker gives Kafka producers only smaller ones.
pub const LANE_ID_BASE: i64 = 1 << 52;
/// Behind the last producer id of lanes.
pub const LANE_ID_END: i64 = 1 << 53;

/// The producer id of a lane's generation: 2^52 and the first 52 bits of the SHA-256 of
/// `headwater/1`, device, stream, lane and the decimal generation, with a zero byte between them.
#[must_use]
pub fn producer_id(device: &str, stream: &str, lane: &str, generation: u32) -> i64 {
    let mut hash = Sha256::new();
    for part in ["headwater/1", device, stream, lane] {
        hash.update(part);
        hash.update([0]);
    }
    let mut digits = [0; 10];
    hash.update(decimal(generation, &mut digits));
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
    let first_bits = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> (u64::BITS - 52);
    LANE_ID_BASE | first_bits.cast_signed()
}

/// Decimal digits without an allocator.
fn decimal(mut number: u32, digits: &mut [u8; 10]) -> &[u8] {
    let mut start = digits.len();
    loop {
        start -= 1;
        let [digit, ..] = (number % 10).to_le_bytes();
        digits[start] = b'0' + digit;
        number /= 10;
        if number == 0 {
            return &digits[start..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib.
    #[test]
    fn known_values() {
        for (device, stream, lane, generation, expected) in [
            ("gw-1", "events", "main", 0, 6_211_189_290_074_555),
            (
                "plant:7.gw_2",
                "energy",
                "live-2",
                4294967295,
                4_847_791_606_172_264,
            ),
        ] {
            let id = producer_id(device, stream, lane, generation);
            assert_eq!(id, expected);
            assert!((LANE_ID_BASE..LANE_ID_END).contains(&id));
        }
    }

    #[test]
    fn digits() {
        assert_eq!(decimal(0, &mut [0; 10]), b"0");
        assert_eq!(decimal(u32::MAX, &mut [0; 10]), b"4294967295");
    }
}
