//! kill -9 of broker, agent or both under load: nothing acknowledged is lost, nothing that the
//! agent committed is doubled or reordered.

use std::path::Path;

use headwater_tests::kills;

/// Enough for every kind of kill; `cargo run --release -p headwater-tests --bin kills` does more.
const KILLS: u32 = 12;
/// Of these, as many must find something in flight at both hops.
const IN_FLIGHT_MIN: u32 = 10;
const SEED: u64 = 1;

#[test]
fn kills_lose_nothing_and_double_nothing() {
    let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
    let report =
        kills::run(program, SEED, KILLS).unwrap_or_else(|error| panic!("seed {SEED}: {error}"));
    println!("seed {SEED}: {report:?}");
    let in_flight = report.in_flight.0.min(report.in_flight.1);
    assert!(
        in_flight >= IN_FLIGHT_MIN,
        "kills that found something in flight at each hop"
    );
    assert!(report.verdict.acknowledged > 0);
}
