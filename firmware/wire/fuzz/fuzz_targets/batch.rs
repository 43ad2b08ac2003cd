//! Any bytes as batch, topic and number; `tests/fuzz.rs` runs the same by seed. With cargo-fuzz:
//! `cargo fuzz run batch -- -max_len=4096 fuzz/corpus/batch tests/data/v1`.
#![no_main]

#[path = "../../tests/entry/mod.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    entry::run(bytes);
});
