use super::*;

const ID: i64 = (1 << 52) + 9;

fn batch(first: u64, last: u64, crc: u32) -> Incoming {
    Incoming {
        first,
        last,
        crc,
        loss: false,
    }
}

fn loss(from: u64, to: u64, crc: u32) -> Incoming {
    Incoming {
        first: from,
        last: to - 1,
        crc,
        loss: true,
    }
}

fn entry(incoming: Incoming) -> LaneEntry {
    let Incoming {
        first, last, crc, ..
    } = incoming;
    LaneEntry {
        first,
        last,
        crc,
        base_offset: 0,
    }
}

fn append(lanes: &mut Lanes, incoming: Incoming) {
    let next = incoming.last + 1;
    assert_eq!(lanes.decide(ID, &incoming), LaneDecision::Append { next });
    lanes.advance(ID, entry(incoming), Millis(1));
    assert_eq!(lanes.position(ID), (next, Some(incoming.crc)));
}

/// Seven batches of ten: the ring holds [20, 30) to [60, 70).
fn seven() -> Lanes {
    let mut lanes = Lanes::default();
    (0..7u32).for_each(|n| {
        let first = 10 * u64::from(n);
        append(&mut lanes, batch(first, first + 9, n));
    });
    lanes
}

#[test]
fn every_row_of_the_table() {
    let (lanes, next) = (seven(), 70);
    for (incoming, expected) in [
        (batch(60, 69, 6), LaneDecision::Duplicate { next }),
        (batch(20, 29, 2), LaneDecision::Duplicate { next }),
        (batch(60, 69, 7), LaneDecision::Conflict { next }),
        (batch(60, 68, 6), LaneDecision::Conflict { next }),
        (batch(25, 34, 2), LaneDecision::Conflict { next }),
        (batch(15, 24, 2), LaneDecision::Conflict { next }),
        (batch(0, 80, 2), LaneDecision::Conflict { next }),
        (batch(69, 70, 2), LaneDecision::Conflict { next }),
        (batch(10, 19, 1), LaneDecision::Stale),
        (batch(70, 71, 1), LaneDecision::Append { next: 72 }),
        (batch(71, 71, 1), LaneDecision::OutOfOrder { next }),
    ] {
        assert_eq!(lanes.decide(ID, &incoming), expected, "{incoming:?}");
    }
}

#[test]
fn an_unknown_lane_begins_at_zero() {
    let lanes = Lanes::default();
    assert_eq!(
        lanes.decide(ID, &batch(0, 4, 1)),
        LaneDecision::Append { next: 5 }
    );
    assert_eq!(
        lanes.decide(ID, &batch(5, 9, 1)),
        LaneDecision::OutOfOrder { next: 0 }
    );
    assert_eq!(
        lanes.decide(ID, &loss(0, 9, 1)),
        LaneDecision::Append { next: 9 }
    );
    assert_eq!(lanes.position(ID), (0, None));
}

#[test]
fn a_loss_is_accepted_at_the_next_position_only() {
    let mut lanes = seven();
    append(&mut lanes, loss(70, 100, 9));
    for (incoming, expected) in [
        (loss(70, 100, 9), LaneDecision::Duplicate { next: 100 }),
        (loss(70, 100, 8), LaneDecision::Stale),
        (loss(70, 90, 9), LaneDecision::Stale),
        (loss(90, 110, 9), LaneDecision::Stale),
        (loss(101, 110, 9), LaneDecision::Stale),
        (loss(10, 20, 1), LaneDecision::Stale),
        (batch(80, 85, 9), LaneDecision::Conflict { next: 100 }),
        (batch(99, 99, 9), LaneDecision::Conflict { next: 100 }),
        (batch(100, 100, 9), LaneDecision::Append { next: 101 }),
    ] {
        assert_eq!(lanes.decide(ID, &incoming), expected, "{incoming:?}");
    }
}

#[test]
fn epochs_are_positions() {
    let mut lanes = Lanes::default();
    let edge = 1 << 31;
    append(&mut lanes, loss(0, edge - 1, 1));
    append(&mut lanes, batch(edge - 1, edge - 1, 2));
    append(&mut lanes, batch(edge, edge, 3));
}

#[test]
fn replay_finds_where_a_loss_began() {
    let mut told = Lanes::default();
    let mut replayed = Lanes::default();
    for incoming in [
        batch(0, 9, 1),
        loss(10, 50, 2),
        batch(50, 50, 3),
        loss(51, 52, 4),
    ] {
        append(&mut told, incoming);
        let mut indexed = entry(incoming);
        indexed.first = if incoming.loss {
            incoming.last
        } else {
            incoming.first
        };
        replayed.replay(ID, indexed, Millis(1));
    }
    assert_eq!(replayed.state(), told.state());
    assert_eq!(Lanes::from_state(&told.state()).state(), told.state());
}

#[test]
fn undo() {
    let mut lanes = seven();
    let state = lanes.state();
    let before = lanes.advance(ID, entry(batch(70, 70, 1)), Millis(1));
    lanes.restore(ID, before);
    let before = lanes.advance(ID + 1, entry(batch(0, 0, 1)), Millis(1));
    lanes.restore(ID + 1, before);
    assert_eq!(lanes.state(), state);
}
