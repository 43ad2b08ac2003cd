#![no_main]

headwater_fuzz::target!(GROUPS);
