//! Models, within larger bounds than a test run has time for:
//! `cargo run --release -p headwater-tests --bin model -- lanes [VARIANT] [PROFILE]`, and `list`.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use headwater_tests::models::check::{drains, run};
use headwater_tests::models::lanes::{MISTAKES, Mistake, PROFILES, Profile};

/// Checks a model of a protocol, state by state.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    model: Which,
}

#[derive(Subcommand)]
enum Which {
    /// Names variants and profiles.
    List,
    /// An agent's lane.
    Lanes {
        /// `right`, `wrong` (all mistakes, each where it is found), or a mistake's name.
        #[arg(default_value = "right")]
        variant: String,
        /// A profile's name; all without one.
        profile: Option<String>,
        /// Seconds after which a run is ended.
        #[arg(long, default_value_t = 600)]
        limit_s: u64,
        /// States up to which it is checked that the lane can be drained from each.
        #[arg(long, default_value_t = 4_000_000)]
        drain_states_max: usize,
    },
}

#[expect(clippy::print_stdout, reason = "a command's result")]
fn main() -> ExitCode {
    let Which::Lanes {
        variant,
        profile,
        limit_s,
        drain_states_max,
    } = Options::parse().model
    else {
        for profile in PROFILES {
            println!("profile {:18} {:?}", profile.name, profile.bounds);
        }
        for (_, name, found_in) in MISTAKES {
            println!("variant {name:18} found in {found_in}");
        }
        return ExitCode::SUCCESS;
    };
    let is_asked = |name: &str| profile.as_deref().is_none_or(|asked| asked == name);
    let limit = Duration::from_secs(limit_s);
    let mut is_fine = true;
    let mut runs = 0;
    for profile in PROFILES.iter().filter(|profile| is_asked(profile.name)) {
        for (mistake, name, found_in) in variants() {
            let is_wanted = match variant.as_str() {
                "wrong" => mistake.is_some() && found_in == profile.name,
                _ => variant == name,
            };
            if is_wanted {
                runs += 1;
                let is_expected = check(profile, mistake, name, limit, drain_states_max);
                is_fine &= is_expected || (profile.name != found_in && mistake.is_some());
            }
        }
    }
    if runs == 0 {
        println!("No such variant or profile, see `list`");
        return ExitCode::from(2);
    }
    ExitCode::from(u8::from(!is_fine))
}

fn variants() -> impl Iterator<Item = (Option<Mistake>, &'static str, &'static str)> {
    let wrong = MISTAKES
        .iter()
        .map(|(mistake, name, found_in)| (Some(*mistake), *name, *found_in));
    std::iter::once((None, "right", "")).chain(wrong)
}

/// Runs one, prints it, and says whether it came out as it should.
#[expect(clippy::print_stdout, reason = "a command's result")]
fn check(
    profile: &Profile,
    mistake: Option<Mistake>,
    name: &str,
    limit: Duration,
    states_max: usize,
) -> bool {
    let outcome = run(profile.bounds, mistake, limit);
    let all = if outcome.is_exhaustive || outcome.violation.is_some() {
        ""
    } else {
        ", NOT exhaustive: the time limit ended it"
    };
    let (states, depth, took) = (outcome.states, outcome.depth, outcome.took.as_secs_f32());
    println!(
        "{name} in {}: {states} states, depth {depth}, {took:.1} s{all}",
        profile.name
    );
    if let Some((property, steps)) = &outcome.violation {
        println!(
            "  violated in {} steps: {property}\n  {steps:?}",
            steps.len()
        );
        return mistake.is_some();
    }
    outcome
        .never
        .iter()
        .for_each(|property| println!("  never seen: {property}"));
    let reach = drains(profile.bounds, mistake, states_max);
    match &reach.stuck {
        _ if reach.is_cut => {
            println!("  not checked that it drains: more than {states_max} states")
        }
        Some(state) => println!("  stuck: {state:#?}"),
        None => println!(
            "  drains from each of {} states ({} drained, {} at the bounds)",
            reach.states, reach.good, reach.at_bounds
        ),
    }
    let is_whole = mistake.is_some() || !reach.is_cut;
    is_whole && (mistake.is_some() == reach.stuck.is_some()) && outcome.never.is_empty()
}
