//! A broker alone, with plain listeners and a folder of its own.

use std::path::{Path, PathBuf};

use crate::http;
use crate::process::Process;

/// Settings of a broker that does not mind how full the disk is that the tests run on.
pub const ANY_DISK: &str = "limits.disk_min_free = \"0%\"\n";

/// A broker that keeps its folder over restarts.
#[derive(Debug)]
pub struct Broker {
    program: PathBuf,
    settings: String,
    folder: tempfile::TempDir,
    process: Option<Process>,
}

impl Broker {
    /// Starts a new one.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start(program: &Path) -> Result<Self, String> {
        Self::start_with(program, "")
    }

    /// Starts a new one with more settings.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub fn start_with(program: &Path, settings: &str) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let mut broker = Self {
            program: program.to_owned(),
            settings: format!("{ANY_DISK}{settings}"),
            folder,
            process: None,
        };
        broker.start_again()?;
        Ok(broker)
    }

    /// Starts it again on the same folder; it must not run.
    ///
    /// # Errors
    /// What it wrote, if it did not get ready.
    pub fn start_again(&mut self) -> Result<(), String> {
        let settings = self.folder.path().join("broker.toml");
        std::fs::write(&settings, &self.settings).map_err(|e| e.to_string())?;
        let settings = settings.display().to_string();
        let data = self.data_dir().display().to_string();
        let free = "127.0.0.1:0";
        let arguments = [
            "run",
            "--config",
            &settings,
            "--data-dir",
            &data,
            "--mqtt",
            free,
            "--kafka",
            free,
            "--http",
            free,
        ];
        self.process = Some(Process::start(&self.program, "broker", &arguments)?);
        Ok(())
    }

    /// Ends it with SIGTERM and starts it again.
    ///
    /// # Errors
    /// If it does not end with 0 or does not get ready.
    pub fn restart(&mut self) -> Result<(), String> {
        self.stop()?;
        self.start_again()
    }

    /// Ends it with SIGTERM; it can be started again.
    ///
    /// # Errors
    /// If it does not end with 0.
    pub fn stop(&mut self) -> Result<(), String> {
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        let status = process.terminate()?;
        match status.success() {
            true => Ok(()),
            false => Err(format!("{status}: {}", process.log())),
        }
    }

    /// Kills it with SIGKILL and starts it again.
    ///
    /// # Errors
    /// If it does not get ready.
    pub fn kill_and_restart(&mut self) -> Result<(), String> {
        self.process
            .take()
            .into_iter()
            .for_each(|mut process| process.kill());
        self.start_again()
    }

    /// The running process.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the broker runs")
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("broker")
    }

    /// Records of a stream, over all partitions.
    ///
    /// # Errors
    /// What its HTTP door says.
    pub fn records(&self, stream: &str) -> Result<u64, String> {
        let answer = http::json(
            self.process().address("http"),
            &format!("/api/v1/streams/{stream}"),
        )?;
        answer["records"]
            .as_u64()
            .ok_or_else(|| format!("No count: {answer}"))
    }

    /// Sum of a metric's samples, whose line begins with `name`.
    ///
    /// # Errors
    /// What its HTTP door says.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        let (_, text) = http::get(self.process().address("http"), "/metrics")?;
        let samples = text.lines().filter(|line| line.starts_with(name));
        Ok(samples
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }
}
