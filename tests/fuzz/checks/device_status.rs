//! What devices say of themselves.

use headwater_broker::fuzz;

use super::Check;

/// Any bytes as an agent's status: what is shown of it has its fixed shape.
pub const DEVICE_STATUS: Check = Check {
    name: "device_status",
    run,
    memory_fixed: 64 << 10,
    memory_per_byte: 1024,
};

fn run(bytes: &[u8]) {
    let device = fuzz::device(bytes);
    let backlog = &device["backlog"];
    for number in [
        &backlog["events"],
        &backlog["bytes"],
        &device["lost_events"],
    ] {
        assert!(number.is_u64(), "{device}");
    }
    assert!(backlog["oldest_ms"].is_i64() || backlog["oldest_ms"].is_null());
    assert!(device["agent"].is_string() || device["agent"].is_null());
    for alarm in device["alarms"].as_array().expect("a list") {
        assert!(alarm["code"].is_string() && alarm["text"].is_string());
    }
    assert_eq!(device["lanes"].as_array().expect("a list").len(), 1);
}
