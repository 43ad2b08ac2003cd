//! A stream is deleted, and made again, while an agent has batches for it, online and offline. Its
//! lane waits or gives up, as the settings say; the other lane notices nothing.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use headwater_tests::consume::{self, Record};
use headwater_tests::events::Events;
use headwater_tests::http;
use headwater_tests::load::Load;
use headwater_tests::peers::free_address;
use headwater_tests::process::GIVE_UP;
use headwater_tests::stack::{NOWHERE, Stack};
use serde_json::{Value, json};

/// Events of each round, by number of the round.
const ROUNDS: [usize; 4] = [50, 30, 20, 25];
const START_MS: i64 = 1_760_000_000_000;

/// An agent with two sources, each for a stream of its own: `events` and `side`.
struct World {
    stack: Stack,
    side_door: SocketAddr,
}

impl World {
    fn start(on_missing_stream: &str) -> Self {
        let side_door = free_address().expect("an address");
        let side = format!(
            "[[source]]\nkind = \"mqtt\"\nname = \"side\"\nstream = \"side\"\nlisten = \"{side_door}\"\n"
        );
        let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
        let mut stack = Stack::start(program, &side, "").expect("both start");
        let settings = stack.path("agent.toml");
        let text = std::fs::read_to_string(&settings).expect("settings");
        let option = format!("[uplink]\non_missing_stream = \"{on_missing_stream}\"\n");
        let text = text.replacen("[uplink]\n", &option, 1);
        std::fs::write(settings, text).expect("written");
        stack
            .agent
            .take()
            .expect("it runs")
            .terminate()
            .expect("it ends");
        stack.start_agent().expect("it starts again");
        Self { stack, side_door }
    }

    /// Publishes the events of a round to both streams.
    fn publish(&self, round: usize) {
        for door in [self.stack.agent().address("mqtt"), self.side_door] {
            let load = Load {
                connections: 1,
                window: 10,
                events: ROUNDS[round],
                seed: round as u64 + 1,
            };
            load.run(door).expect("everything is acknowledged");
        }
    }

    fn broker(&self) -> SocketAddr {
        self.stack.broker().address("http")
    }

    fn create(&self) {
        let stream = json!({"name": "side", "partitions": 2});
        let answer = http::request(self.broker(), "POST", "/api/v1/streams", Some(&stream));
        assert_eq!(answer.expect("an answer").0, 201);
    }

    fn delete(&self) {
        let answer = http::request(self.broker(), "DELETE", "/api/v1/streams/side", None);
        assert_eq!(answer.expect("an answer").0, 204);
    }

    /// Waits until the status of the lane for a stream is as wanted.
    fn wait_for_lane(&self, stream: &str, wanted: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let status = http::json(self.stack.agent().address("http"), "/status").expect("JSON");
            let lanes = status["lanes"].as_array().expect("lanes");
            let lane = lanes.iter().find(|lane| lane["stream"] == stream);
            if lane.is_some_and(&wanted) {
                return;
            }
            let log = self.stack.agent().log();
            assert!(begun.elapsed() < GIVE_UP, "{status:#}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn read(&self, stream: &str) -> Vec<Record> {
        let kafka = self.stack.broker().address("kafka");
        consume::everything(kafka, stream).expect("it can be read")
    }

    /// Waits until nothing is left, and checks what a stream then holds: losses as range and
    /// reason, and the events of these rounds in order, each once.
    fn check(&self, stream: &str, losses: &[(&str, &str)], rounds: &[usize]) {
        self.stack.wait_until_drained().expect("it drains");
        let records = self.read(stream);
        let is_loss = |record: &&Record| {
            let key = record.key.as_deref().unwrap_or_default();
            key.starts_with(b"$hw/loss/gw-1/")
        };
        let (told, events): (Vec<_>, Vec<_>) = records.iter().partition(is_loss);
        let told = told.iter().map(|record| {
            let (name, range) = &record.headers[0];
            assert_eq!(name, "hw-lost");
            let range = String::from_utf8(range.clone().expect("a range")).expect("text");
            let value: Value =
                serde_json::from_slice(record.value.as_deref().expect("a report")).expect("JSON");
            (
                range,
                value["reason"].as_str().expect("a reason").to_owned(),
            )
        });
        let expected = losses
            .iter()
            .map(|(range, reason)| (range.to_string(), reason.to_string()));
        assert_eq!(told.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        let values: Vec<_> = events
            .iter()
            .map(|record| record.value.clone().unwrap_or_default())
            .collect();
        let expected = rounds.iter().flat_map(|round| {
            let events = Events::new(*round as u64 + 1, START_MS).take(ROUNDS[*round]);
            events.map(|event| event.payload.into_bytes())
        });
        assert_eq!(values, expected.collect::<Vec<_>>(), "in order, each once");
    }
}

/// Rounds 0 and 2 are acknowledged before their stream is deleted; round 1 comes while it is gone,
/// round 3 while the agent is offline and does not know.
fn run(world: &mut World, lost: u64) {
    world.create();
    world.publish(0);
    world.check("side", &[], &[0]);
    world.delete();
    world.publish(1);
    world.wait_for_lane("side", |lane| {
        let error = lane["error"].as_str().unwrap_or_default();
        lane["state"] == "held" && error.contains("no-stream")
    });
    world.wait_for_lane("events", |lane| {
        lane["events"] == 0 && lane["state"] == "open"
    });
    // Tried again at each connection: what is given up is given up now at the latest.
    world.stack.to_broker.cut();
    world.wait_for_lane("side", |lane| {
        lane["state"] == "held" && lane["lost_events"] == lost
    });
    world.create();
    world.stack.to_broker.cut();
    let kept: &[usize] = if lost == 0 { &[1, 2] } else { &[2] };
    let told = [("0-50", "recreated"), ("50-80", "refused")];
    let told = &told[..if lost == 0 { 1 } else { 2 }];
    world.wait_for_lane("side", |lane| {
        lane["state"] == "open" && lane["events"] == 0
    });
    world.publish(2);
    world.check("side", told, kept);

    // The agent is offline while its stream is deleted and made again.
    world
        .stack
        .to_broker
        .point_to(NOWHERE.parse().expect("an address"));
    world.stack.to_broker.cut();
    world.delete();
    world.create();
    world.publish(3);
    let broker = world.stack.broker().address("mqtts");
    world.stack.to_broker.point_to(broker);
    world.check("side", &[("0-100", "recreated")], &[3]);
    world.wait_for_lane("side", |lane| lane["lost_events"] == lost);
    world.check("events", &[], &[0, 1, 2, 3]);
}

#[test]
fn a_lane_waits_for_its_stream() {
    let mut world = World::start("hold");
    run(&mut world, 0);
}

#[test]
fn a_lane_gives_up_where_that_is_asked_for() {
    let mut world = World::start("drop");
    run(&mut world, 30);
    // Also over restarts of both.
    world.delete();
    world.stack.broker.take().expect("it runs").kill();
    world.stack.start_broker().expect("it starts again");
    let answer = http::get(world.broker(), "/api/v1/streams/side").expect("an answer");
    assert_eq!(answer.0, 404, "{}", answer.1);
    world.check("events", &[], &[0, 1, 2, 3]);
}
