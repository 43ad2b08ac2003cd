//! A disk whose power can be cut: what was not synced is gone.
//!
//! An ext4 file system in a file. A cut shuts it down without flushing its journal
//! (`EXT4_IOC_SHUTDOWN`, given by xfs_io), which drops the page cache and the open transaction, and
//! mounts it again, which replays the journal as after a power loss.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::peers::program;

/// Bytes of the disk; sparse.
const SIZE: &str = "1G";

/// A mounted file system.
#[derive(Debug)]
pub struct PowerDisk {
    xfs_io: PathBuf,
    folder: tempfile::TempDir,
}

impl PowerDisk {
    /// Makes and mounts one.
    ///
    /// # Errors
    /// What the system does not permit or has not got.
    pub fn new() -> Result<Self, String> {
        let xfs_io = program("xfs_io", "xfsprogs")?;
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let disk = Self { xfs_io, folder };
        std::fs::create_dir(disk.path()).map_err(|e| e.to_string())?;
        run(Command::new("truncate")
            .args(["-s", SIZE])
            .arg(disk.image()))?;
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        disk.mount()?;
        disk.check()?;
        Ok(disk)
    }

    /// A disk that keeps what was not synced would prove nothing.
    fn check(&self) -> Result<(), String> {
        let unsynced = self.path().join("unsynced");
        std::fs::write(&unsynced, "gone").map_err(|e| e.to_string())?;
        self.cut()?;
        if unsynced.exists() {
            return Err("what was not synced outlives a cut here".to_owned());
        }
        Ok(())
    }

    /// Where it is mounted.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// Cuts the power and gives it back. Whoever has files open there must be dead.
    ///
    /// # Errors
    /// What the system says.
    pub fn cut(&self) -> Result<(), String> {
        run(Command::new(&self.xfs_io)
            .args(["-x", "-c", "shutdown"])
            .arg(self.path()))?;
        run(Command::new("umount").arg(self.path()))?;
        self.mount()
    }

    fn mount(&self) -> Result<(), String> {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(self.image());
        run(mount.arg(self.path()))
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }
}

impl Drop for PowerDisk {
    fn drop(&mut self) {
        let path: &Path = &self.path();
        let _not_mounted = run(Command::new("umount").arg("-l").arg(path));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{command:?}: {}", said.trim()))
}
