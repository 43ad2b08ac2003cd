//! The cloud broker: MQTT, Kafka and HTTP doors over one log.

fn main() {}
