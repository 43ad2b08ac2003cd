//! What the broker may say to `resume`, and what the log makes of it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use headwater_agent_core::handshake::{Fork, Handshake, ResumeAnswer, TopicId};
use headwater_agent_core::lane::{LaneName, SealedBatch};
use headwater_wire::uplink::Position;

use super::broker::{Broker, TOPIC};
use super::disk::FakeDisk;
use super::{HandClock, append, event, options};
use crate::log::LogOptions;
use crate::log::engine::Engine;
use crate::log::tail::{crc_of, lost};

struct World {
    options: LogOptions,
    clock: Arc<HandClock>,
    disk: FakeDisk,
    number: u64,
}

impl World {
    fn new() -> (Self, Engine) {
        let (mut options, clock) = options(Path::new("/log"));
        let disk = FakeDisk::new(1);
        options.disk = Arc::new(disk.clone());
        options.keep_acked = Duration::from_secs(60);
        let world = Self {
            options,
            clock,
            disk,
            number: 0,
        };
        let engine = world.open();
        (world, engine)
    }

    fn open(&self) -> Engine {
        let mut engine = Engine::open(self.options.clone()).expect("the log opens");
        engine.set_link(true);
        engine
    }

    fn reopen(&mut self, engine: Engine) -> Engine {
        drop(engine);
        self.disk = self.disk.crash();
        self.options.disk = Arc::new(self.disk.clone());
        self.open()
    }

    /// Ten events in a batch of their own.
    fn batch(&mut self, engine: &mut Engine) {
        let events = (0..10).map(|_| {
            self.number += 1;
            event(self.number)
        });
        append(engine, "events", events.collect()).expect("there is room");
        self.clock.turn(1_000);
        engine.run(Vec::new());
    }
}

fn lane() -> LaneName {
    LaneName::main("events")
}

fn answer(next: u64, crc: u32) -> ResumeAnswer {
    let crc = (next > 0).then_some(crc);
    ResumeAnswer {
        next: Position(next),
        crc,
        topic_id: TOPIC,
        generation: None,
    }
}

fn read(engine: &mut Engine, at: u64) -> SealedBatch {
    engine
        .next_batch(&lane(), Position(at))
        .expect("it reads")
        .expect("it is sealed")
}

/// The reason in a declared loss.
fn reason(batch: &SealedBatch) -> String {
    assert!(lost(&batch.bytes).is_some(), "it is a loss");
    let text = String::from_utf8_lossy(&batch.bytes).into_owned();
    let from = text.find(r#""reason":""#).expect("it has a reason") + 10;
    text[from..]
        .chars()
        .take_while(|letter| *letter != '"')
        .collect()
}

#[test]
fn what_the_broker_lost_is_sent_again_from_what_is_kept() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let crc = crc_of(&read(&mut engine, 0).bytes);
    engine.acknowledge(&lane(), Position(30));
    let handshake = engine.handshake(&lane(), &answer(10, crc)).unwrap();
    assert_eq!(handshake, Handshake::Send(Position(10)));
    assert_eq!(engine.lane_states()[0].acked, Position(10));
    assert_eq!(read(&mut engine, 10).next, Position(20));
}

#[test]
fn what_is_gone_is_declared_once_and_the_same_after_a_crash() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let second = read(&mut engine, 10);
    engine.acknowledge(&lane(), Position(20));
    world.clock.turn(60_000);
    world.batch(&mut engine);
    assert_eq!(engine.lane_states()[0].oldest, Position(20));

    let handshake = engine.handshake(&lane(), &answer(5, 99)).unwrap();
    assert_eq!(handshake, Handshake::Send(Position(5)));
    let loss = read(&mut engine, 5);
    assert_eq!(
        (loss.next, reason(&loss)),
        (Position(20), "restored".into())
    );

    let mut engine = world.reopen(engine);
    assert_eq!(read(&mut engine, 5), loss, "the same to the byte");
    let handshake = engine
        .handshake(&lane(), &answer(20, crc_of(&loss.bytes)))
        .unwrap();
    assert_eq!(
        handshake,
        Handshake::Send(Position(20)),
        "the loss is the entry that ends there"
    );
    assert_eq!(engine.status().lanes[0].lost_events, 15);
    let handshake = engine
        .handshake(&lane(), &answer(20, crc_of(&second.bytes)))
        .unwrap();
    assert_eq!(
        handshake,
        Handshake::Send(Position(20)),
        "and so is the batch that was there"
    );
    assert_eq!(read(&mut engine, 20).next, Position(30));
}

