//! Reads a local file without ever letting an async worker wait for its disk.

use std::fs::File;
use std::io;
use std::sync::Arc;

use wharf_sys::Identity;

use super::buffer::Buffer;
#[cfg(target_os = "linux")]
use crate::fs::Storage;
use crate::fs::{FsResult, Span, blocking};

/// What is brought into memory at once where it is not there yet, in bytes.
#[cfg(target_os = "linux")]
const WINDOW: u64 = 2 * 1024 * 1024;

/// A local file, from its position at the time it was handed over.
#[derive(Debug)]
pub(super) struct Reader {
    file: Arc<File>,
    offset: u64,
    /// How long the file was when it was handed over.
    length: u64,
    #[cfg(target_os = "linux")]
    cache: PageCache,
}

/// What is known of the file's pages.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct PageCache {
    answers: Answers,
    /// Up to this offset they are in memory.
    warm: u64,
}

/// Whether the file system tells what is in memory.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// It does, as local ones do.
    Yes,
    /// It does not, and may have to fetch anything from anywhere.
    No,
    /// Everything is in memory: it is a file system that has nothing else.
    AllInMemory,
}

impl Reader {
    /// Reads `span` of `file`, or on from where it is positioned where that is not known.
    ///
    /// # Errors
    /// What the operating system says of a file that has no position.
    pub(super) fn new(file: File, span: Option<Span>) -> io::Result<Self> {
        let Span { offset, length, in_memory } = match span {
            Some(span) => span,
            None => Span {
                offset: io::Seek::stream_position(&mut &file)?,
                length: file.metadata()?.len(),
                in_memory: false,
            },
        };
        #[cfg(target_os = "linux")]
        let answers = if in_memory { Answers::AllInMemory } else { Answers::Yes };
        #[cfg(not(target_os = "linux"))]
        let _ = in_memory;
        Ok(Self {
            offset,
            #[cfg(target_os = "linux")]
            cache: PageCache { answers, warm: 0 },
            length,
            file: Arc::new(file),
        })
    }

    /// Skips bytes that were sent.
    pub(super) fn advance(&mut self, count: usize) {
        self.offset += count as u64;
    }

    /// How long the file was when it was handed over.
    #[cfg(target_os = "linux")]
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How much of that has not come yet.
    #[cfg(target_os = "linux")]
    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.offset)
    }

    /// Whether less came than the file held when it was handed over: somebody has cut it meanwhile.
    pub(super) fn was_cut(&self) -> bool {
        self.offset < self.length
    }

    /// Fills the spare room of `buffer`, at most `most` bytes, from the current offset on, which stays. Fewer bytes
    /// come where the rest is not in memory yet, none at the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) async fn fill(&mut self, mut buffer: Buffer, most: usize) -> FsResult<Buffer> {
        #[cfg(target_os = "linux")]
        if let Some(read) = self.read_if_in_memory(buffer.spare(most)) {
            buffer.advance(read?);
            return Ok(buffer);
        }
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        blocking(&Identity::process(), move || {
            #[cfg(target_os = "linux")]
            read_ahead(&file, offset);
            let start = buffer.len();
            loop {
                let done = buffer.len() - start;
                match read_at(&file, buffer.spare(most - done), offset + done as u64) {
                    Ok(0) => return Ok(buffer),
                    Ok(count) => buffer.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
        })
        .await
    }
}

#[cfg(target_os = "linux")]
impl Reader {
    /// The file, and where to go on.
    pub(super) fn position(&mut self) -> (&File, &mut u64) {
        (&self.file, &mut self.offset)
    }

