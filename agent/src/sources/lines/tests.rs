//! The source over a real log, files and sockets.

mod file;
mod socket;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::open;
use crate::config::SourceSettings;
use crate::log::{Log, LogOptions, read_records};
use crate::sources::{Intake, Stopping};
use crate::status::{Changes, SourceState};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A log, and a directory for what is read.
struct World {
    log_dir: tempfile::TempDir,
    dir: tempfile::TempDir,
}

/// The source while it runs.
struct Running {
    log: Log,
    intake: Intake,
    listen: Option<std::net::SocketAddr>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl World {
    fn new() -> Self {
        Self {
            log_dir: tempfile::tempdir().unwrap(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    async fn start(&self, from: &str) -> Running {
        let log = Log::open(LogOptions::new(self.log_dir.path(), "gw-1")).unwrap();
        let (stop, stopping) = Stopping::new();
        let settings = SourceSettings {
            kind: "lines".to_owned(),
            ..SourceSettings::default()
        };
        let intake = Intake::new(&settings, log.clone(), Changes::default(), stopping).unwrap();
        let opened = open(intake.clone(), from).await.unwrap();
        Running {
            log,
            intake,
            listen: opened.listen,
            stop,
            task: tokio::spawn(opened.task),
        }
    }

    /// Values in the log by stream, in order. The log must be stopped.
    fn logged(&self, stream: &str) -> Vec<String> {
        let mut values = Vec::new();
        read_records(LogOptions::new(self.log_dir.path(), "gw-1"), |record| {
            if &*record.lane.stream == stream {
                let value = record.value.unwrap_or_default();
                values.push(String::from_utf8_lossy(&value).into_owned());
            }
        })
        .unwrap();
        values
    }
}

impl Running {
    /// Waits until so many lines are durable, rejected ones included.
    async fn has(&self, lines: u64) {
        self.shows(&format!("{lines} lines"), |view| {
            view.events + view.rejected >= lines
        })
        .await;
        let view = self.intake.view();
        assert_eq!(view.events + view.rejected, lines);
    }

    async fn is(&self, state: SourceState) {
        self.shows(&format!("{state:?}"), |view| view.state == state)
            .await;
    }

    async fn shows(&self, what: &str, is_so: impl Fn(&crate::status::SourceView) -> bool) {
        let looked = async {
            while !is_so(&self.intake.view()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let shown = tokio::time::timeout(PATIENCE, looked).await;
        assert!(
            shown.is_ok(),
            "{what} wanted, {:?} shown",
            self.intake.view()
        );
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.log.stop().await;
    }
}

fn append(path: &Path, text: &str) {
    use std::io::Write as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