#[test]
fn a_lane_that_the_broker_forgot_and_a_stream_that_was_made_again() {
    for (topic_id, expected, counted) in
        [(TOPIC, "lane-lost", 20), (TopicId([9; 16]), "recreated", 0)]
    {
        let (mut world, mut engine) = World::new();
        (0..3).for_each(|_| world.batch(&mut engine));
        assert_eq!(
            engine.handshake(&lane(), &answer(0, 0)).unwrap(),
            Handshake::Send(Position(0))
        );
        engine.acknowledge(&lane(), Position(20));
        world.clock.turn(60_000);
        world.batch(&mut engine);
        let again = ResumeAnswer {
            topic_id,
            ..answer(0, 0)
        };
        assert_eq!(
            engine.handshake(&lane(), &again).unwrap(),
            Handshake::Send(Position(0))
        );
        let loss = read(&mut engine, 0);
        assert_eq!((loss.next, reason(&loss)), (Position(20), expected.into()));
        engine.acknowledge(&lane(), Position(20));
        assert_eq!(engine.status().lanes[0].lost_events, counted, "{expected}");
    }
}

#[test]
fn a_rolled_back_log_is_told_by_what_the_broker_has() {
    let (mut world, mut engine) = World::new();
    world.batch(&mut engine);
    let crc = crc_of(&read(&mut engine, 0).bytes);
    let mut engine = world.reopen(engine);
    // The broker has what was sent after the image was taken that this log was put back to.
    let ahead = engine.handshake(&lane(), &answer(30, crc)).unwrap();
    assert_eq!(ahead, Handshake::Fork(Fork::Ahead));
    assert!(engine.status().lanes[0].forked.is_some());
}

#[test]
fn a_clone_is_told_by_the_last_entry() {
    let (mut world, mut engine) = World::new();
    (0..2).for_each(|_| world.batch(&mut engine));
    let crc = crc_of(&read(&mut engine, 10).bytes);
    let other = engine.handshake(&lane(), &answer(20, crc ^ 1)).unwrap();
    assert_eq!(other, Handshake::Fork(Fork::Other));
    let inside = engine.handshake(&lane(), &answer(15, crc)).unwrap();
    assert_eq!(inside, Handshake::Fork(Fork::Other));
    assert_eq!(
        engine.handshake(&lane(), &answer(20, crc)).unwrap(),
        Handshake::Send(Position(20))
    );
}

#[test]
fn headers_of_what_is_gone_are_remembered_over_restarts() {
    let (mut world, mut engine) = World::new();
    (0..2).for_each(|_| world.batch(&mut engine));
    let crc = crc_of(&read(&mut engine, 10).bytes);
    engine.acknowledge(&lane(), Position(20));
    world.clock.turn(60_000);
    engine.run(Vec::new());
    append(&mut engine, "events", vec![event(1)]).unwrap();
    let mut engine = world.reopen(engine);
    assert_eq!(
        engine.lane_states()[0].oldest,
        Position(20),
        "nothing sealed is held"
    );
    assert_eq!(
        engine.handshake(&lane(), &answer(20, crc)).unwrap(),
        Handshake::Send(Position(20))
    );
    let other = engine.handshake(&lane(), &answer(20, crc ^ 1)).unwrap();
    assert_eq!(other, Handshake::Fork(Fork::Other));
}

#[test]
fn a_batch_refused_for_good_becomes_a_declared_loss() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let first = read(&mut engine, 0);
    engine.set_aside(&lane(), Position(10)).unwrap();
    let loss = read(&mut engine, 10);
    assert_eq!((loss.next, reason(&loss)), (Position(20), "refused".into()));
    engine.set_aside(&lane(), Position(10)).unwrap();
    assert_eq!(read(&mut engine, 10), loss, "declared once");
    let mut engine = world.reopen(engine);
    assert_eq!(read(&mut engine, 10), loss);
    let mut broker = Broker::default();
    broker.take(&lane(), &first);
    broker.drain(&mut engine, usize::MAX, || true);
    assert_eq!(broker.taken(&lane()).losses, [(Position(10), Position(20))]);
    assert_eq!(broker.taken(&lane()).keys.len(), 20);
    assert_eq!(engine.status().lanes[0].lost_events, 10);
}

