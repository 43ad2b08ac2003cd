//! kill -9 of the agent while a followed file is written and rotated: each line is in the broker's
//! log once, in order.

use std::path::Path;
use std::time::{Duration, Instant};

use headwater_tests::consume;
use headwater_tests::http;
use headwater_tests::lines::{Rotation, Writer};
use headwater_tests::process::GIVE_UP;
use headwater_tests::rng::Rng;
use headwater_tests::stack::Stack;

const SEED: u64 = 1;
const KILLS: u32 = 20;
const ROTATIONS_MIN: u32 = 5;

#[test]
fn kills_while_a_file_is_renamed() {
    kills(Rotation::Rename);
}

#[test]
fn kills_while_a_file_is_copied_and_truncated() {
    kills(Rotation::CopyTruncate);
}

fn kills(rotation: Rotation) {
    let outcome = run(rotation);
    let (lines, rotations) = outcome.unwrap_or_else(|error| panic!("seed {SEED}: {error}"));
    assert!(
        rotations >= ROTATIONS_MIN,
        "{rotations} rotations of {lines} lines"
    );
}

fn run(rotation: Rotation) -> Result<(u64, u32), String> {
    let program = Path::new(env!("CARGO_BIN_EXE_headwater-node"));
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let path = folder.path().join("app.log");
    let settings = format!(
        "[[source]]\nkind = \"lines\"\nname = \"app\"\nfrom = \"file:{}\"\n\
         [log]\nbatch_age = \"20ms\"\n",
        path.display()
    );
    let mut rng = Rng::new(SEED);
    let mut stack = Stack::start(program, &settings, "")?;
    let writer = Writer::start(&path, rotation, SEED);
    for _ in 0..KILLS {
        wait_for(
            || stored(&stack),
            "the broker gets lines",
            stored(&stack)? + 1,
        )?;
        writer.let_rotate();
        wait_for_lines(&writer, rng.below(400))?;
        stack
            .agent
            .take()
            .into_iter()
            .for_each(|mut agent| agent.kill());
        wait_for_lines(&writer, rng.below(200))?;
        stack.start_agent()?;
    }
    let (lines, rotations) = writer.finish()?;
    let arrived = wait_for(|| stored(&stack), "the broker has every line", lines);
    stack.wait_until_drained()?;
    let records = consume::everything(stack.broker().address("kafka"), "events")?;
    for (number, record) in records.iter().enumerate() {
        let expected = format!("line {number} ");
        let value = record.value.as_deref().unwrap_or_default();
        if !value.starts_with(expected.as_bytes()) {
            let value = String::from_utf8_lossy(value);
            return Err(format!(
                "{value:?} in place of {expected:?}\n{}",
                stack.agent().log()
            ));
        }
    }
    arrived?;
    if records.len() as u64 != lines {
        return Err(format!("{} records of {lines} lines", records.len()));
    }
    Ok((lines, rotations))
}

/// Records in the broker's log.
fn stored(stack: &Stack) -> Result<u64, String> {
    let stream = http::json(stack.broker().address("http"), "/api/v1/streams/events")?;
    Ok(stream["records"].as_u64().unwrap_or(0))
}

fn wait_for_lines(writer: &Writer, more: u64) -> Result<(), String> {
    let target = writer.lines() + more;
    wait_for(|| Ok(writer.lines()), "lines are written", target)
}

fn wait_for(
    mut count: impl FnMut() -> Result<u64, String>,
    what: &str,
    target: u64,
) -> Result<(), String> {
    let begun = Instant::now();
    while count()? < target {
        if begun.elapsed() > GIVE_UP {
            return Err(format!("{what}: {} of {target}", count()?));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}
