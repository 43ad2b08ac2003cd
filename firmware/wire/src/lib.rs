//! What agent, broker and firmware agree on: Kafka record batches and the uplink contract, no_std.