#[test]
fn a_loss_of_which_the_broker_had_a_part_is_declared_for_the_rest() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let first = read(&mut engine, 0);
    engine.acknowledge(&lane(), Position(20));
    world.clock.turn(60_000);
    world.batch(&mut engine);
    let from_start = engine.handshake(&lane(), &answer(0, 0)).unwrap();
    assert_eq!(from_start, Handshake::Send(Position(0)));
    assert_eq!(read(&mut engine, 0).next, Position(20));
    // The broker was restored once more, to where it has the first batch.
    let crc = crc_of(&first.bytes);
    assert_eq!(
        engine.handshake(&lane(), &answer(10, crc)).unwrap(),
        Handshake::Send(Position(10))
    );
    let rest = read(&mut engine, 10);
    assert_eq!(
        (rest.next, reason(&rest)),
        (Position(20), "lane-lost".into())
    );
}

#[test]
fn a_stream_made_again_is_told_what_the_old_one_had() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let _ = engine.handshake(&lane(), &answer(0, 0)).unwrap();
    engine.acknowledge(&lane(), Position(20));
    assert_eq!(engine.lane_states()[0].oldest, Position(0), "all is kept");
    let other = ResumeAnswer {
        topic_id: TopicId([8; 16]),
        ..answer(0, 0)
    };
    for _ in 0..2 {
        let handshake = engine.handshake(&lane(), &other).unwrap();
        assert_eq!(handshake, Handshake::Send(Position(0)));
        let told = read(&mut engine, 0);
        assert_eq!(
            (told.next, reason(&told)),
            (Position(20), "recreated".into())
        );
        engine = world.reopen(engine);
    }
    let told = read(&mut engine, 0);
    let crc = crc_of(&told.bytes);
    let confirmed = ResumeAnswer {
        topic_id: TopicId([8; 16]),
        ..answer(20, crc)
    };
    let handshake = engine.handshake(&lane(), &confirmed).unwrap();
    assert_eq!(handshake, Handshake::Send(Position(20)));
    assert_eq!(lost(&read(&mut engine, 20).bytes), None, "events again");
    assert_eq!(engine.status().lanes[0].lost_events, 0, "none is lost");
}

#[test]
fn what_nobody_waits_for_is_given_up_and_declared_once_there_is_a_stream() {
    let (mut world, mut engine) = World::new();
    (0..5).for_each(|_| world.batch(&mut engine));
    let _ = engine.handshake(&lane(), &answer(0, 0)).unwrap();
    read(&mut engine, 0);
    engine.acknowledge(&lane(), Position(10));
    engine.give_up(&lane()).unwrap();
    engine.give_up(&lane()).unwrap();
    let figures = |engine: &mut Engine| {
        let lane = engine.status().lanes.remove(0);
        (lane.events, lane.lost_events)
    };
    assert_eq!(figures(&mut engine), (0, 40));
    let mut engine = world.reopen(engine);
    // Five in a batch that is still open.
    append(&mut engine, "events", (0..5).map(event).collect()).unwrap();
    assert_eq!(figures(&mut engine), (5, 40));
    engine.give_up(&lane()).unwrap();
    assert_eq!(figures(&mut engine), (0, 45));
    world.batch(&mut engine);
    engine.give_up(&lane()).unwrap();
    world.batch(&mut engine);
    let mut engine = world.reopen(engine);
    assert_eq!(figures(&mut engine), (10, 55));
    let other = ResumeAnswer {
        topic_id: TopicId([8; 16]),
        ..answer(0, 0)
    };
    let handshake = engine.handshake(&lane(), &other).unwrap();
    assert_eq!(handshake, Handshake::Send(Position(0)));
    let (told, gone) = (read(&mut engine, 0), read(&mut engine, 10));
    assert_eq!(
        (told.next, reason(&told)),
        (Position(10), "recreated".into())
    );
    assert_eq!((gone.next, reason(&gone)), (Position(65), "refused".into()));
    assert_eq!(figures(&mut engine).1, 55, "it never goes back");
    engine.acknowledge(&lane(), Position(65));
    assert_eq!(read(&mut engine, 65).next, Position(75), "events again");
    assert_eq!(figures(&mut engine), (10, 55), "counted once");
}

#[test]
fn what_was_given_up_and_is_there_after_all_counts_as_arrived() {
    let (mut world, mut engine) = World::new();
    (0..3).for_each(|_| world.batch(&mut engine));
    let crc = crc_of(&read(&mut engine, 0).bytes);
    engine.give_up(&lane()).unwrap();
    let mut engine = world.reopen(engine);
    let handshake = engine.handshake(&lane(), &answer(10, crc)).unwrap();
    assert_eq!(handshake, Handshake::Send(Position(10)));
    let gone = read(&mut engine, 10);
    assert_eq!((gone.next, reason(&gone)), (Position(30), "refused".into()));
}
