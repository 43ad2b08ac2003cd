//! CRC-32C (Castagnoli), the checksum of record batches and of our own files.

/// The CRC-32C of `bytes`.
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    append(0, bytes)
}

/// Goes on from `crc`, the CRC-32C of what came before, over `bytes`.
#[cfg(feature = "std")]
#[must_use]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc, bytes)
}

/// Goes on from `crc`, the CRC-32C of what came before, over `bytes`.
#[cfg(not(feature = "std"))]
#[must_use]
pub fn append(crc: u32, bytes: &[u8]) -> u32 {
    append_by_table(crc, bytes)
}

/// One table of 1 KiB, not eight: a small microcontroller has more time than flash.
#[cfg(any(test, not(feature = "std")))]
fn append_by_table(crc: u32, bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!crc, |crc, byte| {
        let [low, ..] = crc.to_le_bytes();
        TABLE[usize::from(low ^ byte)] ^ (crc >> 8)
    })
}

#[cfg(any(test, not(feature = "std")))]
static TABLE: [u32; 256] = table();

#[cfg(any(test, not(feature = "std")))]
const fn table() -> [u32; 256] {
    const POLYNOMIAL_REFLECTED: u32 = 0x82f6_3b78;
    let mut table = [0; 256];
    let mut byte = 0u32;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ (POLYNOMIAL_REFLECTED * (crc & 1));
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Vectors of RFC 3720, B.4.
    #[test]
    fn known_values() {
        let ascending: [u8; 32] = core::array::from_fn(|i| i.to_le_bytes()[0]);
        for (bytes, expected) in [
            (&b""[..], 0),
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
        ] {
            assert_eq!(crc32c(bytes), expected);
            assert_eq!(append_by_table(0, bytes), expected);
        }
    }

    #[test]
    fn parts_give_the_crc_of_the_whole() {
        let (head, tail) = b"headwater".split_at(4);
        assert_eq!(append(crc32c(head), tail), crc32c(b"headwater"));
        assert_eq!(
            append_by_table(append_by_table(0, head), tail),
            crc32c(b"headwater")
        );
    }
}
