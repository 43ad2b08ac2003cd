use proptest::prelude::*;

use super::*;

const STREAM: TopicId = TopicId([1; 16]);
const OTHER: TopicId = TopicId([2; 16]);

/// Held: [10, 20) acknowledged, [20, 30) not; remembered: what ends at 10.
fn view() -> View {
    View {
        base: Position(0),
        acked: Position(20),
        oldest: Position(10),
        sealed: Position(30),
        below: Vec::new(),
        at_boundary: true,
        topic_id: Some(STREAM),
    }
}

fn answer(next: u64, crc: u32) -> ResumeAnswer {
    let crc = (next > 0).then_some(crc);
    ResumeAnswer {
        next: Position(next),
        crc,
        topic_id: STREAM,
        generation: None,
    }
}

fn below(crcs: &[u32]) -> View {
    View {
        below: crcs.to_vec(),
        ..view()
    }
}

#[test]
fn what_the_broker_has_is_dropped_and_the_rest_is_sent() {
    assert_eq!(
        decide(&below(&[7]), &answer(20, 7)),
        Decision::Send(Position(20))
    );
    assert_eq!(
        decide(&below(&[7]), &answer(30, 7)),
        Decision::Send(Position(30))
    );
    let fresh = View {
        acked: Position(0),
        oldest: Position(0),
        ..view()
    };
    assert_eq!(decide(&fresh, &answer(0, 0)), Decision::Send(Position(0)));
}

#[test]
fn more_than_was_ever_sealed_is_another_history() {
    assert_eq!(
        decide(&below(&[7]), &answer(31, 7)),
        Decision::Repair(Fork::Ahead)
    );
}

#[test]
fn at_or_above_the_acknowledged_end_the_last_entry_must_be_ours() {
    for crcs in [&[][..], &[8], &[8, 9]] {
        assert_eq!(
            decide(&below(crcs), &answer(20, 7)),
            Decision::Repair(Fork::Other)
        );
        assert_eq!(
            decide(&below(crcs), &answer(30, 7)),
            Decision::Repair(Fork::Other)
        );
    }
    // A declared loss in place of a batch that is still remembered: either may be the entry.
    assert_eq!(
        decide(&below(&[8, 7]), &answer(20, 7)),
        Decision::Send(Position(20))
    );
    let silent = ResumeAnswer {
        crc: None,
        ..answer(20, 0)
    };
    assert_eq!(decide(&below(&[7]), &silent), Decision::Repair(Fork::Other));
}

#[test]
fn below_it_only_a_contradiction_counts() {
    assert_eq!(
        decide(&below(&[8]), &answer(10, 7)),
        Decision::Repair(Fork::Other)
    );
    assert_eq!(
        decide(&below(&[]), &answer(10, 7)),
        Decision::Send(Position(10))
    );
    let inside = View {
        at_boundary: false,
        ..view()
    };
    assert_eq!(
        decide(&inside, &answer(15, 7)),
        Decision::Repair(Fork::Other)
    );
}

#[test]
fn what_the_broker_lost_is_sent_again_or_declared() {
    let declare = |from: u64, reason| {
        let (from, to) = (Position(from), Position(10));
        Decision::Declare { from, to, reason }
    };
    assert_eq!(
        decide(&view(), &answer(4, 7)),
        declare(4, LossReason::Restored)
    );
    assert_eq!(
        decide(&view(), &answer(0, 0)),
        declare(0, LossReason::LaneLost)
    );
    let other = ResumeAnswer {
        topic_id: OTHER,
        ..answer(0, 0)
    };
    let (from, to) = (Position(0), view().acked);
    let reason = LossReason::Recreated;
    let recreated = Decision::Declare { from, to, reason };
    assert_eq!(
        decide(&view(), &other),
        recreated,
        "also what is kept of it"
    );
}

proptest! {
    /// Whatever is answered, nothing is sent from where nothing is held, and nothing is declared
    /// but what is not.
    #[test]
    fn decisions_fit(
        acked in 0u64..40, oldest in 0u64..40, sealed in 0u64..40, next in 0u64..50,
        below in proptest::collection::vec(0u32..3, 0..3), crc in 0u32..3, at_boundary: bool,
    ) {
        let sealed = sealed.max(oldest);
        let acked = acked.clamp(oldest, sealed);
        let [acked, oldest, sealed] = [acked, oldest, sealed].map(Position);
        let view = View { base: Position(0), acked, oldest, sealed, below, at_boundary, topic_id: None };
        let answer = answer(next, crc);
        match decide(&view, &answer) {
            Decision::Send(from) => {
                prop_assert_eq!(from, answer.next);
                prop_assert!(oldest <= from && from <= sealed);
                prop_assert!(from < acked || next == 0 || view.below.contains(&crc));
            }
            Decision::Declare { from, to, .. } => {
                prop_assert!(from == answer.next && from < to && to == oldest);
            }
            Decision::Repair(_) => prop_assert!(next > 0 || !at_boundary),
        }
    }
}

fn properties(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

const UUID: &str = "01020304-0506-0708-090a-0b0c0d0e0f10";

#[test]
fn answers_are_read() {
    let text = properties(&[
        ("next", "9"),
        ("topic_id", UUID),
        ("crc", "00ff00fe"),
        ("x", "y"),
    ]);
    let answer = ResumeAnswer::parse(&text).unwrap();
    assert_eq!((answer.next, answer.crc), (Position(9), Some(0x00ff_00fe)));
    assert_eq!(answer.generation, None);
    assert_eq!(format!("{:?}", answer.topic_id), UUID);
    let newer = properties(&[("next", "0"), ("topic_id", UUID), ("generation", "3")]);
    assert_eq!(ResumeAnswer::parse(&newer).unwrap().generation, Some(3));
}

#[test]
fn answers_that_do_not_say_it_are_refused() {
    let bad = |list: &[(&str, &str)]| ResumeAnswer::parse(&properties(list)).unwrap_err();
    assert_eq!(bad(&[("topic_id", UUID)]), AnswerError::Missing("next"));
    assert_eq!(bad(&[("next", "0")]), AnswerError::Missing("topic_id"));
    assert_eq!(
        bad(&[("next", "1"), ("topic_id", UUID)]),
        AnswerError::Missing("crc")
    );
    assert_eq!(
        bad(&[("next", "-1"), ("topic_id", UUID)]),
        AnswerError::Bad("next")
    );
    let plus = "+1020304-0506-0708-090a-0b0c0d0e0f10";
    assert_eq!(
        bad(&[("next", "0"), ("topic_id", plus)]),
        AnswerError::Bad("topic_id")
    );
    let crc = [("next", "1"), ("topic_id", UUID), ("crc", "xyz")];
    assert_eq!(bad(&crc), AnswerError::Bad("crc"));
}
