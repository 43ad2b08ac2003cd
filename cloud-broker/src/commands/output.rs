//! What commands print, and to whom it may be of no more interest.

use std::io::{self, BufWriter, ErrorKind, StdoutLock, Write};

use clap::ValueEnum;
use serde_json::Value;

use super::Failure;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

/// Standard output. A reader that has enough, as `head` has, ends the command and is no failure.
#[derive(Debug)]
pub(super) struct Out(BufWriter<StdoutLock<'static>>);

/// Why no more is printed.
#[derive(Debug)]
pub(super) enum Stop {
    /// Nobody reads on.
    Enough,
    /// Something is wrong.
    Failed(Failure),
}

impl Out {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes what `write` writes.
    pub(super) fn put(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<(), Stop> {
        write(&mut self.0).map_err(Stop::from)
    }

    /// Lets the reader have it now.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        self.0.flush().map_err(Stop::from)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            ErrorKind::BrokenPipe => Self::Enough,
            _ => Self::Failed(Failure::failed(format_args!("Cannot print: {error}"))),
        }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A command's end: a reader that has enough is a good one.
pub(super) fn ended(result: Result<(), Stop>) -> Result<(), Failure> {
    match result {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(failure)) => Err(failure),
    }
}

/// Prints one value: as JSON, or as `text` makes it.
pub(super) fn print(
    output: Output,
    value: &Value,
    text: impl FnOnce(&Value) -> String,
) -> Result<(), Failure> {
    let mut out = Out::new();
    let text = match output {
        Output::Json => value.to_string(),
        Output::Text => text(value),
    };
    let line = text.trim_end_matches('\n');
    ended(
        out.put(|to| writeln!(to, "{line}"))
            .and_then(|()| out.flush()),
    )
}

/// Rows under their titles, columns as wide as their widest.
pub(super) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(titles[column].len())
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&mut titles.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// A list of objects as rows of these fields.
pub(super) fn rows(list: &Value, fields: &[&str]) -> Vec<Vec<String>> {
    let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let row = |object: &Value| fields.iter().map(|field| cell(&object[*field])).collect();
    list.iter().map(row).collect()
}

/// A field for a table: strings as they are, null as nothing.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(cell).collect::<Vec<_>>().join(" "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["events".into(), "8".into()],
            vec!["e".into(), "12".into()],
        ];
        assert_eq!(
            table(&["NAME", "N"], &rows),
            "NAME    N\nevents  8\ne       12\n"
        );
    }

    #[test]
    fn fields_are_short() {
        assert_eq!(cell(&json!(["a/#", "b"])), "a/# b");
        assert_eq!(cell(&json!(null)), "");
        assert_eq!(cell(&json!(7)), "7");
    }

    #[test]
    fn a_reader_that_has_enough_is_no_failure() {
        assert!(ended(Err(io::Error::from(ErrorKind::BrokenPipe).into())).is_ok());
        assert!(ended(Err(io::Error::from(ErrorKind::StorageFull).into())).is_err());
    }
}
