#![no_main]

headwater_fuzz::target!(HTTP_APPEND);
