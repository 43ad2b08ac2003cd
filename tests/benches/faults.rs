//! Proof that the power-loss tests can fail: each fault is compiled in, and the tests that guard
//! against it must then find it. A fault that no test finds fails this program.

use std::path::Path;
use std::process::{Command, ExitCode};

/// Fault, package, and the tests of it (a filter of `cargo test`) that must fail.
const MUST_FAIL: &[(&str, &str, &str)] = &[
    ("no_sync", "headwater-store", "power"),
    ("no_sync", "headwater-agent", "power"),
    ("ack_before_sync", "headwater-agent", "power"),
    ("ack_before_sync", "headwater-broker", "power"),
    ("delete_before_ack", "headwater-agent", "power"),
    ("forget_producers", "headwater-broker", "power"),
];

#[expect(clippy::print_stdout, reason = "a command's result")]
fn main() -> ExitCode {
    let (mut found, mut missed) = (0, 0);
    for (fault, package, filter) in MUST_FAIL {
        match run(fault, package, filter) {
            Ok(true) => found += 1,
            Ok(false) => missed += 1,
            Err(error) => {
                println!("FAILED  {error}");
                missed += 1;
            }
        }
    }
    println!("{found} passed, {missed} failed");
    ExitCode::from(u8::from(missed > 0 || found == 0))
}

/// Whether the tests found the fault.
#[expect(clippy::print_stdout, reason = "a command's result")]
fn run(fault: &str, package: &str, filter: &str) -> Result<bool, String> {
    if !cargo(fault, package, &["--no-run"])?.0 {
        return Err(format!("{package} does not build with {fault}"));
    }
    let (passed, output) = cargo(fault, package, &["--no-fail-fast", filter])?;
    // A build error or a crash is no finding: a test has to have failed by its own judgement.
    let found = !passed && output.contains("test result: FAILED");
    let failed: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("test ") && line.ends_with("FAILED"))
        .collect();
    println!(
        "{}  {fault} in {package}: {}",
        if found { "ok    " } else { "MISSED" },
        failed.join("; ")
    );
    Ok(found)
}

fn cargo(fault: &str, package: &str, more: &[&str]) -> Result<(bool, String), String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .ok_or("No workspace")?;
    let output = Command::new("cargo")
        .current_dir(root)
        .args([
            "test",
            "--package",
            package,
            "--target-dir",
            "target/faults",
        ])
        .args(more)
        .env("HW_FAULT", fault)
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}
