//! Copies of damaged files, made before a repair.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::log::{self, Inspection};

/// Copies the journal, the identity and the segments in which something cannot be read into
/// `damaged-<ms since the epoch>` in the data directory; that directory's path.
pub(super) fn keep(dir: &Path, found: &Inspection) -> io::Result<PathBuf> {
    copy(dir, &log::files_of(dir, &found.unreadable())?)
}

/// As [`keep`], of the identity alone, if it is there.
pub(super) fn keep_identity(dir: &Path) -> io::Result<()> {
    let file = PathBuf::from("identity");
    if dir.join(&file).exists() {
        copy(dir, &[file])?;
    }
    Ok(())
}

fn copy(dir: &Path, files: &[PathBuf]) -> io::Result<PathBuf> {
    let to = dir.join(format!("damaged-{}", crate::clock::now_ms()));
    for file in files {
        let target = to.join(file);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(dir.join(file), &target)?;
        fs::File::open(&target)?.sync_all()?;
        // So that the copy is there whatever becomes of the repair.
        let above = target.ancestors().skip(1);
        for folder in above.take_while(|folder| folder.starts_with(dir)) {
            fs::File::open(folder)?.sync_all()?;
        }
    }
    Ok(to)
}
