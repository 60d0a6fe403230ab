//! Large buffers that transfers share one after the other.

use std::sync::{Mutex, PoisonError};

/// How much one buffer holds, in bytes.
pub(crate) const CAPACITY: usize = 256 * 1024;

/// How many buffers are kept for the next transfers.
const KEPT: usize = 32;

static POOL: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// Bytes on their way. Memory of the pool goes back to it when dropped.
///
/// Fresh memory is zeroed by the operating system page by page as it is touched, so a small file costs a small buffer.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    filled: usize,
}

impl Buffer {
    /// An empty buffer of [`CAPACITY`] bytes.
    pub(crate) fn take() -> Self {
        let kept = POOL.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { bytes: kept.unwrap_or_else(|| vec![0; CAPACITY].into_boxed_slice()), filled: 0 }
    }

    /// An empty buffer of `size` bytes that does not come from the pool.
    #[cfg(feature = "tls")]
    pub(crate) fn of(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), filled: 0 }
    }

    /// The room behind what is filled, at most `most` bytes of it.
    pub(crate) fn spare(&mut self, most: usize) -> &mut [u8] {
        let (_, spare) = self.bytes.split_at_mut(self.filled);
        let room = spare.len().min(most);
        spare.split_at_mut(room).0
    }

    /// Says that the first `count` bytes of the spare room are filled now.
    pub(crate) fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.bytes.len());
    }

    /// How many bytes are filled.
    pub(crate) fn len(&self) -> usize {
        self.filled
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.filled == self.bytes.len()
    }

    pub(crate) fn clear(&mut self) {
        self.filled = 0;
    }

    /// How many bytes it holds at most.
    #[cfg(feature = "tls")]
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.len()
    }

    /// Adds as many of `bytes` as there is room for.
    #[cfg(feature = "tls")]
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        let room = self.spare(bytes.len());
        room.copy_from_slice(bytes.split_at(room.len()).0);
        let count = room.len();
        self.advance(count);
    }

    /// Goes on in `larger`, which is empty.
    #[cfg(feature = "tls")]
    pub(crate) fn move_to(&mut self, mut larger: Self) {
        larger.append(self.as_ref());
        *self = larger;
    }

    /// Drops the first `count` bytes; the others move to the front.
    #[cfg(feature = "tls")]
    pub(crate) fn drop_front(&mut self, count: usize) {
        let count = count.min(self.filled);
        self.bytes.copy_within(count..self.filled, 0);
        self.filled -= count;
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.split_at_mut(self.filled).0
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.split_at(self.filled).0
    }
}

impl From<Vec<u8>> for Buffer {
    /// A full buffer that does not come from the pool.
    fn from(bytes: Vec<u8>) -> Self {
        Self { filled: bytes.len(), bytes: bytes.into_boxed_slice() }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() != CAPACITY {
            return;
        }
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < KEPT {
            pool.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_room_shrinks_as_it_fills() {
        let mut buffer = Buffer::take();
        assert_eq!(buffer.spare(10).len(), 10);
        buffer.spare(3).copy_from_slice(b"abc");
        buffer.advance(3);
        assert_eq!((buffer.as_ref(), buffer.len(), buffer.is_full()), (&b"abc"[..], 3, false));
        assert_eq!(buffer.spare(usize::MAX).len(), CAPACITY - 3);
        buffer.advance(CAPACITY - 3);
        assert!(buffer.is_full() && buffer.spare(1).is_empty());
        buffer.clear();
        assert!(buffer.is_empty());
    }
}