    /// Brings the next bytes into memory unless they are there, and says how many can be taken without a wait; it
    /// may be more than the file has left, never nothing.
    ///
    /// Only the ends of a window are asked for: pages come and go in order, and asking for each would cost as much as
    /// sending.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) async fn warm(&mut self) -> FsResult<usize> {
        if self.offset >= self.cache.warm {
            let mut end = self.offset + WINDOW;
            if self.offset < self.length {
                end = end.min(self.length);
            }
            if !(self.in_memory(self.offset)? && self.in_memory(end - 1)?) {
                self.bring_in(end).await?;
            }
            self.cache.warm = end;
        }
        Ok(usize::try_from(self.cache.warm - self.offset).unwrap_or(usize::MAX))
    }

    fn in_memory(&mut self, offset: u64) -> io::Result<bool> {
        if self.cache.answers == Answers::AllInMemory {
            return Ok(true);
        }
        let position = std::mem::replace(&mut self.offset, offset);
        let read = self.read_if_in_memory(&mut [0]);
        self.offset = position;
        read.transpose().map(|read| read.is_some())
    }

    async fn bring_in(&self, end: u64) -> FsResult<()> {
        let (file, mut offset) = (Arc::clone(&self.file), self.offset);
        blocking(&Identity::process(), move || {
            read_ahead(&file, offset);
            let mut scratch = Buffer::take();
            while offset < end {
                let most = usize::try_from(end - offset).unwrap_or(usize::MAX);
                match read_at(&file, scratch.spare(most), offset) {
                    Ok(0) => break,
                    Ok(count) => offset += count as u64,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })
        .await
    }

    /// Reads what is in memory at the current offset; `None` where a disk would have to be waited for.
    fn read_if_in_memory(&mut self, room: &mut [u8]) -> Option<io::Result<usize>> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};
        match self.cache.answers {
            Answers::Yes => {}
            Answers::No => return None,
            Answers::AllInMemory => return Some(read_at(&self.file, room, self.offset)),
        }
        match preadv2(&*self.file, &mut [io::IoSliceMut::new(room)], self.offset, ReadWriteFlags::NOWAIT) {
            Ok(count) => Some(Ok(count)),
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.cache.answers = match Storage::of(&*self.file) {
                    Storage::Memory => Answers::AllInMemory,
                    Storage::LocalDisk | Storage::Other => Answers::No,
                };
                self.read_if_in_memory(room)
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// Has the disk fetch this window and the next, so that it works while the first is being sent.
#[cfg(target_os = "linux")]
fn read_ahead(file: &File, offset: u64) {
    let length = std::num::NonZeroU64::new(2 * WINDOW);
    // Advice: where it is not taken, reading is what fetches.
    let _ = rustix::fs::fadvise(file, offset, length, rustix::fs::Advice::WillNeed);
}

#[cfg(unix)]
fn read_at(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, room, offset)
}

#[cfg(windows)]
fn read_at(file: &File, room: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, room, offset)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;

    /// All that a reader yields, in pieces of at most `most` bytes.
    async fn read_all(file: File, most: usize) -> Vec<u8> {
        let mut reader = Reader::new(file, None).unwrap();
        let mut all = Vec::new();
        loop {
            let buffer = reader.fill(Buffer::take(), most).await.unwrap();
            if buffer.is_empty() {
                return all;
            }
            reader.advance(buffer.len());
            all.extend_from_slice(buffer.as_ref());
        }
    }

    fn file_in(directory: Option<&str>, content: &[u8]) -> File {
        let mut file = match directory {
            Some(path) => tempfile::tempfile_in(path).unwrap(),
            None => tempfile::tempfile().unwrap(),
        };
        file.write_all(content).unwrap();
        file.seek(SeekFrom::Start(2)).unwrap();
        file
    }

    #[tokio::test]
    async fn bytes_come_from_memory_and_from_disk_alike() {
        let content: Vec<u8> = (0..700_000u32).map(|n| n as u8).collect();
        for directory in [None, Some("/dev/shm")] {
            let file = file_in(directory, &content);
            rustix::fs::fsync(&file).unwrap();
            let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            assert_eq!(read_all(file, 100_000).await, &content[2..]);
            assert_eq!(read_all(file_in(directory, &content), usize::MAX).await, &content[2..]);
        }
    }

    #[tokio::test]
    async fn warming_promises_no_more_than_a_window() {
        let content = vec![7; 3 * WINDOW as usize];
        let file = file_in(None, &content);
        rustix::fs::fsync(&file).unwrap();
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let mut reader = Reader::new(file, None).unwrap();
        assert_eq!(reader.warm().await.unwrap() as u64, WINDOW);
        assert!(reader.in_memory(2).unwrap() && reader.in_memory(WINDOW).unwrap());
        reader.advance(WINDOW as usize - 1);
        assert_eq!(reader.warm().await.unwrap(), 1);
        reader.advance(content.len());
        assert!(reader.warm().await.unwrap() > 0, "behind the end it is for the next read to say so");
    }
}
