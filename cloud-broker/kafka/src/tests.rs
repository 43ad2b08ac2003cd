//! Every API in every version, against the codec crate's client side.

mod groups;
mod hostile;
mod requests;
mod responses;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, StrBytes};

/// What a client sends: header and body, without the length.
fn frame<T: Encodable>(key: i16, version: i16, body: &T) -> Bytes {
    let mut frame = BytesMut::new();
    let header = RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(77)
        .with_client_id(Some(StrBytes::from_static_str("tester")));
    let api = ApiKey::try_from(key).expect("the crate knows all keys of the table");
    header
        .encode(&mut frame, api.request_header_version(version))
        .expect("any header can be encoded");
    body.encode(&mut frame, version)
        .expect("the strategy only sets fields of this version");
    frame.freeze()
}

/// A frame with a hand-made body, non-flexible header.
fn raw_frame(key: i16, version: i16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(77);
    frame.put_i16(-1);
    frame.put_slice(body);
    frame.freeze()
}
