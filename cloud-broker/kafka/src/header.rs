use crate::scan::{ScanError, Walker};

/// What stands before every request (request header v1, v2 in flexible versions).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The API asked.
    pub key: i16,
    /// The version in which the body is written and the answer is expected.
    pub version: i16,
    /// Comes back unchanged in the answer.
    pub correlation_id: i32,
    /// What the client calls itself, if it says so.
    pub client_id: Option<String>,
}

/// Bytes of the fixed part: key, version, correlation id.
pub(crate) const FIXED_BYTES: usize = 8;

impl Header {
    /// Reads the fixed part, which never changes its shape, whatever the version.
    pub(crate) fn parse_fixed(frame: &[u8]) -> Result<Self, ScanError> {
        let Some(fixed) = frame.first_chunk::<FIXED_BYTES>() else {
            return Err(ScanError::Truncated {
                field: "request header",
            });
        };
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *fixed;
        Ok(Self {
            key: i16::from_be_bytes([k0, k1]),
            version: i16::from_be_bytes([v0, v1]),
            correlation_id: i32::from_be_bytes([c0, c1, c2, c3]),
            client_id: None,
        })
    }

    /// Reads the rest of the header and says at which byte of the frame the body begins. The
    /// client id keeps its 2-byte length in flexible versions too.
    pub(crate) fn parse_rest(&mut self, frame: &[u8], flexible: bool) -> Result<usize, ScanError> {
        let rest = frame.get(FIXED_BYTES..).unwrap_or_default();
        let mut walker = Walker::new(rest, self.version, flexible);
        if let Some(bytes) = walker.short_length("client_id")? {
            let id = walker.take(bytes, "client_id")?;
            let id =
                std::str::from_utf8(id).map_err(|_| ScanError::Length { field: "client_id" })?;
            self.client_id = Some(id.to_owned());
        }
        if flexible {
            walker.tagged(&[])?;
        }
        Ok(frame.len() - walker.left().len())
    }
}
