//! serde over the tree of `tree.rs`.

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeSeed, Error, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;

use crate::error::Fault;
use crate::tree::{Entry, Kind, Node, Step};

impl<'de> de::Deserializer<'de> for &'de Node {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.kind {
            Kind::Text(text) | Kind::Untyped(text) => visitor.visit_borrowed_str(text),
            Kind::Integer(value) => visitor.visit_i64(*value),
            Kind::Float(value) => visitor.visit_f64(*value),
            Kind::Bool(value) => visitor.visit_bool(*value),
            Kind::List(items) => visitor.visit_seq(List { items, next: 0 }),
            Kind::Table(entries) => visitor.visit_map(Table {
                entries,
                fields: &[],
                next: 0,
            }),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Untyped(text) = &self.kind else {
            return self.deserialize_any(visitor);
        };
        match text.parse() {
            Ok(value) => visitor.visit_bool(value),
            Err(_) => Err(Fault::invalid_value(Unexpected::Str(text), &visitor)),
        }
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Untyped(text) = &self.kind else {
            return self.deserialize_any(visitor);
        };
        match text.parse() {
            Ok(value) => visitor.visit_i64(value),
            Err(_) => Err(Fault::invalid_value(Unexpected::Str(text), &visitor)),
        }
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let Kind::Untyped(text) = &self.kind else {
            return self.deserialize_any(visitor);
        };
        match text.parse() {
            Ok(value) => visitor.visit_f64(value),
            Err(_) => Err(Fault::invalid_value(Unexpected::Str(text), &visitor)),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Kind::Table(entries) = &self.kind else {
            return self.deserialize_any(visitor);
        };
        let unknown = entries
            .iter()
            .find(|entry| !fields.contains(&entry.key.as_str()) && !entry.is_stray());
        match unknown {
            Some(entry) => Err(Fault::unknown_key(&entry.key, fields)),
            None => visitor.visit_map(Table {
                entries,
                fields,
                next: 0,
            }),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.kind {
            Kind::Text(text) | Kind::Untyped(text) => {
                let text: StrDeserializer<'_, Fault> = text.as_str().into_deserializer();
                visitor.visit_enum(text)
            }
            Kind::Integer(_) | Kind::Float(_) | Kind::Bool(_) | Kind::List(_) | Kind::Table(_) => {
                Err(Fault::invalid_type(self.unexpected(), &"a string"))
            }
        }
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

impl Node {
    fn unexpected(&self) -> Unexpected<'_> {
        match &self.kind {
            Kind::Text(text) | Kind::Untyped(text) => Unexpected::Str(text),
            Kind::Integer(value) => Unexpected::Signed(*value),
            Kind::Float(value) => Unexpected::Float(*value),
            Kind::Bool(value) => Unexpected::Bool(*value),
            Kind::List(_) => Unexpected::Seq,
            Kind::Table(_) => Unexpected::Map,
        }
    }
}

impl Entry {
    /// A variable such as `HEADWATER_PORT`, which container systems set for a service of our name;
    /// only a variable with a section (`__`) is certainly meant for us.
    fn is_stray(&self) -> bool {
        matches!(self.value.kind, Kind::Untyped(_)) && !self.place.contains("__")
    }
}

struct List<'de> {
    items: &'de [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for List<'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let index = self.next;
        let Some(item) = self.items.get(index) else {
            return Ok(None);
        };
        self.next += 1;
        seed.deserialize(item)
            .map(Some)
            .map_err(|fault| fault.under(Step::Index(index)))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len().saturating_sub(self.next))
    }
}

struct Table<'de> {
    entries: &'de [Entry],
    /// The keys that the struct has; empty for a map, which takes any.
    fields: &'static [&'static str],
    next: usize,
}

impl<'de> MapAccess<'de> for Table<'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        let strays = self.entries[self.next..]
            .iter()
            .take_while(|entry| {
                !self.fields.is_empty()
                    && entry.is_stray()
                    && !self.fields.contains(&entry.key.as_str())
            })
            .count();
        self.next += strays;
        let Some(entry) = self.entries.get(self.next) else {
            return Ok(None);
        };
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        let Some(entry) = self.entries.get(self.next) else {
            return Err(Fault::custom("a value was asked for without its key"));
        };
        self.next += 1;
        seed.deserialize(&entry.value)
            .map_err(|fault| fault.under(Step::Key(entry.key.clone())))
    }
}
