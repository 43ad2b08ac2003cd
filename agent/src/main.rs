//! The agent on the device: sources, the durable log, the uplink.

fn main() {}
