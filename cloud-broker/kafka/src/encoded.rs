use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::Encodable;

use crate::Header;

/// A response frame, length included, as pieces for one vectored write. Only a Fetch response has
/// more than one: its record batches stand between the pieces as they lie in the log, uncopied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// The pieces in the order in which they go out; none is empty.
    pub pieces: Vec<Bytes>,
}

impl Encoded {
    /// Bytes of the whole frame.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }
}

/// An answer could not be written in the version asked: an error in this broker, not the peer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Response to API {key} version {version} cannot be encoded: {reason}")]
pub struct EncodeError {
    /// The API.
    pub key: i16,
    /// The version.
    pub version: i16,
    /// What the encoder says.
    pub reason: String,
}

/// Begins a frame: room for its length, then the response header (v1 has an empty tag section).
pub(crate) fn begin(header: &Header, flexible_header: bool, body_bytes: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(9 + body_bytes);
    frame.put_i32(0);
    frame.put_i32(header.correlation_id);
    if flexible_header {
        frame.put_u8(0);
    }
    frame
}

/// Writes a whole frame around a body that the codec crate knows.
pub(crate) fn whole<T: Encodable>(
    header: &Header,
    flexible_header: bool,
    body: &T,
) -> Result<Encoded, EncodeError> {
    let failed = |reason: String| EncodeError {
        key: header.key,
        version: header.version,
        reason,
    };
    let bytes = body
        .compute_size(header.version)
        .map_err(|error| failed(error.to_string()))?;
    let mut frame = begin(header, flexible_header, bytes);
    body.encode(&mut frame, header.version)
        .map_err(|error| failed(error.to_string()))?;
    let length = frame.len() - 4;
    let length = i32::try_from(length).map_err(|_| failed(format!("{length} bytes")))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(Encoded {
        pieces: vec![frame.freeze()],
    })
}
