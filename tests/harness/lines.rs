//! A program that writes numbered lines to a file and rotates it, as logrotate does.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::rng::Rng;

/// Rotated files that are kept: more than any scenario makes.
const KEPT: u32 = 200;
/// Between two writes: load shaping.
const PAUSE: Duration = Duration::from_millis(1);

/// How the file is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Renamed, and a new one made.
    Rename,
    /// Copied, and truncated; nothing is written in between.
    CopyTruncate,
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    may_rotate: Arc<AtomicBool>,
    lines: Arc<AtomicU64>,
    thread: JoinHandle<io::Result<u32>>,
}

impl Writer {
    /// Writes `line 0`, `line 1`, … to `path`. Rotates now and then, as `seed` says, once
    /// [`Self::let_rotate`] was called: what is gone before it was ever followed is nobody's.
    #[must_use]
    pub fn start(path: &Path, rotation: Rotation, seed: u64) -> Self {
        let (stop, lines) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicU64::new(0)),
        );
        let may_rotate = Arc::new(AtomicBool::new(false));
        let mut work = Work {
            path: path.to_owned(),
            rotation,
            rng: Rng::new(seed),
            stop: Arc::clone(&stop),
            may_rotate: Arc::clone(&may_rotate),
            lines: Arc::clone(&lines),
            rotations: 0,
        };
        let thread = std::thread::spawn(move || work.run());
        Self {
            stop,
            may_rotate,
            lines,
            thread,
        }
    }

    /// From now on the file is rotated.
    pub fn let_rotate(&self) {
        self.may_rotate.store(true, Ordering::Release);
    }

    /// Lines that were written so far.
    #[must_use]
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Acquire)
    }

    /// Ends it; lines written and rotations done.
    ///
    /// # Errors
    /// What the file system says.
    pub fn finish(self) -> Result<(u64, u32), String> {
        self.stop.store(true, Ordering::Release);
        let rotations = self.thread.join().map_err(|_| "The writer panicked")?;
        let rotations = rotations.map_err(|error| error.to_string())?;
        Ok((self.lines.load(Ordering::Acquire), rotations))
    }
}

struct Work {
    path: PathBuf,
    rotation: Rotation,
    rng: Rng,
    stop: Arc<AtomicBool>,
    may_rotate: Arc<AtomicBool>,
    lines: Arc<AtomicU64>,
    rotations: u32,
}

impl Work {
    fn run(&mut self) -> io::Result<u32> {
        let mut file = self.open()?;
        while !self.stop.load(Ordering::Acquire) {
            self.write(&mut file)?;
            if self.may_rotate.load(Ordering::Acquire) && self.rng.one_in(60) {
                self.rotate()?;
                file = self.open()?;
                self.rotations += 1;
            }
            std::thread::sleep(PAUSE);
        }
        Ok(self.rotations)
    }

    fn open(&self) -> io::Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
    }

    /// A few lines, the last one often in two parts.
    fn write(&mut self, file: &mut File) -> io::Result<()> {
        for _ in 0..=self.rng.below(8) {
            let number = self.lines.load(Ordering::Acquire);
            let line = format!("line {number} {}\n", "x".repeat(small(self.rng.below(300))));
            let cut = small(self.rng.below(line.len() as u64));
            file.write_all(&line.as_bytes()[..cut])?;
            file.write_all(&line.as_bytes()[cut..])?;
            self.lines.store(number + 1, Ordering::Release);
        }
        Ok(())
    }

    fn rotate(&self) -> io::Result<()> {
        let name = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..KEPT).rev().filter(|number| name(*number).exists()) {
            fs::rename(name(number), name(number + 1))?;
        }
        match self.rotation {
            Rotation::Rename => fs::rename(&self.path, name(1)),
            Rotation::CopyTruncate => {
                fs::copy(&self.path, name(1))?;
                OpenOptions::new().write(true).open(&self.path)?.set_len(0)
            }
        }
    }
}

/// A number that is small by construction.
fn small(number: u64) -> usize {
    usize::try_from(number).unwrap_or(0)
}
