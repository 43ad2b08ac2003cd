//! Sessions at the Kafka door, read by a codec that is not ours.

use std::collections::VecDeque;
use std::net::SocketAddr;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{ApiKey, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, VersionRange};

use super::Session;
use super::bytes::{mutate, noise, pick};
use super::link::Link;
use super::requests::{APIS, frame, request};
use crate::rng::Rng;

/// No answer is longer.
const FRAME_BYTES_MAX: usize = 70 << 20;
const LENGTH_BYTES: usize = 4;

/// A request that waits for its answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) api: ApiKey,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
}

pub(super) fn session(address: SocketAddr, random: &mut Rng) -> Result<Session, String> {
    let mut link = Link::connect(address)?;
    let is_plain = random.one_in(3);
    let mut pending = VecDeque::new();
    let mut answers = 0;
    let mut is_wild = false;
    for number in 0..=random.below(20) {
        let Some((expected, mut bytes)) = draw(random, number, is_plain) else {
            continue;
        };
        if !is_plain && random.one_in(4) {
            mutate(random, &mut bytes);
            is_wild = true;
        }
        if !is_plain && random.one_in(20) {
            bytes = noise(random, 400);
            is_wild = true;
        }
        pending.push_back(expected);
        link.send(random, &bytes);
        if random.one_in(2) {
            link.glance();
        }
        // From the first bytes on that are wrong nobody knows what is answered.
        if !is_wild {
            answers += take(&mut link, &mut pending)?;
        }
        if link.is_closed {
            break;
        }
    }
    // As at Kafka's own brokers, who sends no more is gone.
    if !is_plain && random.one_in(3) {
        link.half_close();
    } else {
        link.flush();
    }
    while is_plain && !pending.is_empty() {
        link.wait(|received| whole(received).is_some())?;
        answers += take(&mut link, &mut pending)?;
        if link.is_closed && !pending.is_empty() {
            return Err(format!("Closed, and these are not answered: {pending:?}"));
        }
    }
    Ok(Session { answers, is_plain })
}

/// A request. A plain one is of an API and version that the broker speaks and does not wait for
/// other clients.
fn draw(random: &mut Rng, number: u64, is_plain: bool) -> Option<(Pending, Vec<u8>)> {
    let api = pick(random, APIS);
    let spoken = headwater_kafka::Api::by_key(api as i16);
    let VersionRange { min, max } = api.valid_versions();
    let range = match spoken {
        Some(spoken) => spoken.served_min..=spoken.max.min(max),
        None if is_plain => return None,
        None => min..=max,
    };
    if is_plain && matches!(api, ApiKey::JoinGroup | ApiKey::SyncGroup) {
        return None;
    }
    let versions = range.collect::<Vec<_>>();
    let version = pick(random, &versions);
    let correlation_id = i32::try_from(number).unwrap_or(0) * 7 - 20;
    let request = request(random, api)?;
    let expected = Pending {
        api,
        version,
        correlation_id,
    };
    Some((expected, frame(&request, api, version, correlation_id)?))
}

/// Takes the whole answers that have come; gives how many.
pub(super) fn take(link: &mut Link, pending: &mut VecDeque<Pending>) -> Result<u64, String> {
    let mut count = 0;
    while let Some(length) = whole(&link.received) {
        if length > FRAME_BYTES_MAX {
            return Err(format!("Answer of {length} bytes"));
        }
        let expected = pending.pop_front().ok_or("Answer to nothing")?;
        let body: Vec<u8> = link
            .received
            .drain(..LENGTH_BYTES + length)
            .skip(LENGTH_BYTES)
            .collect();
        decode(expected, body.into())?;
        count += 1;
    }
    Ok(count)
}

/// Decodes an answer to the last byte.
pub(super) fn decode(expected: Pending, mut body: Bytes) -> Result<ResponseKind, String> {
    let Pending {
        api,
        version,
        correlation_id,
    } = expected;
    let bad = |what: String| format!("Bad answer to {expected:?}: {what}");
    let header = ResponseHeader::decode(&mut body, api.response_header_version(version));
    let header = header.map_err(|e| bad(e.to_string()))?;
    if header.correlation_id != correlation_id {
        return Err(bad(format!("correlation id {}", header.correlation_id)));
    }
    let response = ResponseKind::decode(api, &mut body, version).map_err(|e| bad(e.to_string()))?;
    if body.has_remaining() {
        return Err(bad(format!("{} bytes are left", body.remaining())));
    }
    Ok(response)
}

/// Length of the first answer, once it is there.
pub(super) fn whole(received: &[u8]) -> Option<usize> {
    let length = u32::from_be_bytes(*received.first_chunk()?);
    let length = usize::try_from(length).ok()?;
    (received.len() >= LENGTH_BYTES + length || length > FRAME_BYTES_MAX).then_some(length)
}
