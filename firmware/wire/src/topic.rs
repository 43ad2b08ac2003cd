//! MQTT topic names and filters (MQTT 5, section 4.7).

use core::fmt;

/// The longest topic name or filter, in bytes.
pub const BYTES_MAX: usize = 65_535;

/// Why bytes are no topic name or filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError {
    /// No byte at all.
    Empty,
    /// More than [`BYTES_MAX`] bytes.
    TooLong,
    /// Not UTF-8.
    Encoding,
    /// U+0000 in it.
    Null,
    /// A wildcard in a name, or in a filter at a place where it may not stand.
    Wildcard,
}

/// Checks a topic name, one to publish to, and gives it as text.
///
/// # Errors
/// See [`TopicError`].
pub fn check_name(name: &[u8]) -> Result<&str, TopicError> {
    if name.iter().any(|byte| matches!(byte, b'+' | b'#')) {
        return Err(TopicError::Wildcard);
    }
    check_text(name)
}

/// Checks a topic filter and gives it as text. `$share/…` is not looked into: take the group off
/// first.
///
/// # Errors
/// See [`TopicError`].
pub fn check_filter(filter: &[u8]) -> Result<&str, TopicError> {
    let filter = check_text(filter)?;
    let mut rest = levels(filter);
    while let Some(level) = rest.next() {
        let last = rest.clone().next().is_none();
        let legal = match level {
            "+" => true,
            "#" => last,
            _ => !level.contains(['+', '#']),
        };
        if !legal {
            return Err(TopicError::Wildcard);
        }
    }
    Ok(filter)
}

/// Whether `filter` matches `topic`. `#` and `+` at the front never match a topic that begins with
/// `$`; `a/#` matches `a` too.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['#', '+']) {
        return false;
    }
    let mut levels_left = levels(topic);
    for wanted in levels(filter) {
        if wanted == "#" {
            return true;
        }
        match levels_left.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels_left.next().is_none()
}

/// The levels of a topic or filter, from the left; `a//b` has three, of which one is empty.
#[must_use]
pub fn levels(topic: &str) -> Levels<'_> {
    topic.split('/')
}

/// What [`levels`] gives.
pub type Levels<'a> = core::str::Split<'a, char>;

fn check_text(bytes: &[u8]) -> Result<&str, TopicError> {
    match bytes.len() {
        0 => return Err(TopicError::Empty),
        1..=BYTES_MAX => {}
        _ => return Err(TopicError::TooLong),
    }
    if bytes.contains(&0) {
        return Err(TopicError::Null);
    }
    core::str::from_utf8(bytes).map_err(|_| TopicError::Encoding)
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "Topic is empty",
            Self::TooLong => "Topic is longer than 65535 bytes",
            Self::Encoding => "Topic is not UTF-8",
            Self::Null => "Topic contains U+0000",
            Self::Wildcard => "Topic contains a wildcard where none may stand",
        })
    }
}

impl core::error::Error for TopicError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_match() {
        for (filter, topic, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+/c", "a/b/c", true),
            ("a/+", "a/", true),
            ("a/+", "a", false),
            ("+", "a/b", false),
            ("+/+", "/b", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("a/#", "ab", false),
            ("#", "a", true),
            ("#", "$SYS/x", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/x", true),
            ("$SYS/+", "$SYS/x", true),
            ("a/#", "a/$x", true),
            ("A", "a", false),
        ] {
            assert_eq!(matches(filter, topic), expected, "{filter} {topic}");
        }
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(check_name(b"a/b"), Ok("a/b"));
        assert_eq!(check_name("/\u{fc}".as_bytes()), Ok("/\u{fc}"));
        for (name, error) in [
            (&b""[..], TopicError::Empty),
            (&[b'a'; BYTES_MAX + 1], TopicError::TooLong),
            (b"\xff", TopicError::Encoding),
            (b"a\0", TopicError::Null),
            (b"a+", TopicError::Wildcard),
            (b"#", TopicError::Wildcard),
        ] {
            assert_eq!(check_name(name), Err(error));
        }
    }

    #[test]
    fn filters_are_checked() {
        for good in ["#", "+", "a/#", "+/+/#", "/", "a//b", "$hw/1/#"] {
            assert_eq!(check_filter(good.as_bytes()), Ok(good));
        }
        for bad in ["a#", "#/a", "a+/b", "a/b+", "a/#/c", "##", "++"] {
            assert_eq!(check_filter(bad.as_bytes()), Err(TopicError::Wildcard));
        }
        assert_eq!(check_filter(b""), Err(TopicError::Empty));
    }
}
