//! Reads the data types of section 1.5 out of one packet's bytes.

use crate::{Bad, topic};

/// What is left of a packet's body.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Everything that is left.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Bad> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Bad> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn short(&mut self) -> Result<u16, Bad> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn int(&mut self) -> Result<u32, Bad> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer in its shortest form (1.5.5).
    pub(crate) fn var(&mut self) -> Result<u32, Bad> {
        let mut value = 0_u32;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(Bad::malformed(
                        "Overlong variable byte integer [MQTT-1.5.5-1]",
                    ));
                }
                return Ok(value);
            }
        }
        Err(Bad::malformed(
            "Variable byte integer of more than 4 bytes [MQTT-1.5.5]",
        ))
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Bad> {
        let length = self.short()?;
        self.take(usize::from(length))
    }

    /// A UTF-8 string without U+0000 (1.5.4).
    pub(crate) fn text(&mut self) -> Result<&'a str, Bad> {
        topic::text(self.binary()?)
    }

    /// A topic name: a string without wildcards; may be empty.
    pub(crate) fn topic_name(&mut self) -> Result<&'a str, Bad> {
        topic::name_or_empty(self.binary()?)
    }

    /// A packet id, never 0 (MQTT-2.2.1-3).
    pub(crate) fn packet_id(&mut self) -> Result<u16, Bad> {
        match self.short()? {
            0 => Err(Bad::malformed("Packet id 0 [MQTT-2.2.1-3]")),
            id => Ok(id),
        }
    }

    /// The end of the body: anything left over is an error.
    pub(crate) const fn finish(self) -> Result<(), Bad> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Bad::malformed("Bytes behind the end of the packet"))
        }
    }
}

const SHORT: Bad = Bad::malformed("Packet ends inside a field");
