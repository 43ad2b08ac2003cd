//! The reserved topics, and what names may look like.

use core::fmt;

/// Reserved topics of version 1 begin so.
pub const TOPIC_PREFIX: &str = "$hw/1/";
/// The longest stream name in bytes.
pub const STREAM_BYTES_MAX: usize = 200;
/// The longest lane name in bytes.
pub const LANE_BYTES_MAX: usize = 32;
/// The longest device name in bytes.
pub const DEVICE_BYTES_MAX: usize = 128;
/// The lane that an agent uses if nothing asks for another.
pub const LANE_DEFAULT: &str = "main";

/// A reserved topic; `to_string` or `write!` gives it as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic<'a> {
    /// `$hw/1/resume/…`: opens a lane.
    Resume(LaneTopic<'a>),
    /// `$hw/1/batch/…`: one record batch.
    Batch(LaneTopic<'a>),
    /// `$hw/1/repair/…`: asks for the next generation.
    Repair(LaneTopic<'a>),
    /// `$hw/1/status`: the agent's status.
    Status,
}

/// The lane that a topic names; the device is that of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LaneTopic<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// The lane's name.
    pub lane: &'a str,
    /// Generation, from 0, one more with each repair.
    pub generation: u32,
}

/// Why a topic or name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicError {
    /// Not one of the reserved topics.
    Unknown,
    /// Not `[A-Za-z0-9._-]{1,200}`, or `.` or `..`.
    Stream,
    /// Not `[a-z0-9-]{1,32}`.
    Lane,
    /// Not `[A-Za-z0-9._:-]{1,128}`.
    Device,
    /// Not a decimal number of 32 bits without leading zeros.
    Generation,
}

impl<'a> Topic<'a> {
    /// Reads a reserved topic; each has one spelling only.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub fn parse(topic: &'a str) -> Result<Self, TopicError> {
        let rest = topic
            .strip_prefix(TOPIC_PREFIX)
            .ok_or(TopicError::Unknown)?;
        match rest.split_once('/') {
            Some(("batch", lane)) => LaneTopic::parse(lane).map(Self::Batch),
            Some(("resume", lane)) => LaneTopic::parse(lane).map(Self::Resume),
            Some(("repair", lane)) => LaneTopic::parse(lane).map(Self::Repair),
            None if rest == "status" => Ok(Self::Status),
            _ => Err(TopicError::Unknown),
        }
    }
}

impl<'a> LaneTopic<'a> {
    fn parse(text: &'a str) -> Result<Self, TopicError> {
        let (stream, rest) = text.split_once('/').ok_or(TopicError::Unknown)?;
        let (lane, generation) = rest.split_once('/').ok_or(TopicError::Unknown)?;
        check_stream(stream)?;
        check_lane(lane)?;
        Ok(Self {
            stream,
            lane,
            generation: parse_generation(generation)?,
        })
    }
}

/// Checks a stream's name: `[A-Za-z0-9._-]{1,200}`, and as Kafka has it neither `.` nor `..`.
///
/// # Errors
/// [`TopicError::Stream`].
pub fn check_stream(name: &str) -> Result<(), TopicError> {
    let dots = matches!(name, "." | "..");
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    check(name, STREAM_BYTES_MAX, legal, TopicError::Stream).and(if dots {
        Err(TopicError::Stream)
    } else {
        Ok(())
    })
}

/// Checks a lane's name: `[a-z0-9-]{1,32}`.
///
/// # Errors
/// [`TopicError::Lane`].
pub fn check_lane(name: &str) -> Result<(), TopicError> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    check(name, LANE_BYTES_MAX, legal, TopicError::Lane)
}

/// Checks a device's name: `[A-Za-z0-9._:-]{1,128}`.
///
/// # Errors
/// [`TopicError::Device`].
pub fn check_device(name: &str) -> Result<(), TopicError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte);
    check(name, DEVICE_BYTES_MAX, legal, TopicError::Device)
}

