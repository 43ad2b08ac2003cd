//! The one error of this crate, and what a deserializer knows of it on the way up.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use crate::tree::{Kind, Node, Step};

/// Settings that cannot be used; its text names the file, the line and the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SettingsError {
    text: String,
}

impl SettingsError {
    /// `place: message`, or the message alone where no place is known.
    pub fn new(place: Option<&str>, message: impl fmt::Display) -> Self {
        Self {
            text: match place {
                Some(place) => format!("{place}: {message}"),
                None => message.to_string(),
            },
        }
    }
}

/// What is wrong, while the path to it is still being put together.
#[derive(Debug)]
pub(crate) struct Fault {
    problem: Problem,
    /// From the innermost step outwards.
    path: Vec<Step>,
}

#[derive(Debug)]
enum Problem {
    UnknownKey {
        key: String,
        suggestion: Option<String>,
    },
    MissingKey(&'static str),
    Value(String),
}

impl Fault {
    pub(crate) fn unknown_key(key: &str, known: &[&str]) -> Self {
        let suggestion = nearest(key, known).map(str::to_owned);
        Self::from(Problem::UnknownKey {
            key: key.to_owned(),
            suggestion,
        })
    }

    /// The same fault, seen from one level further out.
    pub(crate) fn under(mut self, step: Step) -> Self {
        self.path.push(step);
        self
    }

    /// Puts the place and the whole key into words.
    pub(crate) fn finish(mut self, root: &Node) -> SettingsError {
        self.path.reverse();
        let mut key = String::new();
        let mut node = root;
        let mut place = root.place.as_str();
        for step in &self.path {
            step.append_to(&mut key);
            if let Some((next, at)) = node.child(step) {
                (node, place) = (next, at);
            }
        }
        match self.problem {
            Problem::UnknownKey {
                key: last,
                suggestion,
            } => {
                if let Kind::Table(entries) = &node.kind
                    && let Some(entry) = entries.iter().find(|e| e.key == last)
                {
                    place = &entry.place;
                }
                Step::Key(last).append_to(&mut key);
                let hint = suggestion
                    .map(|s| format!(", did you mean \"{s}\"?"))
                    .unwrap_or_default();
                SettingsError::new(Some(place), format!("unknown key \"{key}\"{hint}"))
            }
            Problem::MissingKey(last) => {
                Step::Key(last.to_owned()).append_to(&mut key);
                SettingsError::new(Some(place), format!("missing key \"{key}\""))
            }
            Problem::Value(message) if key.is_empty() => SettingsError::new(Some(place), message),
            Problem::Value(message) => {
                SettingsError::new(Some(place), format!("key \"{key}\": {message}"))
            }
        }
    }
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            path: Vec::new(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.problem {
            Problem::UnknownKey { key, .. } => write!(f, "unknown key \"{key}\""),
            Problem::MissingKey(key) => write!(f, "missing key \"{key}\""),
            Problem::Value(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Fault {}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::from(Problem::Value(message.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = plain_words(&expected.to_string());
        Self::custom(format!("expected {expected}, found {found}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let list: Vec<String> = known.iter().map(|k| format!("\"{k}\"")).collect();
        Self::custom(format!(
            "unknown value \"{variant}\", expected {}",
            list.join(" or ")
        ))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        Self::unknown_key(field, known)
    }

    fn missing_field(field: &'static str) -> Self {
        Self::from(Problem::MissingKey(field))
    }
}

/// serde names Rust's types; whoever writes a settings file may not know them.
fn plain_words(expected: &str) -> String {
    match expected {
        "u8" => "a whole number from 0 to 255".into(),
        "u16" => "a whole number from 0 to 65535".into(),
        "u32" => "a whole number from 0 to 4294967295".into(),
        "u64" | "usize" => "a whole number, not negative".into(),
        "i32" | "i64" | "isize" => "a whole number".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "true or false".into(),
        "a sequence" => "a list".into(),
        other => match other.strip_prefix("struct ") {
            Some(_) => "a table".into(),
            None => other.into(),
        },
    }
}

/// The known key that was probably meant: no more than a third of its letters differ.
fn nearest<'a>(key: &str, known: &[&'a str]) -> Option<&'a str> {
    const KEY_CHARS_MAX: usize = 64;
    if key.len() > KEY_CHARS_MAX {
        return None;
    }
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= 1.max(candidate.len() / 3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
