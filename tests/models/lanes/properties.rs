//! What must hold in every state, and what must be seen in some.

use stateright::Property;

use super::Protocol;
use super::state::{GENERATIONS, Keep, Logged, NO_RECORD, Phase, State, set, set_of};

pub(super) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always(
            "once settled, what was acknowledged is in the log or declared lost",
            nothing_is_missing,
        ),
        Property::always(
            "nothing is in the log twice, or in it and lost, a repair's apart",
            nothing_is_twice,
        ),
        Property::always(
            "a source's records lie in its order, a repair's apart",
            everything_is_in_order,
        ),
        Property::always(
            "a lane's entries tile its positions",
            entries_tile_positions,
        ),
        Property::always("a repair is reported before its data", repairs_are_reported),
        Property::always(
            "no repair without a roll-back, a clone or a restore",
            repairs_have_a_cause,
        ),
        Property::always(
            "declared lost is only what was given up, or gone with a disk",
            losses_have_a_cause,
        ),
        Property::sometimes("all is drained", |protocol, state| {
            is_settled(protocol, state) && state.book.next == protocol.bounds.records
        }),
    ]
}

/// Everything was sent and answered, and nobody owes anything.
#[must_use]
pub fn is_settled(protocol: &Protocol, state: &State) -> bool {
    let broker = &state.broker;
    broker.durable == broker.length()
        && state.agents.iter().all(|agent| {
            let is_done = |keep| matches!(keep, Keep::Acked | Keep::Trimmed);
            agent.phase == Phase::Up
                && !agent.is_broken
                && agent.sent.is_empty()
                && agent.late.is_empty()
                && agent.answers.is_empty()
                && agent.disk.open.is_empty()
                && agent.disk.entries.iter().all(|entry| is_done(entry.keep))
                && broker
                    .position(agent.disk.generation, protocol.bounds.ring)
                    .0
                    == agent.disk.sealed()
        })
}

fn nothing_is_missing(protocol: &Protocol, state: &State) -> bool {
    let (broker, book) = (&state.broker, &state.book);
    let accounted =
        set(broker.events(broker.durable)) | set(broker.lost(broker.durable)) | book.excused;
    book.acked & !accounted == 0 || !is_settled(protocol, state)
}

fn nothing_is_twice(_: &Protocol, state: &State) -> bool {
    let (broker, length) = (&state.broker, state.broker.length());
    let mut seen = 0;
    broker
        .events(length)
        .chain(broker.lost(length))
        .map(|record| set_of(*record))
        .all(|record| {
            let is_new = seen & record == 0;
            seen |= record;
            is_new || record & state.book.restamped != 0
        })
}

/// Within a generation, and from one to the next. What was lost with a disk and comes late, from a
/// connection of that disk's generation, is a history of its own.
fn everything_is_in_order(_: &Protocol, state: &State) -> bool {
    let (broker, book) = (&state.broker, &state.book);
    let is_ordered = |records: &mut dyn Iterator<Item = &u8>, source| {
        let is_its = |record: &&u8| set_of(**record) & source & !book.restamped != 0;
        records.filter(is_its).is_sorted()
    };
    [book.by_clone, !book.by_clone].into_iter().all(|source| {
        let all = &mut broker.events(broker.length());
        is_ordered(all, source & !book.excused)
            && (0..GENERATIONS)
                .all(|generation| is_ordered(&mut broker.events_of(generation), source))
    })
}

fn entries_tile_positions(protocol: &Protocol, state: &State) -> bool {
    let wrap = protocol.bounds.wrap;
    (0..GENERATIONS).all(|generation| {
        let mut next = 0;
        state.broker.log.iter().all(|logged| match logged {
            Logged::Entry(entry) if entry.generation == generation => {
                let is_next = entry.first == next;
                next = entry.end();
                // A loss may reach across: it has one position.
                is_next && (entry.loss.is_some() || entry.first / wrap == (next - 1) / wrap)
            }
            Logged::Entry(_) | Logged::Report(_) => true,
        })
    })
}

fn repairs_are_reported(_: &Protocol, state: &State) -> bool {
    let mut reported = 1;
    state.broker.log.iter().all(|logged| match logged {
        Logged::Report(generation) => {
            reported |= 1 << generation;
            true
        }
        Logged::Entry(entry) => reported & (1 << entry.generation) != 0,
    })
}

fn repairs_have_a_cause(_: &Protocol, state: &State) -> bool {
    let faults = &state.faults;
    !state.book.was_repaired
        || faults.rollbacks > 0
        || faults.restores > 0
        || state.agents.len() > 1
}

fn losses_have_a_cause(_: &Protocol, state: &State) -> bool {
    let lost = state.broker.lost(state.broker.length());
    lost.filter(|record| **record < NO_RECORD)
        .all(|record| set_of(*record) & state.book.may_be_lost != 0)
}
