//! A small file system that a scenario can fill up, in a mount namespace of its own, so that it is
//! gone with the scenario.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Set for the copy of the test program that runs within the namespace.
const INSIDE: &str = "HW_INSIDE_NAMESPACE";

const NOT_RUN: &str = "not run: ";

/// A mounted tmpfs.
#[derive(Debug)]
pub struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    /// Runs the test `test` of this program on a disk of `mib` MiB, in a process and a mount
    /// namespace of its own. Where the system allows neither, says so and does nothing.
    ///
    /// # Panics
    /// If the scenario does.
    pub fn run(test: &str, mib: u32, scenario: impl FnOnce(&Self)) {
        let is_inside = std::env::var_os(INSIDE).is_some();
        if !is_inside && succeeds(Command::new("unshare").args(["-rm", "true"])) {
            let program = std::env::current_exe().expect("a program has a path");
            let inside = Command::new("unshare")
                .arg("-rm")
                .arg(program)
                .args(["--exact", test, "--nocapture"])
                .env(INSIDE, "1")
                .output()
                .expect("unshare runs");
            let said = String::from_utf8_lossy(&inside.stdout);
            let log = String::from_utf8_lossy(&inside.stderr);
            let passed = inside.status.success() && said.contains("1 passed");
            assert!(passed, "{test}: {said}{log}");
            log.lines()
                .filter(|line| line.starts_with(NOT_RUN))
                .for_each(say);
            return;
        }
        match Self::mount(mib) {
            Some(disk) => scenario(&disk),
            None => say(&format!(
                "{NOT_RUN}{test}: no file system may be mounted here"
            )),
        }
    }

    fn mount(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().ok()?;
        let size = format!("size={mib}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]);
        succeeds(mount.arg(folder.path())).then_some(Self { folder })
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all room that is left. Dropping the ballast gives it back.
    ///
    /// # Panics
    /// If the file system fails otherwise than by being full.
    #[must_use]
    pub fn fill(&self) -> Ballast {
        self.fill_but(0)
    }

    /// As [`SmallDisk::fill`], but so many bytes are left.
    ///
    /// # Panics
    /// As [`SmallDisk::fill`].
    #[must_use]
    pub fn fill_but(&self, left_bytes: u64) -> Ballast {
        let path = self.path().join("ballast");
        let mut file = File::create(&path).expect("room for a name");
        if left_bytes > 0 {
            let space = rustix::fs::statvfs(self.path()).expect("a file system");
            let free = space.f_bavail * space.f_frsize;
            let wanted = free.saturating_sub(left_bytes);
            std::io::copy(&mut std::io::repeat(0).take(wanted), &mut file).expect("room for it");
            return Ballast(path);
        }
        // Less and less, so that not a page is left.
        for bytes in [1 << 20, 64 << 10, 4 << 10, 1] {
            let piece = vec![0; bytes];
            while match file.write_all(&piece) {
                Ok(()) => true,
                Err(error) if error.kind() == ErrorKind::StorageFull => false,
                Err(error) => panic!("{}: {error}", path.display()),
            } {}
        }
        Ballast(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever still has a file open there keeps it alive, out of everybody's sight.
        succeeds(Command::new("umount").arg("-l").arg(self.path()));
    }
}

/// What fills a disk up.
#[derive(Debug)]
pub struct Ballast(PathBuf);

impl Drop for Ballast {
    fn drop(&mut self) {
        let _already_gone = std::fs::remove_file(&self.0);
    }
}

/// Past what the test runner keeps to itself.
fn say(line: &str) {
    // Who closed stderr does not want to know.
    let _said = writeln!(std::io::stderr(), "{line}");
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().is_ok_and(|status| status.success())
}
