//! The text form of a stream's identity, as in `topic_id` and in the catalog.

use crate::StreamId;

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, lower case.
#[must_use]
pub fn format(id: &StreamId) -> String {
    let mut text = String::with_capacity(36);
    for (at, byte) in id.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(HEX[usize::from(nibble)]));
        }
    }
    text
}

/// Reads what [`format()`] writes, in either case; `None` for anything else.
#[must_use]
pub fn parse(text: &str) -> Option<StreamId> {
    let groups: Vec<&str> = text.split('-').collect();
    let sizes: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    if sizes != [8, 4, 4, 4, 12] || !text.is_ascii() {
        return None;
    }
    let digits: String = groups.concat();
    let mut id = StreamId::default();
    for (byte, at) in id.iter_mut().zip((0..32).step_by(2)) {
        let pair = digits.get(at..at + 2)?;
        if pair.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(id)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        let id = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\xfd\xfe\xff";
        assert_eq!(format(&id), "00010203-0405-0607-0809-0a0b0cfdfeff");
        assert_eq!(parse(&format(&id)), Some(id));
        assert_eq!(parse("00010203-0405-0607-0809-0A0B0CFDFEFF"), Some(id));
        for bad in [
            "",
            "0001",
            "00010203-0405-0607-0809-0a0b0cfdfe+f",
            "000102030405060708090a0b0cfdfeff",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
