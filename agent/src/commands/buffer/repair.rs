//! `headwater-agent buffer repair`: looks, asks, keeps copies, repairs, looks again. The directory is
//! held all the while, so that no agent starts in between.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use super::super::{DONE, print};
use super::{Output, aside, code, options, show};
use crate::log::{self, LogOptions, LostIdentity};

/// Does it; gives the exit code. `names` may be the device's, should its own file be damaged.
pub(super) fn run(dir: &Path, names: &[String], yes: bool, output: Output) -> Result<u8, String> {
    let says = |error: log::OpenError| error.to_string();
    let is_lost = log::has_lost_identity(dir);
    if !is_lost {
        // Nothing is made where there is no log.
        options(dir)?;
    }
    let held = log::hold(dir).map_err(says)?;
    if is_lost {
        rebuild(dir, names, yes)?;
    }
    let options = LogOptions {
        lock: Some(held),
        ..options(dir)?
    };
    let found = log::inspect(options.clone(), |_| {}).map_err(says)?;
    if found.damage.is_empty() {
        print(&show::inspection(&found, output));
        return Ok(DONE);
    }
    if output == Output::Text {
        print(&show::inspection(&found, output));
    }
    if !yes
        && !is_confirmed("Declare what cannot be read lost, and keep a copy of the damaged files?")
    {
        return Err("Nothing was changed; --yes repairs without asking".to_owned());
    }
    let kept = aside::keep(&options.dir, &found).map_err(|error| {
        format!("Nothing was changed: the damaged files cannot be copied: {error}")
    })?;
    let repaired = log::repair(options.clone()).map_err(says)?;
    // Whatever was found is declared now; a second look must find nothing.
    let after = log::inspect(options, |_| {}).map_err(says)?;
    print(&show::repair(&repaired, &after, &kept, output));
    Ok(code(&after))
}

/// Writes the log's identity anew, from what else says it.
fn rebuild(dir: &Path, names: &[String], yes: bool) -> Result<(), String> {
    let identity = LostIdentity::find(dir, names).map_err(|error| error.to_string())?;
    let device = identity.device();
    let question = format!(
        "The file that says whose log this is cannot be read; its batches are of \"{device}\". Write it anew?"
    );
    if !yes && !is_confirmed(&question) {
        return Err(format!(
            "Nothing was changed; --yes writes anew that this is the log of \"{device}\""
        ));
    }
    aside::keep_identity(dir).map_err(|error| {
        format!("Nothing was changed: the damaged file cannot be copied: {error}")
    })?;
    identity
        .write(dir)
        .map_err(|error| format!("Identity cannot be written: {error}"))
}

/// Asks, where somebody can answer.
#[expect(clippy::print_stderr, reason = "a question to the user")]
fn is_confirmed(question: &str) -> bool {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return false;
    }
    eprint!("{question} [y/N] ");
    let _shown = std::io::stderr().flush();
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).is_ok() && answer.trim().eq_ignore_ascii_case("y")
}
