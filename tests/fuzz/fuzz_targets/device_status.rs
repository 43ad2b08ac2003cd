#![no_main]

headwater_fuzz::target!(DEVICE_STATUS);
