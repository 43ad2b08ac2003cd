//! A settings file as a tree whose every node knows where it stands.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::error::SettingsError;

/// One value.
#[derive(Debug)]
pub(crate) struct Node {
    /// `FILE:LINE`, or the name of a variable.
    pub(crate) place: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// From the environment, which knows no types: becomes what is asked for.
    Untyped(String),
    List(Vec<Node>),
    /// In the order of the file.
    Table(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: String,
    pub(crate) value: Node,
}

/// One step down from a table or list.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    /// Makes `uplink.window` of `uplink`, and `stream[1]` of `stream`.
    pub(crate) fn append_to(&self, path: &mut String) {
        match self {
            Self::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Self::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
}

impl Node {
    /// The value one step down, and its place.
    pub(crate) fn child(&self, step: &Step) -> Option<(&Self, &str)> {
        match (&self.kind, step) {
            (Kind::Table(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| entry.key == *key)
                .map(|entry| (&entry.value, entry.place.as_str())),
            (Kind::List(items), Step::Index(index)) => {
                items.get(*index).map(|item| (item, item.place.as_str()))
            }
            (_, Step::Key(_) | Step::Index(_)) => None,
        }
    }

    /// Calls `each` with the path and the place of every key below this node.
    pub(crate) fn for_each_key(&self, each: &mut impl FnMut(&str, &str)) {
        self.visit("", each);
    }

    fn visit(&self, path: &str, each: &mut impl FnMut(&str, &str)) {
        let mut down = |step: Step, place: &str, node: &Self| {
            let mut inner = path.to_owned();
            step.append_to(&mut inner);
            each(&inner, place);
            node.visit(&inner, each);
        };
        match &self.kind {
            Kind::Table(entries) => {
                for entry in entries {
                    down(Step::Key(entry.key.clone()), &entry.place, &entry.value);
                }
            }
            Kind::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    down(Step::Index(index), &item.place, item);
                }
            }
            Kind::Text(_)
            | Kind::Integer(_)
            | Kind::Float(_)
            | Kind::Bool(_)
            | Kind::Untyped(_) => {}
        }
    }
}

/// Parses TOML.
pub(crate) fn parse(text: &str, file_name: &str) -> Result<Node, SettingsError> {
    let lines = Lines::of(text, file_name);
    let table = DeTable::parse(text).map_err(|error| {
        let place = lines.place(error.span().map_or(0, |span| span.start));
        SettingsError::new(Some(&place), one_line(error.message()))
    })?;
    table_node(table.into_inner(), file_name.to_owned(), &lines)
}

fn table_node(table: DeTable<'_>, place: String, lines: &Lines) -> Result<Node, SettingsError> {
    let mut spans = Vec::with_capacity(table.len());
    for (key, value) in table {
        spans.push((key.span().start, key, value));
    }
    spans.sort_by_key(|(start, _, _)| *start);
    let mut entries = Vec::with_capacity(spans.len());
    for (start, key, value) in spans {
        entries.push(Entry {
            key: key.into_inner().into_owned(),
            place: lines.place(start),
            value: value_node(value, lines)?,
        });
    }
    Ok(Node {
        place,
        kind: Kind::Table(entries),
    })
}

fn value_node(value: Spanned<DeValue<'_>>, lines: &Lines) -> Result<Node, SettingsError> {
    let place = lines.place(value.span().start);
    let kind = match value.into_inner() {
        DeValue::String(text) => Kind::Text(text.into_owned()),
        DeValue::Boolean(value) => Kind::Bool(value),
        DeValue::Datetime(value) => Kind::Text(value.to_string()),
        DeValue::Integer(number) => Kind::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| SettingsError::new(Some(&place), "number too large"))?,
        ),
        DeValue::Float(number) => Kind::Float(
            number
                .as_str()
                .parse()
                .map_err(|_| SettingsError::new(Some(&place), "not a number"))?,
        ),
        DeValue::Array(items) => Kind::List(
            items
                .into_iter()
                .map(|item| value_node(item, lines))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => return table_node(table, place, lines),
    };
    Ok(Node { place, kind })
}

/// Where each line begins, to turn a byte's position into a line's number.
struct Lines {
    file_name: String,
    starts: Vec<usize>,
}

impl Lines {
    fn of(text: &str, file_name: &str) -> Self {
        let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            file_name: file_name.to_owned(),
            starts: newlines.map(|(at, _)| at + 1).collect(),
        }
    }

    fn place(&self, offset: usize) -> String {
        let line = 1 + self.starts.partition_point(|start| *start <= offset);
        format!("{}:{line}", self.file_name)
    }
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join(", ")
}
