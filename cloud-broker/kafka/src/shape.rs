//! The words in which a request's layout is written down for the pre-scan.

/// What stands on the wire for one field. In flexible versions strings, bytes and arrays carry
/// compact lengths, and every structure ends with its tagged fields (KIP-482).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// A value of so many bytes: integers, booleans, UUIDs.
    Fixed(usize),
    /// A string; `null` is for the decoder to refuse where it may not stand.
    String,
    /// Opaque bytes or a record set.
    Bytes,
    /// An array of structures; the length may say null.
    Array(&'static [Field]),
    /// An array of values of so many bytes each.
    FixedArray(usize),
    /// An array of strings.
    Strings,
    /// A structure in place (only tagged fields have it).
    Struct(&'static [Field]),
}

/// One field of a request or of a structure within, with the versions that have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) since: i16,
    pub(crate) until: i16,
    /// Its number if it is a tagged field.
    pub(crate) tag: Option<u32>,
}

impl Field {
    /// A field that every version has.
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            since: 0,
            until: i16::MAX,
            tag: None,
        }
    }

    /// The first version that has it.
    pub(crate) const fn since(mut self, version: i16) -> Self {
        self.since = version;
        self
    }

    /// The last version that has it.
    pub(crate) const fn until(mut self, version: i16) -> Self {
        self.until = version;
        self
    }

    /// Makes it a tagged field.
    pub(crate) const fn tag(mut self, tag: u32) -> Self {
        self.tag = Some(tag);
        self
    }

    pub(crate) fn exists(&self, version: i16) -> bool {
        (self.since..=self.until).contains(&version)
    }
}

pub(crate) const INT8: Kind = Kind::Fixed(1);
pub(crate) const BOOL: Kind = Kind::Fixed(1);
pub(crate) const INT16: Kind = Kind::Fixed(2);
pub(crate) const INT32: Kind = Kind::Fixed(4);
pub(crate) const INT64: Kind = Kind::Fixed(8);
pub(crate) const UUID: Kind = Kind::Fixed(16);

/// The fewest bytes that a structure can take: what bounds the count of an array of them.
pub(crate) fn smallest(fields: &[Field], version: i16, flexible: bool) -> usize {
    let present = fields
        .iter()
        .filter(|field| field.tag.is_none() && field.exists(version));
    let untagged: usize = present
        .map(|field| match field.kind {
            Kind::Fixed(bytes) => bytes,
            Kind::Struct(inner) => smallest(inner, version, flexible),
            _ if flexible => 1,
            Kind::String => 2,
            Kind::Bytes | Kind::Array(_) | Kind::FixedArray(_) | Kind::Strings => 4,
        })
        .sum();
    untagged + usize::from(flexible)
}
