//! Frames that no honest client sends: each is refused, none panics, none makes the decoder
//! allocate what it announces (an abort would end the test).

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::MetadataRequest;
use proptest::prelude::*;

use super::requests::any_frame;
use super::{frame, groups, raw_frame};
use crate::scan::{ELEMENTS_MAX, ScanError, TAGS_MAX};
use crate::{Incoming, ParseError, Request, api_versions, metadata, parse};

/// A small generator, so that a failing case is a seed.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).expect("31 bits") % below.max(1)
    }
}

/// Breaks a frame in one of the ways that matter: flipped bits, huge or negative lengths written
/// over something, cut short, made longer.
fn mutate(frame: &Bytes, random: &mut Xorshift) -> Bytes {
    let mut bytes = BytesMut::from(&frame[..]);
    for _ in 0..=random.next(3) {
        let at = random.next(bytes.len());
        match random.next(5) {
            0 => bytes[at] ^= 1 << random.next(8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.next(5)],
            2 => {
                let huge: [u8; 5] = [0x7f, 0xff, 0xff, 0xff, 0x0f];
                let until = bytes.len().min(at + 5);
                bytes[at..until].copy_from_slice(&huge[..until - at]);
            }
            3 => bytes.truncate(at.max(1)),
            _ => bytes.extend_from_slice(&[0xff; 3][..1 + random.next(3)]),
        }
    }
    bytes.freeze()
}

/// Everything that the decoder built must have been paid for with bytes of the frame.
fn elements(incoming: &Incoming) -> usize {
    match &incoming.request {
        Request::Produce(request) => request.topics.iter().map(|t| 1 + t.partitions.len()).sum(),
        Request::Fetch(request) => request.topics.iter().map(|t| 1 + t.partitions.len()).sum(),
        Request::ListOffsets(request) => {
            request.topics.iter().map(|t| 1 + t.partitions.len()).sum()
        }
        Request::Metadata(request) => request.topics.as_ref().map_or(0, Vec::len),
        Request::CreateTopics(request) => {
            let topics = request.topics.iter();
            let places = |t: &crate::create_topics::Topic| {
                let places = t.assignments.iter().map(|place| 1 + place.brokers.len());
                1 + t.configs.len() + places.sum::<usize>()
            };
            topics.map(places).sum()
        }
        Request::DeleteTopics(request) => request.topics.len(),
        Request::OffsetForLeaderEpoch(request) => {
            request.topics.iter().map(|t| 1 + t.partitions.len()).sum()
        }
        Request::DescribeConfigs(request) => {
            let keys = request
                .resources
                .iter()
                .map(|r| r.keys.as_ref().map_or(0, Vec::len));
            request.resources.len() + keys.sum::<usize>()
        }
        other => groups::elements(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_frame_costs_nothing(frame in any_frame(), seed in 1u64..) {
        let mut random = Xorshift(seed);
        for _ in 0..16 {
            let broken = mutate(&frame, &mut random);
            if let Ok(incoming) = parse(&broken) {
                prop_assert!(elements(&incoming) <= broken.len());
            }
        }
    }

    #[test]
    fn a_frame_cut_short_is_refused(frame in any_frame()) {
        for bytes in 0..frame.len() {
            // Only ApiVersions of an unknown version needs no body, and these are known ones.
            prop_assert!(parse(&frame.slice(..bytes)).is_err());
        }
    }

    #[test]
    fn noise_is_refused_or_harmless(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(parse(&Bytes::from(bytes)));
    }
}

#[test]
fn a_count_beyond_the_frame_is_refused_before_decoding() {
    // Seven bytes that made the decoder ask for 154 GB.
    let legacy = raw_frame(3, 1, &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0]);
    let refused = ScanError::Count {
        field: "topics",
        count: 0x7fff_ffff,
        most: 1,
    };
    assert_eq!(parse(&legacy), Err(ParseError::Shape(refused)));
    let compact = [0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0];
    assert!(parse(&raw_frame(3, 9, &compact)).is_err());
    let negative = raw_frame(3, 1, &[0xff, 0xff, 0xff, 0xfe]);
    let refused = ScanError::Length { field: "topics" };
    assert_eq!(parse(&negative), Err(ParseError::Shape(refused)));
}

#[test]
fn one_request_has_a_bounded_number_of_elements() {
    let topics = ELEMENTS_MAX + 1;
    let mut body = u32::try_from(topics).unwrap().to_be_bytes().to_vec();
    body.extend(std::iter::repeat_n([0, 1, b't'], topics).flatten());
    let refused = parse(&raw_frame(3, 1, &body));
    assert!(matches!(
        refused,
        Err(ParseError::Shape(ScanError::Count { .. }))
    ));
}

#[test]
fn a_structure_has_a_bounded_number_of_unknown_tagged_fields() {
    for (count, accepted) in [(TAGS_MAX, true), (TAGS_MAX + 1, false)] {
        let tags = (0..count).map(|tag| (i32::try_from(tag).unwrap() + 100, Bytes::new()));
        let body = MetadataRequest::default().with_unknown_tagged_fields(tags.collect());
        assert_eq!(parse(&frame(3, 12, &body)).is_ok(), accepted, "{count}");
    }
}

#[test]
fn a_known_tagged_field_must_fill_its_size() {
    // Fetch 12: no topics, no forgotten ones, empty rack, then tag 0 (cluster id) of 3 bytes that
    // holds a string of 1 byte.
    let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
    body.extend([1, 1, 1, 1, 0, 3, 2, b'x', 0]);
    let mut with_tags = vec![0];
    with_tags.extend(&body);
    let refused = parse(&raw_frame(1, 12, &with_tags));
    let expected = ScanError::TagSize {
        field: "cluster_id",
    };
    assert_eq!(refused, Err(ParseError::Shape(expected)));
}

/// What librdkafka 2.16 sends for `list_topics()`: the null array takes 4 bytes instead of 1.
#[test]
fn bytes_behind_the_request_are_ignored() {
    let body = [0, 0, 0, 0, 0, 1, 0, 0];
    let incoming = parse(&raw_frame(3, 12, &body)).unwrap();
    let expected = metadata::Request {
        topics: None,
        allow_auto_create: false,
    };
    assert_eq!(incoming.request, Request::Metadata(expected));
}

#[test]
fn apis_and_versions_that_are_not_offered_cannot_be_answered() {
    for (key, version) in [
        (0, 2),
        (0, 12),
        (1, 3),
        (1, 18),
        (3, 13),
        (3, -1),
        (99, 0),
        (10, 6),
    ] {
        let refused = ParseError::Unsupported { key, version };
        assert_eq!(parse(&raw_frame(key, version, &[])), Err(refused));
    }
}

#[test]
fn api_versions_of_any_version_can_be_answered() {
    for version in [5, 99, i16::MAX, -1] {
        let incoming = parse(&raw_frame(18, version, b"anything")).unwrap();
        assert_eq!(
            (incoming.header.version, incoming.header.correlation_id),
            (0, 77)
        );
        let expected = Request::ApiVersions(api_versions::Request::TooHigh);
        assert_eq!(incoming.request, expected);
    }
}
