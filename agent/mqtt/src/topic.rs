//! Topic names and topic filters (section 4.7), and the strings they are made of.

use crate::{Bad, Reason, Version};

/// A topic name of at least one byte: UTF-8 without U+0000 and wildcards.
///
/// # Errors
/// Malformed, as MQTT-1.5.4, MQTT-3.3.2-2 and MQTT-4.7.3-1 say.
pub fn name(bytes: &[u8]) -> Result<&str, Bad> {
    match name_or_empty(bytes)? {
        "" => Err(Bad::malformed("Empty topic name [MQTT-4.7.3-1]")),
        name => Ok(name),
    }
}

/// A topic filter: `+` fills one level, `#` the last one (MQTT-4.7.1-1, MQTT-4.7.1-2), and in
/// version 5 `$share/NAME/` before it is well formed (MQTT-4.8.2-1, MQTT-4.8.2-2).
///
/// # Errors
/// A string that is not UTF-8 or holds U+0000 is malformed; a filter whose wildcards or share name
/// are misplaced has reason 0x8F.
pub fn filter(bytes: &[u8], version: Version) -> Result<&str, Bad> {
    let filter = text(bytes)?;
    let rest = match filter.strip_prefix("$share/") {
        Some(shared) if version == Version::V5 => shared_filter(shared)?,
        _ => filter,
    };
    if rest.is_empty() {
        return Err(invalid("Empty topic filter [MQTT-4.7.3-1]"));
    }
    let mut levels = rest.split('/').peekable();
    while let Some(level) = levels.next() {
        let last = levels.peek().is_none();
        if level.len() > 1 && level.contains(['+', '#']) || level == "#" && !last {
            return Err(invalid("Misplaced wildcard [MQTT-4.7.1-1]"));
        }
    }
    Ok(filter)
}

/// Whether this filter asks for a shared subscription (section 4.8.2).
pub fn is_shared(filter: &str) -> bool {
    filter.starts_with("$share/")
}

/// A string: UTF-8 (which excludes surrogates, MQTT-1.5.4-1) without U+0000 (MQTT-1.5.4-2).
///
/// # Errors
/// Malformed.
pub fn text(bytes: &[u8]) -> Result<&str, Bad> {
    let text = str::from_utf8(bytes).map_err(|_| NOT_UTF8)?;
    if bytes.contains(&0) {
        return Err(ZERO);
    }
    Ok(text)
}

fn shared_filter(shared: &str) -> Result<&str, Bad> {
    match shared.split_once('/') {
        Some((name, rest)) if !name.is_empty() && !name.contains(['+', '#']) => Ok(rest),
        _ => Err(invalid("Bad share name [MQTT-4.8.2-1]")),
    }
}

const fn invalid(why: &'static str) -> Bad {
    Bad {
        reason: Reason::TOPIC_FILTER_INVALID,
        why,
    }
}

/// A topic name that may be empty, as beside a topic alias.
pub(crate) fn name_or_empty(bytes: &[u8]) -> Result<&str, Bad> {
    // One pass without branches decides for nearly all topics; only the rest is looked at again.
    let odd = bytes.iter().fold(false, |odd, &b| {
        odd | !(0x01..=0x7f).contains(&b) | (b == b'#') | (b == b'+')
    });
    if odd && bytes.contains(&0) {
        return Err(ZERO);
    }
    if odd && bytes.iter().any(|b| matches!(b, b'#' | b'+')) {
        return Err(Bad::malformed("Wildcard in a topic name [MQTT-3.3.2-2]"));
    }
    str::from_utf8(bytes).map_err(|_| NOT_UTF8)
}

const NOT_UTF8: Bad = Bad::malformed("String is not UTF-8 [MQTT-1.5.4-1]");
const ZERO: Bad = Bad::malformed("String holds U+0000 [MQTT-1.5.4-2]");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "/", "a//b", "$SYS/x", "gr\u{fc}n/\u{1f331}"] {
            assert_eq!(name(good.as_bytes()), Ok(good));
        }
        for bad in [&b""[..], b"a/#", b"+", b"a\0b", b"\xff", b"\xed\xa0\x80"] {
            assert!(name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn filters() {
        for good in [
            "#",
            "+",
            "a/+/b",
            "a/#",
            "/",
            "+/+",
            "$share/g/a/#",
            "$share/g//",
            "$share",
        ] {
            assert_eq!(filter(good.as_bytes(), Version::V5), Ok(good));
        }
        for bad in [
            "",
            "a#",
            "a/#/b",
            "+a",
            "a/b+",
            "##",
            "$share/g",
            "$share//a",
            "$share/+/a",
            "$share/g/",
        ] {
            let reason = filter(bad.as_bytes(), Version::V5).unwrap_err().reason;
            assert_eq!(reason, Reason::TOPIC_FILTER_INVALID, "{bad}");
        }
        assert!(
            filter(b"$share/g", Version::V311).is_ok(),
            "an ordinary topic before version 5"
        );
    }
}
