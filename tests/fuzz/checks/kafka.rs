//! Kafka requests.

use bytes::Bytes;
use headwater_kafka::{APIS, ParseError, frame_bytes, parse};

use super::Check;

/// Any bytes as a frame of every API and version: never more memory than a small multiple of the
/// frame, whatever its counts announce.
pub const KAFKA_REQUEST: Check = Check {
    name: "kafka_request",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 256,
};

fn run(bytes: &[u8]) {
    let length = frame_bytes(bytes, 1 << 20);
    assert!(length.is_err() || length.is_ok_and(|bytes| bytes.is_none_or(|n| n <= 1 << 20)));
    request(Bytes::copy_from_slice(bytes));
    if let Some(steered) = steered(bytes) {
        request(steered);
    }
}

fn request(frame: Bytes) {
    match parse(&frame) {
        Ok(incoming) => assert!(format!("{incoming:?}").len() > 2),
        Err(ParseError::Unsupported { key, version }) => {
            assert_eq!(
                [key.to_be_bytes(), version.to_be_bytes()].concat(),
                frame[..4]
            );
        }
        Err(ParseError::Shape(_) | ParseError::Value(_)) => {}
    }
}

/// The same body with key and version of a line of the table, so that chance need not find them.
fn steered(bytes: &[u8]) -> Option<Bytes> {
    let (&[which, version], rest) = bytes.split_first_chunk()?;
    let api = &APIS[usize::from(which) % APIS.len()];
    let versions = api.max - api.served_min + 1;
    let version = api.served_min + i16::from(version) % versions;
    let fixed = [api.key.to_be_bytes(), version.to_be_bytes()].concat();
    Some([&fixed, rest].concat().into())
}
