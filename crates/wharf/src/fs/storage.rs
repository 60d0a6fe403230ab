//! What files lie on.

use std::os::fd::AsFd;

use rustix::fs::{FsWord, fstatfs};

/// What a file system keeps its files on, as far as it matters to who waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// Nothing ever waits for a device.
    Memory,
    /// What the caches know is found without a wait.
    LocalDisk,
    /// Anything may have to be asked for somewhere else.
    Other,
}

impl Storage {
    /// What something that is open lies on.
    pub(crate) fn of(open: impl AsFd) -> Self {
        const TMPFS: FsWord = 0x0102_1994;
        const RAMFS: FsWord = 0x8584_58f6;
        /// ext2 to ext4, xfs, btrfs, f2fs.
        const LOCAL: [FsWord; 4] = [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010];

        match fstatfs(open).map(|found| found.f_type) {
            Ok(TMPFS | RAMFS) => Self::Memory,
            Ok(kind) if LOCAL.contains(&kind) => Self::LocalDisk,
            Ok(_) | Err(_) => Self::Other,
        }
    }

    /// Whether what its caches know is found without a wait.
    pub(super) fn has_caches(self) -> bool {
        self != Self::Other
    }
}
