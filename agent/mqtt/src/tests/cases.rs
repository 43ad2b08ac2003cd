//! Hand-made packets, each with the clause that decides about it.

use super::*;

const CASES: &str = include_str!("cases.txt");

#[test]
fn every_case_has_the_verdict_of_its_clause() {
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    let wrong: Vec<String> = lines.clone().filter_map(check).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(lines.count() > 130);
}

/// What is wrong with the verdict on a line's packet, if anything.
fn check(line: &str) -> Option<String> {
    let (head, body) = line.split_once(" | ")?;
    let mut words = head.split_whitespace();
    let version = match words.next()? {
        "3" => Version::V311,
        _ => Version::V5,
    };
    let sender = match words.next()? {
        "c" => Sender::Client,
        _ => Sender::Server,
    };
    let first = u8::from_str_radix(words.next()?, 16).expect("a first byte");
    let body = unescaped(body);
    let length = u8::try_from(body.len()).expect("short");
    let bytes = [&[first, length], body.as_slice()].concat();
    let got = match read(version, sender, &bytes) {
        Ok(Some(_)) => "good".to_owned(),
        Ok(None) => "incomplete".to_owned(),
        Err(bad) => format!("{:02x}", bad.reason.0),
    };
    (got != words.next()?).then(|| format!("{got} for {line}"))
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut parts = text.split("\\x");
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).expect("two hex digits"));
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

#[test]
fn a_reason_is_named_by_its_packet() {
    let bad = read(Version::V5, Sender::Client, b"\x36\x04\0\x01t\0").unwrap_err();
    assert_eq!(bad.to_string(), "QoS 3 [MQTT-3.3.1-4] (0x81)");
    assert_eq!(format!("{:?}", bad.reason), "0x81 MALFORMED");
}

#[test]
fn every_line_of_the_table_is_found_by_its_number() {
    assert_eq!(TABLE.len(), 27);
    for spec in TABLE {
        assert_eq!(Id::from_number(spec.id as u32), Some(spec.id));
        assert_eq!(spec.id.spec().form, spec.form);
    }
    let repeatable: Vec<Id> = TABLE
        .iter()
        .filter(|s| s.repeatable)
        .map(|s| s.id)
        .collect();
    assert_eq!(repeatable, [Id::SubscriptionId, Id::User]);
}
