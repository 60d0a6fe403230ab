//! The names in a directory, as the kernel hands them out.

use std::ffi::CStr;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{FileType, RawDir};
use rustix::io::Errno;

use super::super::FsResult;

/// What is read from a directory at once, in bytes: some thousand names.
pub(super) const BUFFER: usize = 32 << 10;

/// The names in a directory, read a buffer at a time.
#[derive(Debug)]
pub(super) struct Names {
    directory: Arc<OwnedFd>,
    buffer: Vec<u8>,
    ended: bool,
}

impl Names {
    /// The names in a directory that was opened for reading, `buffer` bytes of them at a time.
    pub(super) fn new(directory: Arc<OwnedFd>, buffer: usize) -> Self {
        Self { directory, buffer: Vec::with_capacity(buffer), ended: false }
    }

    /// Hands the next names to `each`, and what the file system says that they are; none at the end.
    pub(super) fn read(&mut self, mut each: impl FnMut(&CStr, FileType)) -> FsResult<()> {
        if self.ended {
            return Ok(());
        }
        let mut raw = RawDir::new(&*self.directory, self.buffer.spare_capacity_mut());
        loop {
            match raw.next() {
                // With an error the directory was removed while it was read.
                None | Some(Err(Errno::NOENT)) => self.ended = true,
                Some(entry) => {
                    let entry = entry?;
                    if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                        each(entry.file_name(), entry.file_type());
                    }
                }
            }
            if self.ended || raw.is_buffer_empty() {
                break;
            }
        }
        if self.ended {
            mem::take(&mut self.buffer);
        }
        Ok(())
    }

    /// Whether there are no more.
    pub(super) fn is_at_end(&self) -> bool {
        self.ended
    }
}

/// Names that have been read, one behind the other in the same memory.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    /// Each with its NUL.
    text: Vec<u8>,
    names: Vec<Name>,
    /// How many of them have been taken.
    taken: usize,
}

/// Where a name is in the text, and what it names.
#[derive(Clone, Copy, Debug)]
struct Name {
    start: usize,
    end: usize,
    kind: FileType,
}

impl Name {
    fn of(self, text: &[u8]) -> &[u8] {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

impl Gathered {
    pub(super) fn push(&mut self, name: &CStr, kind: FileType) {
        let start = self.text.len();
        self.text.extend_from_slice(name.to_bytes_with_nul());
        self.names.push(Name { start, end: self.text.len(), kind });
    }

    /// How many were gathered and not yet taken.
    pub(super) fn len(&self) -> usize {
        self.names.len() - self.taken
    }

    /// What they name.
    pub(super) fn kinds(&self) -> impl Iterator<Item = FileType> {
        self.names.iter().map(|name| name.kind)
    }

    /// Orders them by their bytes.
    pub(super) fn sort(&mut self) {
        let text = &self.text;
        self.names.sort_unstable_by(|a, b| a.of(text).cmp(b.of(text)));
    }

    /// Up to `count` of them.
    pub(super) fn take(&mut self, count: usize) -> impl Iterator<Item = (&CStr, FileType)> {
        let from = self.taken;
        self.taken = self.names.len().min(from + count);
        let taken = self.names.get(from..self.taken).unwrap_or_default();
        let text = &self.text;
        taken.iter().filter_map(|name| Some((CStr::from_bytes_with_nul(name.of(text)).ok()?, name.kind)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gathered_sorted_and_taken_in_pieces() {
        let mut gathered = Gathered::default();
        for name in [c"b", c"ab", c"a", c"a-", c"\xff"] {
            gathered.push(name, FileType::RegularFile);
        }
        gathered.sort();
        let mut take = |count| {
            let taken: Vec<_> = gathered.take(count).map(|(name, _)| name.to_owned()).collect();
            (taken, gathered.len())
        };
        assert_eq!(take(2), (vec![c"a".into(), c"a-".into()], 3));
        assert_eq!(take(9), (vec![c"ab".into(), c"b".into(), c"\xff".into()], 0));
        assert_eq!(take(1), (vec![], 0));
    }

    #[test]
    fn every_name_comes_once() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..100 {
            std::fs::write(directory.path().join(number.to_string()), "").unwrap();
        }
        let open = std::fs::File::open(directory.path()).unwrap();
        let mut names = Names::new(Arc::new(open.into()), 256);
        let mut found: Vec<usize> = Vec::new();
        while !names.is_at_end() {
            names.read(|name, _| found.push(name.to_str().unwrap().parse().unwrap())).unwrap();
        }
        names.read(|name, _| panic!("{name:?}")).unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..100).collect::<Vec<_>>());
    }
}
