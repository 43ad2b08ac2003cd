//! Bytes into lines, without ever holding more than a line may have.

/// Cuts lines. It keeps no bytes: the caller gives them again until a line is whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cutter {
    /// What a line may have.
    pub(super) line_bytes_max: usize,
    /// Whether what follows, up to a newline, belongs to a line that was too long.
    pub(super) is_skipping: bool,
}

/// What lies at the front of the bytes. `used` of them are done with.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cut<'a> {
    /// A line.
    Line { value: &'a [u8], used: usize },
    /// The front of a line that is too long; its rest is skipped.
    TooLong { front: &'a [u8], used: usize },
    /// A part of a line that was too long.
    Skipped { used: usize },
    /// The front of a line, or nothing.
    More,
}

impl Cutter {
    /// What is at the front of `bytes`.
    pub(super) fn cut<'a>(&mut self, bytes: &'a [u8]) -> Cut<'a> {
        let newline = |bytes: &[u8]| bytes.iter().position(|byte| *byte == b'\n');
        if self.is_skipping {
            let end = newline(bytes);
            self.is_skipping = end.is_none();
            return match end.map_or(bytes.len(), |end| end + 1) {
                0 => Cut::More,
                used => Cut::Skipped { used },
            };
        }
        // A carriage return and the newline may follow what counts.
        let whole_max = self.line_bytes_max + 2;
        match newline(&bytes[..bytes.len().min(whole_max)]) {
            Some(end) => self.line(&bytes[..end], end + 1),
            None if bytes.len() >= whole_max => {
                self.is_skipping = true;
                Cut::TooLong {
                    front: &bytes[..self.line_bytes_max],
                    used: whole_max,
                }
            }
            None => Cut::More,
        }
    }

    /// What is left when nothing more comes: a line without its newline.
    pub(super) fn last<'a>(&mut self, bytes: &'a [u8]) -> Cut<'a> {
        match self.cut(bytes) {
            Cut::More if !bytes.is_empty() => self.line(bytes, bytes.len()),
            cut => cut,
        }
    }

    fn line<'a>(&self, line: &'a [u8], used: usize) -> Cut<'a> {
        let value = line.strip_suffix(b"\r").unwrap_or(line);
        if value.len() > self.line_bytes_max {
            let front = &value[..self.line_bytes_max];
            return Cut::TooLong { front, used };
        }
        Cut::Line { value, used }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All lines of `text`, given in parts of `step` bytes; those too long begin with `!`.
    fn lines(text: &[u8], step: usize, line_bytes_max: usize) -> Vec<Vec<u8>> {
        let mut cutter = Cutter {
            line_bytes_max,
            is_skipping: false,
        };
        let mut found = Vec::new();
        let mut held = Vec::new();
        let mut put = |cut: Cut<'_>| match cut {
            Cut::Line { value, used } => {
                found.push(value.to_vec());
                used
            }
            Cut::TooLong { front, used } => {
                found.push([b"!", front].concat());
                used
            }
            Cut::Skipped { used } => used,
            Cut::More => 0,
        };
        for part in text.chunks(step) {
            held.extend_from_slice(part);
            while let used @ 1.. = put(cutter.cut(&held)) {
                held.drain(..used);
            }
            assert!(held.len() < line_bytes_max + 2 + step);
        }
        while let used @ 1.. = put(cutter.last(&held)) {
            held.drain(..used);
        }
        found
    }

    #[test]
    fn newlines_carriage_returns_and_the_last_line() {
        let text = b"a\r\n\nb\rc\n\r\nlast";
        let expected: [&[u8]; 5] = [b"a", b"", b"b\rc", b"", b"last"];
        assert_eq!(lines(text, 100, 10), expected);
        assert_eq!(lines(b"", 1, 10), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn long_lines_give_their_front_and_are_skipped() {
        let text = b"1234\r\n12345\n123456789\nx\n12345";
        let expected: [&[u8]; 5] = [b"1234", b"!1234", b"!1234", b"x", b"!1234"];
        for step in 1..text.len() {
            assert_eq!(lines(text, step, 4), expected, "in parts of {step}");
        }
    }

    proptest! {
        #[test]
        fn parts_do_not_matter(text in "[ab\r\n]{0,60}", step in 1_usize..20, max in 1_usize..8) {
            prop_assert_eq!(lines(text.as_bytes(), step, max), lines(text.as_bytes(), 1000, max));
        }
    }
}
