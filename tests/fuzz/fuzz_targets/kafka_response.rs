#![no_main]

headwater_fuzz::target!(KAFKA_RESPONSE);
