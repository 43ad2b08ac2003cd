//! Batches that the broker must refuse: each gets the answer that `ARCHITECTURE.md` names, costs
//! only its own place, and leaves the lane where it was.

use std::path::Path;

use headwater_tests::broker::Broker;
use headwater_tests::uplink::{Answer, Uplink, batch_of, make_batch};
use headwater_wire::batch::Producer;
use headwater_wire::crc::crc32c;
use headwater_wire::uplink::producer_id;

const STREAM: &str = "events";
const DEVICE: &str = "press-7";

fn broker() -> Broker {
    Broker::start(Path::new(env!("CARGO_BIN_EXE_headwater-node"))).expect("a broker")
}

fn opened(broker: &Broker) -> Uplink {
    let mut uplink = Uplink::connect(broker.process().address("mqtt"), DEVICE).expect("a link");
    assert_eq!(uplink.resume(STREAM, 0, 10).expect("an answer").reason, 0);
    uplink
}

/// Sends `batch` on a lane that has just been opened, then shows that the lane goes on.
fn refused(broker: &Broker, batch: &[u8]) -> Answer {
    let before = broker.records(STREAM).expect("a count");
    let answer = opened(broker).batch(STREAM, batch).expect("an answer");
    assert_eq!(
        broker.records(STREAM).expect("a count"),
        before,
        "nothing is appended"
    );
    answer
}

/// Fixes the CRC after a change behind it.
fn sealed(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[test]
fn each_bad_batch_gets_its_own_answer() {
    let broker = broker();
    let good = make_batch(DEVICE, STREAM, 0, &["a", "b"]);
    let id = producer_id(DEVICE, STREAM, "main", 0);
    let first = Producer {
        id,
        epoch: 0,
        base_sequence: 0,
    };

    let mut bad_crc = good.clone();
    *bad_crc.last_mut().expect("bytes") ^= 1;
    let mut false_count = good.clone();
    false_count[60] = 3;
    false_count[26] = 2;
    let mut false_length = good.clone();
    false_length[11] ^= 1;
    let cut = good[..good.len() - 1].to_vec();
    for (what, batch) in [
        ("bad CRC", bad_crc),
        ("false record count", sealed(false_count)),
        ("false length", false_length),
        ("cut short", cut),
        ("no bytes", Vec::new()),
        ("noise", vec![0xA5; 500]),
    ] {
        let answer = refused(&broker, &batch);
        assert_eq!(
            (answer.reason, answer.property("error")),
            (0x99, "corrupt"),
            "{what}"
        );
    }

    let gap = refused(&broker, &make_batch(DEVICE, STREAM, 5, &["late"]));
    assert_eq!(
        (gap.reason, gap.property("error"), gap.property("next")),
        (0x83, "out-of-order", "0")
    );

    let other = refused(
        &broker,
        &make_batch("another-device", STREAM, 0, &["not mine"]),
    );
    assert_eq!((other.reason, other.property("error")), (0x87, "not-yours"));

    for key in [
        "cmd/another-device/stop",
        "cmd/press-7/stop",
        "$hw/loss/press-7/events",
        "$SYS/x",
    ] {
        let forbidden = refused(&broker, &batch_of(first, key, &["open"]));
        assert_eq!(
            (forbidden.reason, forbidden.property("error")),
            (0x87, "forbidden-key"),
            "{key}"
        );
    }

    let answer = opened(&broker).batch(STREAM, &good).expect("an answer");
    assert_eq!(
        (answer.reason, answer.property("next")),
        (0, "2"),
        "the lane goes on"
    );
}

#[test]
fn a_stream_that_is_not_there_and_a_lane_that_is_not_open() {
    let broker = broker();
    let mut uplink = Uplink::connect(broker.process().address("mqtt"), DEVICE).expect("a link");
    let none = uplink.resume("nowhere", 0, 1).expect("an answer");
    assert_eq!((none.reason, none.property("error")), (0x90, "no-stream"));
    let batch = uplink.make_batch(STREAM, 0, &["x"]);
    let stale = uplink.batch(STREAM, &batch).expect("an answer");
    assert_eq!((stale.reason, stale.property("error")), (0x83, "stale"));
}

#[test]
fn the_connection_that_opened_the_lane_last_holds_it() {
    let broker = broker();
    let mut first = Uplink::connect(broker.process().address("mqtt"), DEVICE).expect("a link");
    first.resume(STREAM, 0, 1).expect("an answer");
    let batch = first.make_batch(STREAM, 0, &["x"]);
    // Another connection of the same device, as after a link that only seemed dead.
    let mut second =
        Uplink::connect_as(broker.process().address("mqtt"), DEVICE, "0badf00d").expect("a link");
    let resumed = second.resume(STREAM, 0, 1).expect("an answer");
    assert_eq!(
        (resumed.reason, resumed.property("next")),
        (0, "0"),
        "{resumed:?}"
    );
    let late = first.batch(STREAM, &batch);
    let refused = late
        .as_ref()
        .map_or(true, |answer| answer.property("error") == "stale");
    assert!(refused, "{late:?}");
    assert_eq!(
        second
            .batch(STREAM, &batch)
            .expect("an answer")
            .property("next"),
        "1"
    );
}

#[test]
fn another_batch_at_the_same_position_is_a_conflict() {
    let broker = broker();
    let mut uplink = opened(&broker);
    let batch = uplink.make_batch(STREAM, 0, &["a", "b"]);
    assert_eq!(uplink.batch(STREAM, &batch).expect("an answer").reason, 0);
    let other = uplink.make_batch(STREAM, 0, &["a", "c"]);
    let answer = uplink.batch(STREAM, &other).expect("an answer");
    assert_eq!(
        (
            answer.reason,
            answer.property("error"),
            answer.property("next")
        ),
        (0x83, "conflict", "2")
    );
    let closed = uplink
        .batch(STREAM, &uplink.make_batch(STREAM, 2, &["d"]))
        .expect("an answer");
    assert_ne!(closed.reason, 0, "closed until the next handshake");
    assert_eq!(
        uplink
            .resume(STREAM, 0, 2)
            .expect("an answer")
            .property("next"),
        "2"
    );
}
