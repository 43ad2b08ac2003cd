//! An acknowledgement that is lost adds nothing: not after a thousand other lanes, a snapshot and
//! two restarts of the broker.

use std::path::Path;
use std::time::Instant;

use headwater_tests::broker::Broker;
use headwater_tests::proxy::Proxy;
use headwater_tests::source::Source;
use headwater_tests::stack::Stack;
use headwater_tests::uplink::{Uplink, make_batch};
use headwater_tests::{http, process::GIVE_UP};

const OTHER_LANES: u32 = 1_000;
const STREAM: &str = "events";
/// Events that pass before an answer is held back.
const EVENTS_FIRST: usize = 100;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

#[test]
fn a_batch_whose_answer_was_swallowed_is_known_for_ever() {
    let mut broker = Broker::start(program()).expect("a broker");
    let batch = make_batch("lost-ack", STREAM, 0, &["one", "two", "three"]);
    swallow_the_answer(&broker, &batch);
    for n in 0..OTHER_LANES {
        let mut other = Uplink::connect(broker.process().address("mqtt"), &format!("other-{n}"))
            .expect("a link");
        assert_eq!(
            other
                .resume(STREAM, 0, 1)
                .expect("an answer")
                .property("next"),
            "0"
        );
        let batch = other.make_batch(STREAM, 0, &["x"]);
        assert_eq!(
            other
                .batch(STREAM, &batch)
                .expect("an answer")
                .property("next"),
            "1"
        );
    }
    // The orderly stop writes a snapshot; the kill leaves it to be read again.
    broker.restart().expect("a restart");
    broker.kill_and_restart().expect("a restart");
    let before = broker.records(STREAM).expect("a count");
    assert_eq!(before, u64::from(OTHER_LANES) + 3);

    let mut again = Uplink::connect(broker.process().address("mqtt"), "lost-ack").expect("a link");
    let resumed = again.resume(STREAM, 0, 3).expect("an answer");
    assert_eq!((resumed.reason, resumed.property("next")), (0, "3"));
    let crc = u32::from_be_bytes(batch[17..21].try_into().expect("four bytes"));
    assert_eq!(resumed.property("crc"), format!("{crc:08x}"));
    let answer = again.batch(STREAM, &batch).expect("an answer");
    assert_eq!(
        (
            answer.reason,
            answer.property("next"),
            answer.property("duplicate")
        ),
        (0, "3", "1")
    );
    assert_eq!(broker.records(STREAM).expect("a count"), before);
}

fn swallow_the_answer(broker: &Broker, batch: &[u8]) {
    let proxy = Proxy::new(broker.process().address("mqtt"));
    let mut uplink = Uplink::connect(proxy.address(), "lost-ack").expect("a link");
    assert_eq!(
        uplink
            .resume(STREAM, 0, 3)
            .expect("an answer")
            .property("next"),
        "0"
    );
    proxy.hold_answers();
    let sender = std::thread::spawn({
        let batch = batch.to_vec();
        move || uplink.batch(STREAM, &batch)
    });
    assert!(proxy.wait_for_held(GIVE_UP), "the broker answers");
    proxy.cut();
    assert!(
        sender.join().expect("no panic").is_err(),
        "the answer did not arrive"
    );
}

#[test]
fn an_agent_that_missed_answers_resends_nothing() {
    let settings = "[log]\nbatch_age = \"20ms\"\nkeep_acked = \"1h\"\n";
    let mut stack = Stack::start(program(), settings, "").expect("a stack");
    let source = Source::start("quiet", stack.to_agent.address(), 1);
    let begun = Instant::now();
    while source.acked() < EVENTS_FIRST {
        assert!(begun.elapsed() < GIVE_UP, "No events get through");
        std::thread::yield_now();
    }
    stack.to_broker.hold_answers();
    assert!(stack.to_broker.wait_for_held(GIVE_UP), "the broker answers");
    stack.to_broker.cut();
    let ledger = source.finish();
    stack.wait_until_drained().expect("drained");
    for _ in 0..2 {
        stack.to_broker.hold_answers();
        stack.to_broker.cut();
        stack
            .broker
            .take()
            .expect("a broker")
            .terminate()
            .expect("an end");
        stack.start_broker().expect("a broker");
        stack.wait_until_drained().expect("drained");
    }
    let (_, metrics) = http::get(stack.broker().address("http"), "/metrics").expect("metrics");
    let duplicates = metrics
        .lines()
        .filter(|l| l.starts_with("headwater_duplicates_total"));
    assert!(
        duplicates.clone().all(|line| line.ends_with(" 0")),
        "{}",
        duplicates.collect::<String>()
    );
    let topics = ["kills/quiet".to_owned()];
    headwater_tests::oracle::judge(&mut stack, STREAM, &topics, &[ledger])
        .expect("nothing lost or doubled");
}
