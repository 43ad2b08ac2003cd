//! Proof that the tests of power loss and restarts can fail: each fault is compiled in, and the
//! tests that guard against it must then find it. A fault that no test finds fails this program.

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// A mistake, and the tests that must find it.
struct Case {
    fault: &'static str,
    package: &'static str,
    /// Words for `cargo test`: the one target to build, and a filter of test names.
    tests: &'static [&'static str],
}

/// In the order that rebuilds least. Only the crates that know the fault are compiled again.
const MUST_FAIL: &[Case] = &[
    Case {
        fault: "no_sync",
        package: "headwater-store",
        tests: &["--test=store", "crash"],
    },
    Case {
        fault: "no_sync",
        package: "headwater-agent",
        tests: &["--lib", "log::tests::crash"],
    },
    Case {
        fault: "ack_before_sync",
        package: "headwater-agent",
        tests: &["--lib", "log::tests::crash"],
    },
    Case {
        fault: "ack_before_sync",
        package: "headwater-broker",
        tests: &["--lib", "backend::tests::power"],
    },
    Case {
        fault: "delete_before_ack",
        package: "headwater-agent",
        tests: &["--lib", "log::tests::crash"],
    },
    Case {
        fault: "forget_producers",
        package: "headwater-broker-core",
        tests: &["--lib", "journal::model"],
    },
    Case {
        fault: "forget_producers",
        package: "headwater-broker",
        tests: &["--lib", "backend::tests::restart"],
    },
];

#[expect(clippy::print_stdout, reason = "a command's result")]
fn main() -> ExitCode {
    let begun = Instant::now();
    let mut found = 0;
    for case in MUST_FAIL {
        let Case { fault, package, .. } = case;
        match run(case) {
            Ok(tests) => {
                found += 1;
                println!("found   {fault} in {package}: {}", tests.join(", "));
            }
            Err(error) => println!("MISSED  {fault} in {package}: {error}"),
        }
    }
    let missed = MUST_FAIL.len() - found;
    println!(
        "{found} faults found, {missed} missed, {} s",
        begun.elapsed().as_secs()
    );
    ExitCode::from(u8::from(missed > 0))
}

/// Names of the tests that found the fault.
fn run(case: &Case) -> Result<Vec<String>, String> {
    let output = Command::new("cargo")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .args(["test", "--no-fail-fast", "--target-dir=target/faults"])
        .args(["--package", case.package])
        .args(case.tests)
        .env("HW_FAULT", case.fault)
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_PROFILE_DEV_DEBUG", "none")
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let failed: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .map(str::to_owned)
        .collect();
    // A build error or a crash is no finding: a test has to have failed by its own judgement.
    if text.contains("test result: FAILED") && !failed.is_empty() {
        return Ok(failed);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("{text}\n{errors}"))
}
