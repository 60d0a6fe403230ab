//! What a file system says about a file, and why it may refuse.

use std::fmt;

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link that was not followed.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A local socket.
    Socket,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharDevice,
}

/// Seconds and nanoseconds since 1970-01-01T00:00:00Z; negative seconds are before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Whole seconds since the epoch, rounded down.
    pub seconds: i64,
    /// Nanoseconds past `seconds`, below 1,000,000,000.
    pub nanoseconds: u32,
}

/// Facts about a file, as LIST and MLSD print them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// Its length in bytes.
    pub size: u64,
    /// When its content last changed.
    pub modified: Timestamp,
    /// Permission bits, the low twelve: `0o7777`.
    pub mode: u32,
    /// How many names it has.
    pub links: u64,
    /// Numeric id of its owner.
    pub uid: u32,
    /// Numeric id of its group.
    pub gid: u32,
    /// The device that holds it; with `inode` it makes the `unique` fact.
    pub device: u64,
    /// Its number on that device; 0 where the file system has none.
    pub inode: u64,
}

impl Metadata {
    /// Facts of a regular file of `size` bytes, readable by all, owned by nobody in particular.
    pub fn file(size: u64) -> Self {
        Self {
            kind: FileKind::File,
            size,
            modified: Timestamp::default(),
            mode: 0o644,
            links: 1,
            uid: 0,
            gid: 0,
            device: 0,
            inode: 0,
        }
    }

    /// Facts of a directory, readable by all, owned by nobody in particular.
    pub fn directory() -> Self {
        Self { kind: FileKind::Directory, mode: 0o755, ..Self::file(0) }
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileKind::Directory
    }

    /// Whether this is a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileKind::File
    }
}

/// Why a file system refused, by what the client can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FsErrorKind {
    /// Nothing has that name.
    NotFound,
    /// The operating system refuses this user.
    PermissionDenied,
    /// Something has that name already.
    AlreadyExists,
    /// A directory was needed.
    NotADirectory,
    /// A file was needed.
    IsADirectory,
    /// A regular file was needed.
    NotAFile,
    /// The directory still holds something.
    DirectoryNotEmpty,
    /// The name is longer than the file system takes.
    NameTooLong,
    /// Symbolic links lead in circles.
    TooManyLinks,
    /// The name is one the file system cannot hold.
    InvalidName,
    /// The path leaves the user's home, by a symbolic link say.
    OutsideHome,
    /// No space is left on the device.
    NoSpace,
    /// The user's quota is used up.
    QuotaExceeded,
    /// The file would be larger than the file system takes.
    FileTooLarge,
    /// The file system is mounted read-only.
    ReadOnly,
    /// Source and destination are on different devices.
    CrossDevice,
    /// Somebody else is using the file.
    Busy,
    /// The requested offset lies behind the end of the file, which is this many bytes long.
    OffsetBeyondEnd(u64),
    /// Only uploads that are proven complete are published, and this one is not.
    NotPublished,
    /// The file system has no such operation.
    Unsupported,
    /// The device or the system failed.
    Failed,
}

impl fmt::Display for FsErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "No such file or directory",
            Self::PermissionDenied => "Permission denied",
            Self::AlreadyExists => "File exists",
            Self::NotADirectory => "Not a directory",
            Self::IsADirectory => "Is a directory",
            Self::NotAFile => "Not a regular file",
            Self::DirectoryNotEmpty => "Directory not empty",
            Self::NameTooLong => "File name too long",
            Self::TooManyLinks => "Too many levels of symbolic links",
            Self::InvalidName => "File name not allowed",
            Self::OutsideHome => "Path points outside the user's root directory",
            Self::NoSpace => "No space left on device",
            Self::QuotaExceeded => "Disk quota exceeded",
            Self::FileTooLarge => "File too large",
            Self::ReadOnly => "Read-only file system",
            Self::CrossDevice => "Invalid cross-device link",
            Self::Busy => "File is in use",
            Self::OffsetBeyondEnd(_) => "Offset beyond the end of the file",
            Self::NotPublished => "Upload not proven complete, not published",
            Self::Unsupported => "Operation not supported",
            Self::Failed => "Input/output error",
        })
    }
}
