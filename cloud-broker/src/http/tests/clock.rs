//! The clock, over HTTP.

use serde_json::json;

use super::Broker;

#[test]
fn the_clock_can_be_asked_and_accepted() {
    let broker = Broker::start("");
    let clock = broker.get("/api/v1/clock");
    assert!(clock["now_ms"].as_i64().is_some_and(|now| now > 0));
    let found = [&clock["suspect"], &clock["jumped_ms"], &clock["left_ms"]];
    assert_eq!(found, [&json!(false), &json!(0), &json!(0)]);
    let accepted = broker.request("POST", "/api/v1/clock/accept");
    assert_eq!((accepted.status, accepted.body.as_str()), (204, ""));
    assert_eq!(broker.request("GET", "/api/v1/clock/accept").status, 405);
}
