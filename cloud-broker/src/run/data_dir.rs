//! Where the log lies.

use std::path::{Path, PathBuf};

use crate::config::{Config, DATA_DIR, DATA_DIR_FALLBACK};

/// The named directory, else the usual one if it can be written, else one right here.
pub(super) fn choose(config: &Config) -> PathBuf {
    if let Some(named) = &config.data_dir {
        return named.clone();
    }
    let usual = Path::new(DATA_DIR);
    if std::fs::create_dir_all(usual).is_ok() && is_writable(usual) {
        return usual.to_owned();
    }
    tracing::info!("{DATA_DIR} cannot be written, the data directory is {DATA_DIR_FALLBACK}");
    PathBuf::from(DATA_DIR_FALLBACK)
}

fn is_writable(dir: &Path) -> bool {
    use rustix::fs::{Access, access};
    access(dir, Access::WRITE_OK | Access::EXEC_OK).is_ok()
}
