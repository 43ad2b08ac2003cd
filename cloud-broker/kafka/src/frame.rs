/// Bytes of the length that stands before each frame: a big-endian int32 that does not count itself.
pub const LENGTH_BYTES: usize = 4;

/// A peer announced a frame that is larger than this connection may send, or a negative one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Frame of {announced} bytes announced, at most {bytes_max} allowed")]
pub struct FrameTooLarge {
    /// What the length field says.
    pub announced: i32,
    /// The connection's limit in bytes.
    pub bytes_max: usize,
}

/// Reads the length before a frame: `None` until its 4 bytes have arrived, then the size of the
/// frame without them. The caller waits for that many bytes and grows its buffer with what comes.
///
/// # Errors
/// When the length is negative or above `bytes_max`; the connection cannot be resynchronised.
pub fn frame_bytes(arrived: &[u8], bytes_max: usize) -> Result<Option<usize>, FrameTooLarge> {
    let Some(length) = arrived.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let announced = i32::from_be_bytes(*length);
    match usize::try_from(announced) {
        Ok(bytes) if bytes <= bytes_max => Ok(Some(bytes)),
        _ => Err(FrameTooLarge {
            announced,
            bytes_max,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_bounded_on_both_sides() {
        assert_eq!(frame_bytes(&[0, 0, 0], 10), Ok(None));
        assert_eq!(frame_bytes(&[0, 0, 0, 10, 9], 10), Ok(Some(10)));
        assert!(frame_bytes(&[0, 0, 0, 11], 10).is_err());
        assert!(frame_bytes(&[0xff, 0xff, 0xff, 0xff], 10).is_err());
        assert!(frame_bytes(b"GET / HTTP/1.1", 64 << 20).is_err());
    }
}
