//! `headwater-agent run`.

use tokio::signal::unix::{SignalKind, signal};

use super::{DONE, FAILED, USAGE, fail, logging};
use crate::config::Config;
use crate::run::{self, Addresses, RunError};

/// Runs until SIGTERM or SIGINT; exit code 0 after a clean stop.
pub(super) fn run(config: Config) -> u8 {
    logging::start();
    let outcome = run::block_on(async {
        // Registered before anything starts: a signal that comes early is not lost.
        let stop = signals().map_err(RunError::System)?;
        run::run(config, print_ready, stop).await
    });
    match outcome {
        Ok(()) => DONE,
        Err(error @ RunError::Settings(_)) => fail(&error, USAGE),
        Err(error) => fail(&error, FAILED),
    }
}

fn signals() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[expect(clippy::print_stderr, reason = "scripts wait for this line")]
fn print_ready(addresses: &Addresses) {
    eprintln!("{}", ready_line(addresses));
}

fn ready_line(addresses: &Addresses) -> String {
    let mqtt = addresses
        .mqtt
        .map_or_else(String::new, |address| format!(" mqtt={address}"));
    format!("ready{mqtt} http={}", addresses.http)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line_names_what_is_open() {
        let http = "127.0.0.1:8090".parse().unwrap();
        let mqtt = Some("127.0.0.1:1884".parse().unwrap());
        let line = ready_line(&Addresses { mqtt, http });
        assert_eq!(line, "ready mqtt=127.0.0.1:1884 http=127.0.0.1:8090");
        assert_eq!(
            ready_line(&Addresses { mqtt: None, http }),
            "ready http=127.0.0.1:8090"
        );
    }
}
