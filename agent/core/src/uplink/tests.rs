mod world;

use headwater_wire::uplink::{Position, Refusal, Topic};
use proptest::prelude::*;

use self::world::{World, batch};
use super::*;

const OPTIONS: Options = Options {
    window: 4,
    keep_alive_ms: 300_000,
    watchdog_ms: WATCHDOG_MS,
    drop_missing: false,
    seed: 5,
};

#[test]
fn drains_every_lane_within_the_window() {
    let mut world = World::new(&[("a", 30), ("b", 20), ("empty", 0)]);
    let mut uplink = world.start();
    world.answer_all(&mut uplink);
    world.assert_drained();
    assert_eq!(world.most_open, OPTIONS.window);
    assert_eq!(uplink.link().state, LinkState::Up);
}

#[test]
fn new_batches_leave_with_no_other_input() {
    let mut world = World::new(&[("a", 1)]);
    let mut uplink = world.start();
    world.answer_all(&mut uplink);
    let lane = world.lanes.get_mut(&LaneName::main("a")).unwrap();
    let (first, next) = (Position(10), Position(20));
    lane.batches.push(SealedBatch {
        first,
        next,
        bytes: batch(first),
    });
    uplink.handle_lanes(world.now, world.states());
    world.answer_all(&mut uplink);
    world.assert_drained();
}

#[test]
fn lanes_take_turns() {
    let mut world = World::new(&[("a", 8), ("b", 8)]);
    let mut uplink = world.start();
    world.perform(&mut uplink);
    let mut order = Vec::new();
    while let Some((_, topic, _)) = world.open.front().cloned() {
        if let Ok(Topic::Batch(lane)) = Topic::parse(&topic) {
            order.push(lane.stream.to_owned());
        }
        let (id, reason, text) = world.answer().unwrap();
        uplink.handle_answer(world.now, id, reason, &text);
        world.perform(&mut uplink);
    }
    assert!(
        order
            .windows(4)
            .all(|turn| turn.contains(&"a".to_owned()) || order.len() < 16)
    );
    world.assert_drained();
}

#[test]
fn the_first_stale_reconnects_at_once_the_second_waits() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    world.refuse_batch(&mut uplink, Refusal::Stale);
    assert_eq!(uplink.link().state, LinkState::Up, "on a new connection");
    world.refuse_batch(&mut uplink, Refusal::Stale);
    assert!(
        uplink
            .link()
            .error
            .is_some_and(|error| error.contains("stale"))
    );
    world.pass(&mut uplink, crate::backoff::CAP_MS);
    world.answer_all(&mut uplink);
    world.assert_drained();
}

#[test]
fn busy_is_waited_for() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    world.refuse_batch(&mut uplink, Refusal::Busy);
    assert_eq!(uplink.link().state, LinkState::Down);
    world.pass(&mut uplink, 499);
    assert_eq!(
        uplink.link().state,
        LinkState::Down,
        "half of retry_ms at least"
    );
    world.pass(&mut uplink, 1_001);
    world.answer_all(&mut uplink);
    world.assert_drained();
}

#[test]
fn a_corrupt_batch_is_sent_once_more_and_then_set_aside() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    world.refuse_batch(&mut uplink, Refusal::Corrupt);
    assert_eq!(world.aside, []);
    world.refuse_batch(&mut uplink, Refusal::Corrupt);
    assert_eq!(world.aside, [(LaneName::main("a"), Position(0))]);
}

#[test]
fn a_refused_lane_is_held_and_tried_again_and_the_others_go_on() {
    let mut world = World::new(&[("a", 9), ("b", 9)]);
    let mut uplink = world.start();
    world.perform(&mut uplink);
    let (id, topic, _) = world.open.remove(0).unwrap();
    assert!(topic.contains("resume/a"), "{topic}");
    let text = [("error".to_owned(), "no-stream".to_owned())];
    uplink.handle_answer(world.now, id, 0x90, &text);
    world.answer_all(&mut uplink);
    assert_eq!(
        uplink.link().state,
        LinkState::Up,
        "one refused lane costs no connection"
    );
    assert!(world.held[&LaneName::main("a")].contains("no-stream"));
    assert_eq!(world.lanes[&LaneName::main("b")].taken.len(), 9);
    assert!(world.given_up.is_empty(), "it waits");
    world.pass(&mut uplink, HELD_RETRY_MS);
    world.answer_all(&mut uplink);
    assert!(world.held.is_empty());
    world.assert_drained();
}

