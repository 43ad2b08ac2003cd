//! A store in memory: the local engine on a fake disk without faults. For tests above this crate.

use crate::faulty::FakeDisk;
use crate::local::{self, LocalOptions};
use crate::traits::Store;

/// Sizes that suit a disk in memory.
pub fn options() -> LocalOptions {
    LocalOptions {
        first_file_bytes: 64 << 10,
        file_bytes: 256 << 10,
        spares_max: 2,
        prepare: false,
    }
}

/// An empty store and the disk below it. [`FakeDisk::crash`] and opening the disk again is a
/// power loss and a restart.
pub fn open() -> (Store, FakeDisk) {
    let disk = FakeDisk::new(0);
    let store = local::open_on(disk.shared(), options());
    (store.expect("an empty disk without faults opens"), disk)
}
