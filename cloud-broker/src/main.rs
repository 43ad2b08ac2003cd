//! The cloud broker: MQTT, Kafka and HTTP doors over one log.

use std::process::ExitCode;

fn main() -> ExitCode {
    headwater_broker::commands::main()
}
