//! What a consumer says it reads, as far as the broker must know
//! (apache/kafka: `ConsumerProtocolSubscription.json`).

/// The protocol type of consumers; other members say what they like.
pub(super) const CONSUMER: &str = "consumer";

/// Whether a subscription names this topic. What cannot be understood names none.
pub(super) fn reads(metadata: &[u8], topic: &str) -> bool {
    topics(metadata).is_some_and(|mut topics| topics.any(|name| name == topic.as_bytes()))
}

/// Version, then an array of topics; later versions add fields behind it.
fn topics(metadata: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    let mut left = i32::from_be_bytes(*count);
    Some(std::iter::from_fn(move || {
        left = left.checked_sub(1).filter(|left| *left >= 0)?;
        let (bytes, behind) = rest.split_first_chunk::<2>()?;
        let bytes = usize::try_from(i16::from_be_bytes(*bytes)).ok()?;
        let (name, behind) = behind.split_at_checked(bytes)?;
        rest = behind;
        Some(name)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_are_found_and_nonsense_is_passed_over() {
        let metadata = b"\0\x01\0\0\0\x02\0\x01a\0\x06eventsuser data";
        assert!(reads(metadata, "events") && reads(metadata, "a"));
        assert!(!reads(metadata, "event") && !reads(metadata, "user data"));
        for end in 0..17 {
            assert!(!reads(&metadata[..end], "events"), "cut at {end}");
        }
        assert!(!reads(b"\0\0\xff\xff\xff\xff\0\x01a", "a"));
        assert!(!reads(b"\0\0\x7f\xff\xff\xff\xff\xff", ""));
    }
}
