//! The Kafka wire protocol, one file an API, no I/O.
