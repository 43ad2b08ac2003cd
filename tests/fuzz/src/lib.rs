//! Runs the checks under libFuzzer, and counts what they allocate: memory grows with what has
//! arrived, never with what is announced.

#[path = "../checks/mod.rs"]
pub mod checks;
mod counting;

use checks::Check;

/// Runs `check` over `bytes`; a panic, or more memory than the check allows, is a finding.
pub fn run(check: &Check, bytes: &[u8]) {
    let peak = counting::peak(|| (check.run)(bytes));
    let most = check.memory_fixed + check.memory_per_byte * bytes.len();
    assert!(
        peak <= most,
        "{} needed {peak} bytes of memory for {} bytes, {most} are allowed",
        check.name,
        bytes.len()
    );
}

/// The target of one check.
#[macro_export]
macro_rules! target {
    ($check:ident) => {
        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            $crate::run(&$crate::checks::$check, bytes);
        });
    };
}
