#![no_main]

headwater_fuzz::target!(AGENT_FILES);
