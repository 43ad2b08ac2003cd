use super::*;

const NOW: Millis = Millis(1_000_000);

fn header(epoch: i16, first: i32, count: i32) -> Header {
    Header {
        base_offset: 0,
        batch_length: 49,
        leader_epoch: -1,
        crc: 0,
        attributes: 0,
        last_offset_delta: count - 1,
        base_timestamp: 0,
        max_timestamp: 0,
        producer_id: 7,
        producer_epoch: epoch,
        base_sequence: first,
        record_count: count,
    }
}

fn append(producers: &mut Producers, epoch: i16, first: i32, count: i32, base_offset: i64) {
    let header = header(epoch, first, count);
    assert_eq!(producers.decide(&header, NOW), ProducerDecision::Append);
    let batch = ProducerBatch {
        first_sequence: first,
        last_sequence: header.last_sequence(),
        base_offset,
        timestamp: 0,
    };
    producers.advance(7, epoch, batch, NOW);
}

#[test]
fn every_row_of_the_table() {
    let mut producers = Producers::default();
    // Unknown: any sequence.
    append(&mut producers, 3, 100, 10, 0);
    for n in 0..5 {
        append(&mut producers, 3, 110 + 10 * n, 10, 10 + 10 * i64::from(n));
    }
    for (batch, expected) in [
        (header(3, 160, 1), ProducerDecision::Append),
        (
            header(3, 150, 10),
            ProducerDecision::Duplicate { base_offset: 50 },
        ),
        (
            header(3, 110, 10),
            ProducerDecision::Duplicate { base_offset: 10 },
        ),
        (header(3, 100, 10), ProducerDecision::OutOfOrder), // older than the ring
        (header(3, 150, 5), ProducerDecision::OutOfOrder),
        (header(3, 155, 10), ProducerDecision::OutOfOrder),
        (header(3, 161, 1), ProducerDecision::OutOfOrder),
        (header(2, 160, 1), ProducerDecision::OldEpoch),
        (header(4, 0, 1), ProducerDecision::Append),
        (header(4, 160, 1), ProducerDecision::OutOfOrder),
    ] {
        assert_eq!(producers.decide(&batch, NOW), expected, "{batch:?}");
    }
    let anonymous = Header {
        producer_id: -1,
        ..header(-1, -1, 1)
    };
    assert_eq!(producers.decide(&anonymous, NOW), ProducerDecision::Append);
}

#[test]
fn a_new_epoch_clears_the_ring() {
    let mut producers = Producers::default();
    append(&mut producers, 0, 0, 1, 0);
    append(&mut producers, 1, 0, 2, 1);
    assert_eq!(
        producers.decide(&header(1, 0, 1), NOW),
        ProducerDecision::OutOfOrder,
        "the batch of the old epoch is no duplicate of the new one's"
    );
}

#[test]
fn sequences_wrap() {
    let mut producers = Producers::default();
    append(&mut producers, 0, i32::MAX - 1, 3, 0);
    append(&mut producers, 0, 1, 1, 3);
    append(&mut producers, 0, 2, 1, 4);
    let first = header(0, i32::MAX - 1, 3);
    assert_eq!(
        producers.decide(&first, NOW),
        ProducerDecision::Duplicate { base_offset: 0 }
    );
    let mut edge = Producers::default();
    append(&mut edge, 0, i32::MAX, 1, 0);
    append(&mut edge, 0, 0, 1, 1);
}

#[test]
fn silence_makes_unknown_and_clearing_changes_nothing() {
    let mut producers = Producers::default();
    append(&mut producers, 5, 0, 1, 0);
    let (at, late) = (NOW.plus(EXPIRATION_MS), NOW.plus(EXPIRATION_MS + 1));
    for _ in 0..2 {
        assert_eq!(
            producers.decide(&header(0, 77, 1), at),
            ProducerDecision::OldEpoch
        );
        assert_eq!(
            producers.decide(&header(0, 77, 1), late),
            ProducerDecision::Append
        );
        producers.expire(at);
    }
    producers.expire(late);
    assert!(producers.state().is_empty());
}

#[test]
fn state_and_back_and_undo() {
    let mut producers = Producers::default();
    (0..7).for_each(|n| append(&mut producers, 0, n, 1, i64::from(n)));
    let state = producers.state();
    let mut again = Producers::from_state(&state);
    assert_eq!(again.state(), state);
    let batch = ProducerBatch {
        first_sequence: 7,
        last_sequence: 7,
        ..ProducerBatch::default()
    };
    let before = again.advance(7, 0, batch, NOW);
    again.restore(7, before);
    assert_eq!(again.state(), state);
    let before = again.advance(8, 0, batch, NOW);
    again.restore(8, before);
    assert_eq!(again.state(), state);
}