#[test]
fn a_lane_without_a_stream_gives_up_what_it_holds_where_that_is_asked_for() {
    for (error, given_up) in [("no-stream", 1), ("not-yours", 0)] {
        let mut world = World::new(&[("a", 9), ("b", 9)]);
        let options = Options {
            drop_missing: true,
            ..OPTIONS
        };
        let mut uplink = Uplink::new(options, world.now);
        uplink.handle_lanes(world.now, world.states());
        world.perform(&mut uplink);
        let (id, topic, _) = world.open.remove(0).unwrap();
        assert!(topic.contains("resume/a"), "{topic}");
        let text = [("error".to_owned(), error.to_owned())];
        uplink.handle_answer(world.now, id, 0x90, &text);
        world.answer_all(&mut uplink);
        assert_eq!(world.given_up, vec![LaneName::main("a"); given_up]);
        assert!(world.held[&LaneName::main("a")].contains(error));
        assert_eq!(world.lanes[&LaneName::main("b")].taken.len(), 9);
    }
}

#[test]
fn a_lane_that_forked_asks_for_a_generation_and_goes_on_with_it() {
    let mut world = World::new(&[("a", 9), ("b", 3)]);
    world.forks = 1;
    let mut uplink = world.start();
    world.answer_all(&mut uplink);
    assert_eq!(world.repairs, [(1, RepairReason::Rollback)]);
    assert!(world.held.is_empty());
    world.assert_drained();
    let topic = "$hw/1/batch/a/main/1";
    assert!(world.topics.iter().any(|other| other == topic));
}

#[test]
fn a_conflict_is_the_reason_if_there_was_one() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    world.refuse_batch(&mut uplink, Refusal::Conflict);
    world.forks = 1;
    world.answer_all(&mut uplink);
    assert_eq!(world.repairs, [(1, RepairReason::Conflict)]);
    world.assert_drained();
}

#[test]
fn a_repair_that_is_refused_holds_the_lane() {
    let mut world = World::new(&[("a", 9), ("b", 3)]);
    world.forks = 1;
    let mut uplink = world.start();
    world.perform(&mut uplink);
    let mut refused = false;
    while let Some((_, topic, _)) = world.open.front().cloned() {
        let (id, reason, text) = world.answer().unwrap();
        if topic.contains("/repair/") {
            refused = true;
            let text = [("error".to_owned(), "too-many-lanes".to_owned())];
            uplink.handle_answer(world.now, id, 0x97, &text);
        } else {
            uplink.handle_answer(world.now, id, reason, &text);
        }
        world.perform(&mut uplink);
    }
    assert!(refused && world.held[&LaneName::main("a")].contains("too-many-lanes"));
    assert_eq!(
        world.lanes[&LaneName::main("b")].taken.len(),
        3,
        "others go on"
    );
    world.pass(&mut uplink, HELD_RETRY_MS);
    world.answer_all(&mut uplink);
    world.assert_drained();
}

#[test]
fn a_batch_above_the_brokers_limit_holds_its_lane() {
    let mut world = World::new(&[("a", 2)]);
    let mut uplink = world.start();
    assert_eq!(uplink.poll_output(), Some(Output::Connect));
    world.connected = true;
    let connack = Connack {
        receive_max: None,
        packet_bytes_max: Some(100),
    };
    uplink.handle_connected(world.now, connack);
    world.answer_all(&mut uplink);
    assert!(world.held[&LaneName::main("a")].contains("limit of 100"));
}

#[test]
fn a_broker_that_takes_longer_is_given_longer() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    for patience in [1, 2, 4, 8, 16, 16] {
        world.perform(&mut uplink);
        world.pass(&mut uplink, patience * WATCHDOG_MS - 1);
        assert_eq!(uplink.link().state, LinkState::Up, "{patience}");
        world.pass(&mut uplink, 1);
        assert_ne!(uplink.link().state, LinkState::Up, "{patience}");
        world.pass(&mut uplink, crate::backoff::CAP_MS);
    }
    world.answer_all(&mut uplink);
    world.assert_drained();
}

