//! How a source's readings get their topics: `{device}/{source}/{name}`.

use thiserror::Error;

/// A parsed topic template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Device,
    Source,
    Name,
    Topic,
}

/// What one reading puts into the template.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// `{device}`.
    pub device: &'a str,
    /// `{source}`: the name of the source.
    pub source: &'a str,
    /// `{name}`: the reading's own name; for a source that has topics, the topic.
    pub name: &'a str,
    /// `{topic}`: the topic as it came; for a source without topics, the name.
    pub topic: &'a str,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// A field that does not exist.
    #[error(
        "unknown field {{{0}}} in the topic, it may have {{device}} {{source}} {{name}} {{topic}}"
    )]
    Field(String),
    /// `{` without `}`.
    #[error("a {{ without }} in the topic")]
    Open,
    /// Nothing would come out.
    #[error("the topic is empty")]
    Empty,
}

impl Template {
    /// Parses a template; everything outside braces is taken as it is.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            }
            let close = rest[open..].find('}').ok_or(TemplateError::Open)? + open;
            parts.push(Part::parse(&rest[open + 1..close])?);
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            Err(TemplateError::Empty)
        } else {
            Ok(Self(parts))
        }
    }

    /// What every topic begins with, as far as that is known beforehand; `{device}` ends it where
    /// `device` is not.
    pub fn front(&self, device: Option<&str>, source: &str) -> String {
        let known = |part: &Part| match part {
            Part::Text(text) => Some(text.clone()),
            Part::Source => Some(source.to_owned()),
            Part::Device => device.map(str::to_owned),
            Part::Name | Part::Topic => None,
        };
        self.0.iter().map_while(known).collect()
    }

    /// The topic of one reading.
    pub fn expand(&self, fields: Fields<'_>) -> String {
        let mut topic = String::with_capacity(fields.topic.len() + fields.device.len());
        for part in &self.0 {
            topic.push_str(match part {
                Part::Text(text) => text,
                Part::Device => fields.device,
                Part::Source => fields.source,
                Part::Name => fields.name,
                Part::Topic => fields.topic,
            });
        }
        topic
    }
}

/// A name as one topic level: neither separators nor wildcards nor control characters.
pub fn level(name: &str) -> String {
    let plain = |c: char| {
        if c.is_control() || "/+#$ ".contains(c) {
            '-'
        } else {
            c
        }
    };
    name.trim().chars().map(plain).collect()
}

impl Part {
    fn parse(field: &str) -> Result<Self, TemplateError> {
        match field {
            "device" => Ok(Self::Device),
            "source" => Ok(Self::Source),
            "name" => Ok(Self::Name),
            "topic" => Ok(Self::Topic),
            other => Err(TemplateError::Field(other.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields<'_> = Fields {
        device: "gw-1",
        source: "sys",
        name: "cpu",
        topic: "in/cpu",
    };

    #[test]
    fn fields_are_filled_in() {
        let expand = |text| Template::parse(text).unwrap().expand(FIELDS);
        assert_eq!(expand("{device}/{source}/{name}"), "gw-1/sys/cpu");
        assert_eq!(expand("{topic}"), "in/cpu");
        assert_eq!(expand("plant/{topic}/raw"), "plant/in/cpu/raw");
        assert_eq!(expand("fixed"), "fixed");
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            Template::parse("{devic}"),
            Err(TemplateError::Field("devic".into()))
        );
        assert_eq!(Template::parse("a/{device"), Err(TemplateError::Open));
        assert_eq!(Template::parse(""), Err(TemplateError::Empty));
    }
}
