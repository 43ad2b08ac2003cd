#![no_main]

headwater_fuzz::target!(STREAM_CONFIG);
