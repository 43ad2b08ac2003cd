//! What agent and broker say to each other: topics and payloads one way, properties the other.

use headwater_agent_core::handshake::{ResumeAnswer, TopicId};
use headwater_agent_core::refusal::Refusal;
use headwater_broker_core::uuid;
use headwater_wire::uplink::{
    self, LossReason, LostRange, RepairReason, RepairRequest, Resume, Topic, property,
};

use super::Check;

/// Lines: a topic, a payload of it, and then properties as `name=value`.
pub const UPLINK: Check = Check {
    name: "uplink",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 256,
};

fn run(bytes: &[u8]) {
    let mut lines = bytes.splitn(3, |&byte| byte == b'\n');
    let [topic, payload, answer] = std::array::from_fn(|_| lines.next().unwrap_or_default());
    if let Ok(topic) = std::str::from_utf8(topic) {
        topics(topic);
    }
    headwater_broker::fuzz::uplink_payload(payload);
    reports(payload);
    if let Ok(answer) = std::str::from_utf8(answer) {
        properties(answer);
    }
}

/// What parses is spelled in one way only.
fn topics(text: &str) {
    if let Ok(topic) = Topic::parse(text) {
        assert_eq!(topic.to_string(), text);
    }
    let device = uplink::device_of_client_id(text);
    assert!(text.starts_with(device));
    let checks = [
        uplink::check_device(text).is_ok(),
        uplink::check_stream(text).is_ok(),
        uplink::check_lane(text).is_ok(),
    ];
    assert!(!checks.contains(&true) || (text.is_ascii() && text.len() <= uplink::STREAM_BYTES_MAX));
}

/// Words and ranges; what is written here is JSON that the broker reads.
fn reports(payload: &[u8]) {
    if let Some(range) = LostRange::parse(payload) {
        assert_eq!(range.to_string().as_bytes(), payload);
        let resume = Resume {
            oldest: range.from,
            next: range.to,
            predecessor: None,
        };
        assert!(headwater_broker::fuzz::uplink_payload(
            resume.to_string().as_bytes()
        ));
    }
    let Ok(word) = std::str::from_utf8(payload) else {
        return;
    };
    if let Ok(reason) = word.parse::<LossReason>() {
        assert_eq!(reason.as_str(), word);
    }
    if let Ok(reason) = word.parse::<RepairReason>() {
        let request = RepairRequest { reason }.to_string();
        assert!(headwater_broker::fuzz::uplink_payload(request.as_bytes()));
    }
}

/// The agent's side of a PUBACK.
fn properties(text: &str) {
    let pair = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    };
    let pairs: Vec<(String, String)> = text.split('\n').filter_map(pair).collect();
    for reason in [0x00, 0x10, 0x83, 0x97, 0x99] {
        let refusal = Refusal::parse(reason, &pairs);
        assert_eq!(refusal.is_none(), matches!(reason, 0x00 | 0x10));
        assert!(refusal.is_none_or(|refusal| !refusal.to_string().is_empty()));
    }
    if let Ok(answer) = ResumeAnswer::parse(&pairs) {
        let id = pairs.iter().find(|(name, _)| name == property::TOPIC_ID);
        let id = id.map(|(_, value)| value.to_ascii_lowercase());
        assert_eq!(Some(uuid::format(&answer.topic_id.0)), id);
    }
    for (_, value) in &pairs {
        let theirs = TopicId::parse(value).ok().map(|id| id.0);
        assert_eq!(uuid::parse(value), theirs);
    }
}