#[test]
fn silence_is_noticed() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    world.perform(&mut uplink);
    uplink.handle_activity(world.now.plus(WATCHDOG_MS - 1));
    world.pass(&mut uplink, WATCHDOG_MS);
    assert!(
        uplink
            .link()
            .error
            .is_some_and(|error| error.contains("did not answer"))
    );
    world.pass(&mut uplink, crate::backoff::CAP_MS);
    world.answer_all(&mut uplink);
    world.assert_drained();
    let status = world.status_asked;
    world.pass(&mut uplink, STATUS_EVERY_MS);
    world.answer_all(&mut uplink);
    assert_eq!(world.status_asked, status + 1);
    for _ in 0..20 {
        world.now = world.now.plus(STATUS_EVERY_MS);
        uplink.handle_timeout(world.now);
        while let Some(output) = uplink.poll_output() {
            if !matches!(output, Output::Status) {
                world.do_one(&mut uplink, output);
            }
        }
        if uplink
            .link()
            .error
            .is_some_and(|error| error.contains("silent"))
        {
            return;
        }
    }
    panic!("two keep-alives without a packet were not noticed");
}

#[test]
fn a_small_receive_maximum_keeps_ids_apart() {
    let mut world = World::new(&[("a", 9)]);
    let mut uplink = world.start();
    assert_eq!(uplink.poll_output(), Some(Output::Connect));
    world.connected = true;
    let connack = Connack {
        receive_max: Some(2),
        packet_bytes_max: None,
    };
    uplink.handle_connected(world.now, connack);
    world.answer_all(&mut uplink);
    assert_eq!(world.most_open, 1);
    world.assert_drained();
}

#[derive(Debug, Clone)]
enum Fault {
    Answer,
    Cut,
    SwallowAndCut,
    Refuse(u8),
    Nonsense,
    Stale,
    Pass(i64),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        12 => Just(Fault::Answer),
        1 => Just(Fault::Cut),
        1 => Just(Fault::SwallowAndCut),
        1 => (0u8..3).prop_map(Fault::Refuse),
        1 => Just(Fault::Nonsense),
        1 => Just(Fault::Stale),
        2 => (0i64..40_000).prop_map(Fault::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever the link and the broker do, everything arrives once, in order, and at last.
    #[test]
    fn nothing_is_lost_or_doubled(faults in proptest::collection::vec(fault(), 0..120)) {
        let mut world = World::new(&[("a", 15), ("b", 6)]);
        let mut uplink = world.start();
        world.perform(&mut uplink);
        for fault in faults {
            let now = world.now;
            match fault {
                Fault::Answer => {
                    if let Some((id, reason, text)) = world.answer() {
                        uplink.handle_answer(now, id, reason, &text);
                    }
                }
                Fault::Cut | Fault::SwallowAndCut => {
                    if matches!(fault, Fault::SwallowAndCut) {
                        world.answer();
                    }
                    if world.connected {
                        world.cut();
                        uplink.handle_disconnected(now, "Connection was cut".into());
                    }
                }
                Fault::Refuse(which) => {
                    let refusal = [Refusal::Stale, Refusal::Conflict, Refusal::Busy];
                    let refusal = refusal[usize::from(which)];
                    if let Some((id, topic, _)) = world.open.front().cloned()
                        && topic.contains("/batch/")
                    {
                        world.open.pop_front();
                        let text = [("error".to_owned(), refusal.as_str().to_owned())];
                        uplink.handle_answer(now, id, refusal.reason_code(), &text);
                    }
                }
                Fault::Nonsense => uplink.handle_answer(now, 999, 0, &[]),
                // An answer of the log that belongs to a connection of the past.
                Fault::Stale => {
                    let lane = LaneName::main("a");
                    uplink.handle_batch(now, ConnectionId(0), &lane, Ok(None));
                    uplink.handle_disconnected(Millis(0).min(now), "late".into());
                    world.cut();
                }
                Fault::Pass(ms) => world.pass(&mut uplink, ms),
            }
            world.perform(&mut uplink);
        }
        for _ in 0..8 {
            world.pass(&mut uplink, 16 * WATCHDOG_MS + crate::backoff::CAP_MS);
            world.answer_all(&mut uplink);
        }
        world.assert_drained();
        prop_assert!(world.most_open <= OPTIONS.window);
    }
}