/// The device that an anonymous agent's client id names: what is before the first `~`, or all.
#[must_use]
pub fn device_of_client_id(client_id: &str) -> &str {
    client_id
        .split_once('~')
        .map_or(client_id, |(device, _)| device)
}

fn check(
    name: &str,
    bytes_max: usize,
    legal: impl Fn(u8) -> bool,
    error: TopicError,
) -> Result<(), TopicError> {
    let fits = (1..=bytes_max).contains(&name.len());
    if fits && name.bytes().all(legal) {
        Ok(())
    } else {
        Err(error)
    }
}

fn parse_generation(text: &str) -> Result<u32, TopicError> {
    super::position::parse_decimal(text)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or(TopicError::Generation)
}

impl fmt::Display for Topic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resume(lane) => write!(f, "{TOPIC_PREFIX}resume/{lane}"),
            Self::Batch(lane) => write!(f, "{TOPIC_PREFIX}batch/{lane}"),
            Self::Repair(lane) => write!(f, "{TOPIC_PREFIX}repair/{lane}"),
            Self::Status => write!(f, "{TOPIC_PREFIX}status"),
        }
    }
}

/// `<stream>/<lane>/<generation>`, as in topics.
impl fmt::Display for LaneTopic<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.stream, self.lane, self.generation)
    }
}

impl fmt::Display for TopicError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Topic is not one that agents publish to",
            Self::Stream => "Stream name is not [A-Za-z0-9._-]{1,200}",
            Self::Lane => "Lane name is not [a-z0-9-]{1,32}",
            Self::Device => "Device name is not [A-Za-z0-9._:-]{1,128}",
            Self::Generation => "Generation is not a decimal number",
        })
    }
}

impl core::error::Error for TopicError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_round_trip() {
        let lane = LaneTopic {
            stream: "events",
            lane: "main",
            generation: 7,
        };
        for (topic, text) in [
            (Topic::Resume(lane), "$hw/1/resume/events/main/7"),
            (Topic::Batch(lane), "$hw/1/batch/events/main/7"),
            (Topic::Repair(lane), "$hw/1/repair/events/main/7"),
            (Topic::Status, "$hw/1/status"),
        ] {
            assert_eq!(topic.to_string(), text);
            assert_eq!(Topic::parse(text), Ok(topic));
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for (text, error) in [
            ("$hw/2/status", TopicError::Unknown),
            ("$hw/1/status/", TopicError::Unknown),
            ("$hw/1/batch", TopicError::Unknown),
            ("$hw/1/batch/events/main", TopicError::Unknown),
            ("$hw/1/batch//main/0", TopicError::Stream),
            ("$hw/1/batch/../main/0", TopicError::Stream),
            ("$hw/1/batch/events/Main/0", TopicError::Lane),
            ("$hw/1/batch/events/main/", TopicError::Generation),
            ("$hw/1/batch/events/main/00", TopicError::Generation),
            ("$hw/1/batch/events/main/+1", TopicError::Generation),
            ("$hw/1/batch/events/main/4294967296", TopicError::Generation),
            ("$hw/1/batch/events/main/0/0", TopicError::Generation),
        ] {
            assert_eq!(Topic::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn names() {
        assert_eq!(check_device("gw-1.plant:A_b"), Ok(()));
        for bad in ["", "a/b", "a~b", "\u{e4}", &"x".repeat(129)] {
            assert_eq!(check_device(bad), Err(TopicError::Device));
        }
        assert_eq!(check_stream(&"x".repeat(200)), Ok(()));
        assert_eq!(check_stream(&"x".repeat(201)), Err(TopicError::Stream));
        assert_eq!(check_lane(&"x".repeat(33)), Err(TopicError::Lane));
        assert_eq!(device_of_client_id("gw-1~0123abcd"), "gw-1");
        assert_eq!(device_of_client_id("gw-1"), "gw-1");
    }
}
