//! The pre-scan: walks a request by its shape before anything is decoded.
//!
//! The decoder underneath allocates what a count announces, so seven bytes could ask for 150 GB
//! (kafka-protocol-rs issues 152, 161, 200). After this walk every length and count is known to
//! lie within the frame, and there are at most [`ELEMENTS_MAX`] array elements and [`TAGS_MAX`]
//! unknown tagged fields. Nesting needs no limit of its own: shapes are finite.
//!
//! Bytes behind the request are ignored, as Kafka's own broker does: librdkafka leaves three there
//! when it asks for all topics (Metadata from version 9, librdkafka issue 5049).

use crate::shape::{Field, Kind, smallest};

/// Array elements in one request, all arrays together. The largest honest requests name every
/// partition of a cluster once; an element costs about 100 bytes once decoded.
pub const ELEMENTS_MAX: usize = 100_000;
/// Unknown tagged fields in one structure.
pub const TAGS_MAX: usize = 64;
/// Unknown tagged fields in one request.
pub const TAGS_TOTAL_MAX: usize = 4096;

/// Why a request was refused before decoding. `field` names the place in the message schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScanError {
    /// The frame ends inside this field.
    #[error("Frame ends inside {field}")]
    Truncated {
        /// The field's name.
        field: &'static str,
    },
    /// A length is negative, or a varint has more than 32 bits.
    #[error("Length of {field} is not legal")]
    Length {
        /// The field's name.
        field: &'static str,
    },
    /// More elements than fit into the rest of the frame, or than one request may have.
    #[error("{count} elements of {field} announced, at most {most} possible")]
    Count {
        /// The field's name.
        field: &'static str,
        /// What the peer announced.
        count: usize,
        /// What could be there.
        most: usize,
    },
    /// Too many tagged fields.
    #[error("Too many tagged fields")]
    Tags,
    /// A tagged field does not fill its announced size.
    #[error("Tagged field {field} does not have its announced size")]
    TagSize {
        /// The field's name.
        field: &'static str,
    },
}

/// Walks `body` and checks that it begins with one structure of `fields`.
pub(crate) fn scan(
    body: &[u8],
    fields: &[Field],
    version: i16,
    flexible: bool,
) -> Result<(), ScanError> {
    Walker::new(body, version, flexible).fields(fields)
}

/// A place in a frame, with what the rest of the request may still spend.
pub(crate) struct Walker<'a> {
    left: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
    tags_left: usize,
}

impl<'a> Walker<'a> {
    pub(crate) fn new(bytes: &'a [u8], version: i16, flexible: bool) -> Self {
        Self {
            left: bytes,
            version,
            flexible,
            elements_left: ELEMENTS_MAX,
            tags_left: TAGS_TOTAL_MAX,
        }
    }

    /// What has not been walked yet.
    pub(crate) fn left(&self) -> &'a [u8] {
        self.left
    }

    /// One structure: its fields in order, then its tagged fields.
    pub(crate) fn fields(&mut self, fields: &[Field]) -> Result<(), ScanError> {
        for field in fields {
            if field.tag.is_none() && field.exists(self.version) {
                self.value(field)?;
            }
        }
        if self.flexible {
            self.tagged(fields)?;
        }
        Ok(())
    }

    /// The next `bytes` bytes.
    pub(crate) fn take(
        &mut self,
        bytes: usize,
        field: &'static str,
    ) -> Result<&'a [u8], ScanError> {
        let Some((taken, rest)) = self.left.split_at_checked(bytes) else {
            return Err(ScanError::Truncated { field });
        };
        self.left = rest;
        Ok(taken)
    }

    /// A length of 2 bytes, -1 for null.
    pub(crate) fn short_length(&mut self, field: &'static str) -> Result<Option<usize>, ScanError> {
        let bytes = self.take(2, field)?;
        signed_length(i32::from(i16::from_be_bytes([bytes[0], bytes[1]])), field)
    }

    /// The tagged fields behind a structure: those in `known` are walked, others skipped.
    pub(crate) fn tagged(&mut self, known: &[Field]) -> Result<(), ScanError> {
        let count = self.unsigned("tagged fields")?;
        let mut unknown = 0;
        for _ in 0..count {
            let tag = self.unsigned("tag")?;
            let bytes = self.unsigned("tag size")? as usize;
            let value = self.take(bytes, "tagged field")?;
            let field = known
                .iter()
                .find(|field| field.tag == Some(tag) && field.exists(self.version));
            match field {
                Some(field) => self.known_tag(field, value)?,
                None => unknown += 1,
            }
            if unknown > TAGS_MAX.min(self.tags_left) {
                return Err(ScanError::Tags);
            }
        }
        self.tags_left -= unknown;
        Ok(())
    }

    fn known_tag(&mut self, field: &Field, value: &'a [u8]) -> Result<(), ScanError> {
        let rest = std::mem::replace(&mut self.left, value);
        self.value(field)?;
        match std::mem::replace(&mut self.left, rest).len() {
            0 => Ok(()),
            _ => Err(ScanError::TagSize { field: field.name }),
        }
    }

    fn value(&mut self, field: &Field) -> Result<(), ScanError> {
        let name = field.name;
        match field.kind {
            Kind::Fixed(bytes) => self.take(bytes, name).map(drop),
            Kind::String => self.string(name),
            Kind::Bytes => {
                let bytes = self.length(name)?.unwrap_or(0);
                self.take(bytes, name).map(drop)
            }
            Kind::Strings => {
                let each = if self.flexible { 1 } else { 2 };
                for _ in 0..self.count(name, each)? {
                    self.string(name)?;
                }
                Ok(())
            }
            Kind::FixedArray(bytes) => {
                let count = self.count(name, bytes)?;
                self.take(count * bytes, name).map(drop)
            }
            Kind::Array(fields) => {
                let each = smallest(fields, self.version, self.flexible);
                for _ in 0..self.count(name, each)? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Kind::Struct(fields) => self.fields(fields),
        }
    }

    fn string(&mut self, name: &'static str) -> Result<(), ScanError> {
        let bytes = match self.flexible {
            true => self.length(name)?,
            false => self.short_length(name)?,
        };
        self.take(bytes.unwrap_or(0), name).map(drop)
    }

    /// The count of an array whose elements take at least `each` bytes.
    fn count(&mut self, field: &'static str, each: usize) -> Result<usize, ScanError> {
        let count = self.length(field)?.unwrap_or(0);
        let most = (self.left.len() / each.max(1)).min(self.elements_left);
        if count > most {
            return Err(ScanError::Count { field, count, most });
        }
        self.elements_left -= count;
        Ok(count)
    }

    /// The length of bytes or of an array, `None` for null.
    fn length(&mut self, field: &'static str) -> Result<Option<usize>, ScanError> {
        if self.flexible {
            return Ok((self.unsigned(field)? as usize).checked_sub(1));
        }
        let bytes = self.take(4, field)?;
        let length = i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        signed_length(length, field)
    }

    /// An unsigned varint of at most 32 bits.
    fn unsigned(&mut self, field: &'static str) -> Result<u32, ScanError> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(self.take(1, field)?[0]);
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ScanError::Length { field })
    }
}

fn signed_length(length: i32, field: &'static str) -> Result<Option<usize>, ScanError> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length)
            .map(Some)
            .map_err(|_| ScanError::Length { field }),
    }
}
