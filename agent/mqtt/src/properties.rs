//! A packet's properties: a checked block of bytes to look things up in, and its builder.

use core::fmt;

use bytes::{BufMut, BytesMut};

use crate::property::{Id, Place, Property, Value};
use crate::{Bad, Sender, TooLong, read::Reader, write};

/// The properties of one packet, checked; empty in 3.1.1.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    /// The block without its length.
    block: &'a [u8],
}

/// Properties under construction.
#[derive(Clone, Debug, Default)]
pub struct PropertyBuf {
    block: BytesMut,
}

impl<'a> Properties<'a> {
    /// No properties.
    pub const NONE: Self = Self { block: &[] };

    /// All of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        let mut rest = Reader::new(self.block);
        // The block was checked when it was read or built, so that nothing ends the iteration early.
        core::iter::from_fn(move || (!rest.is_empty()).then(|| Property::read(&mut rest).ok())?)
    }

    /// The first value with this identifier.
    pub fn find(self, id: Id) -> Option<Value<'a>> {
        self.iter()
            .find(|property| property.id == id)
            .map(|property| property.value)
    }

    /// A property of one byte.
    pub fn byte(self, id: Id) -> Option<u8> {
        match self.find(id)? {
            Value::Byte(value) => Some(value),
            _ => None,
        }
    }

    /// A property of two bytes.
    pub fn short(self, id: Id) -> Option<u16> {
        match self.find(id)? {
            Value::Short(value) => Some(value),
            _ => None,
        }
    }

    /// A property of four bytes or a variable byte integer.
    pub fn int(self, id: Id) -> Option<u32> {
        match self.find(id)? {
            Value::Int(value) | Value::Var(value) => Some(value),
            _ => None,
        }
    }

    /// A string.
    pub fn text(self, id: Id) -> Option<&'a str> {
        match self.find(id)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A binary field.
    pub fn binary(self, id: Id) -> Option<&'a [u8]> {
        match self.find(id)? {
            Value::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The user properties, in their order, repeats kept.
    pub fn user(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|property| match property.value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The encoded block without its length.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.block
    }

    /// True if there are none.
    pub const fn is_empty(self) -> bool {
        self.block.is_empty()
    }

    /// Reads length and block and checks each against the table.
    pub(crate) fn read(from: &mut Reader<'a>, place: Place, sender: Sender) -> Result<Self, Bad> {
        let length = usize::try_from(from.var()?).map_err(|_| TOO_LONG)?;
        let block = from.take(length)?;
        if !block.is_empty() {
            check(block, place, sender)?;
        }
        Ok(Self { block })
    }

    pub(crate) fn write(self, out: &mut BytesMut) {
        write::var(out, self.block.len());
        out.put_slice(self.block);
    }
}

fn check(block: &[u8], place: Place, sender: Sender) -> Result<(), Bad> {
    let mut rest = Reader::new(block);
    let mut seen = 0_u64;
    while !rest.is_empty() {
        let id = Property::read(&mut rest)?.id;
        let spec = id.spec();
        if !spec.places(sender).meets(place) {
            return Err(Bad::protocol("Property not allowed here [2.2.2.2]"));
        }
        let bit = 1_u64 << id as u8;
        // The one property whose repetition depends on the packet: MQTT-3.8.2.1.2, 3.3.2.3.8.
        let repeatable = spec.repeatable && !(id == Id::SubscriptionId && sender == Sender::Client);
        if seen & bit != 0 && !repeatable {
            return Err(Bad::protocol("Property given twice [2.2.2.2]"));
        }
        seen |= bit;
    }
    let (method, data) = (1_u64 << Id::AuthMethod as u8, 1_u64 << Id::AuthData as u8);
    if seen & data != 0 && seen & method == 0 {
        return Err(Bad::protocol(
            "Authentication Data without Method [3.1.2.11.10]",
        ));
    }
    Ok(())
}

const TOO_LONG: Bad = Bad::malformed("Property length too large");

impl PropertyBuf {
    /// No properties yet, no memory either.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a property behind those there are.
    ///
    /// # Errors
    /// A string or binary field is longer than 65,535 bytes; then nothing was added.
    ///
    /// # Panics
    /// If the value has not the form that the table gives for `id`.
    pub fn push(&mut self, id: Id, value: Value<'_>) -> Result<(), TooLong> {
        assert_eq!(value.form(), id.spec().form, "{id:?} takes another form");
        let before = self.block.len();
        Property { id, value }
            .write(&mut self.block)
            .inspect_err(|_| self.block.truncate(before))
    }

    /// Adds a user property.
    ///
    /// # Errors
    /// As [`PropertyBuf::push`].
    pub fn push_user(&mut self, name: &str, value: &str) -> Result<(), TooLong> {
        self.push(Id::User, Value::Pair(name, value))
    }

    /// The properties as encoders take them.
    pub fn view(&self) -> Properties<'_> {
        Properties { block: &self.block }
    }

    /// Removes all, keeps the memory.
    pub fn clear(&mut self) {
        self.block.clear();
    }
}

impl fmt::Debug for Properties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_is_found() {
        let mut buf = PropertyBuf::new();
        buf.push(Id::MessageExpiry, Value::Int(7)).unwrap();
        buf.push_user("a", "1").unwrap();
        buf.push_user("a", "2").unwrap();
        let view = buf.view();
        assert_eq!(view.int(Id::MessageExpiry), Some(7));
        assert_eq!(view.byte(Id::PayloadFormat), None);
        assert_eq!(view.user().collect::<Vec<_>>(), [("a", "1"), ("a", "2")]);
        let mut out = BytesMut::new();
        view.write(&mut out);
        let mut reader = Reader::new(&out);
        let place = Place::kind(crate::Kind::Publish);
        assert_eq!(
            Properties::read(&mut reader, place, Sender::Client),
            Ok(view)
        );
    }

    #[test]
    fn a_string_too_long_leaves_nothing_behind() {
        let mut buf = PropertyBuf::new();
        assert_eq!(buf.push_user("n", &"x".repeat(65_536)), Err(TooLong));
        assert!(buf.view().is_empty());
    }
}
