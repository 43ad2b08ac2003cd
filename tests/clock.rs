//! A clock that has jumped: the broker says so, deletes nothing for its age, and somebody who has
//! looked at the clock says that it is right.

use std::path::Path;

use headwater_store::format::clock::Clock;
use headwater_store::local::{self, LocalOptions};
use headwater_store::{Outcome, names};
use headwater_tests::broker::Broker;
use headwater_tests::command::{self, Said};
use headwater_tests::http;

const HOUR_MS: i64 = 3_600_000;

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_headwater-node"))
}

/// Lets a broker that does not run have seen the clock two hours further back, as if it had been
/// set forward since.
fn set_forward(data_dir: &Path) {
    let store = local::open(data_dir, LocalOptions::default()).expect("nobody uses it");
    let found = store.registers.read(names::CLOCK).expect("it can be read");
    let found = found.expect("the broker has noted it");
    let mut clock = Clock::decode(&found.value).expect("it is whole");
    clock.offset_ms = clock.offset_ms.map(|offset| offset - 2 * HOUR_MS);
    assert!(clock.offset_ms.is_some());
    clock.rev += 1;
    let written = store
        .registers
        .cas(names::CLOCK, &found.version, &clock.encode());
    assert_eq!(written.expect("it can be written"), Outcome::Mine);
}

#[test]
fn a_jump_is_shown_and_accepted() {
    let mut broker = Broker::start(program()).expect("a broker");
    let ready = |broker: &Broker| http::get(broker.process().address("http"), "/readyz");
    let doctor = |broker: &Broker, arguments: &[&str]| {
        let arguments = [&["doctor", "clock"], arguments].concat();
        command::run(program(), broker.process().address("http"), &arguments, b"")
    };
    let Said { code, out, .. } = doctor(&broker, &[]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("It is trusted"), "{out}");
    broker.stop().expect("it ends");
    set_forward(&broker.data_dir());
    broker.start_again().expect("it starts");
    for _ in 0..2 {
        let (status, body) = ready(&broker).expect("an answer");
        assert_eq!((status, body.contains("\"clock\"")), (503, true), "{body}");
        let Said { code, out, err } = doctor(&broker, &[]);
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("jumped forward, by 2 h"), "{out}");
        assert!(err.contains("not trusted"), "{err}");
        broker.restart().expect("it starts again");
    }
    let Said { code, out, err } = doctor(&broker, &["--accept", "--output", "json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.contains("\"suspect\":false"), "{out}");
    for _ in 0..2 {
        assert_eq!(ready(&broker).expect("an answer").0, 200);
        broker.restart().expect("it starts again");
    }
}
