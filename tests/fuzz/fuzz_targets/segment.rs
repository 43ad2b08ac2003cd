#![no_main]

headwater_fuzz::target!(SEGMENT);
