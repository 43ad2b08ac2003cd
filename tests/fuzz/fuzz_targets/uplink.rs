#![no_main]

headwater_fuzz::target!(UPLINK);
