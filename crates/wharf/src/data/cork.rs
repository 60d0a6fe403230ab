//! When a download sends full segments only.
//!
//! Every acknowledgement that comes in has the kernel send what it holds, be it a full segment or not. A lone stream is
//! bound by what each segment costs, most of all where its receiver has to be woken for it, and with `TCP_CORK` there are
//! a third fewer of them. Several streams keep the processors awake, so that segments are cheap; and on connections
//! that are paced (BBR) corked ones wait for timers, which was measured to take twice the time for each byte.

use std::sync::atomic::{AtomicUsize, Ordering};

use socket2::SockRef;
use tokio::net::TcpStream;

/// How many downloads `sendfile` moves in this process.
static DOWNLOADS: AtomicUsize = AtomicUsize::new(0);

/// A download in clear among others. Dropping it lets go of what it has held back.
#[derive(Debug)]
pub(super) struct Cork<'a> {
    socket: &'a TcpStream,
    downloads: &'a AtomicUsize,
    is_in: bool,
}

impl<'a> Cork<'a> {
    /// A download that begins now.
    pub(super) fn new(socket: &'a TcpStream) -> Self {
        Self::among(&DOWNLOADS, socket)
    }

    fn among(downloads: &'a AtomicUsize, socket: &'a TcpStream) -> Self {
        downloads.fetch_add(1, Ordering::Relaxed);
        Self { socket, downloads, is_in: false }
    }

    /// Holds back what fills no segment as long as there is no other download, which is to be asked now and then.
    pub(super) fn adjust(&mut self) {
        let is_alone = self.downloads.load(Ordering::Relaxed) == 1;
        if is_alone != self.is_in {
            self.put(is_alone);
        }
    }

    /// A socket that refuses sends as it likes.
    fn put(&mut self, is_in: bool) {
        self.is_in = is_in;
        let _ = SockRef::from(self.socket).set_tcp_cork(is_in);
    }
}

impl Drop for Cork<'_> {
    fn drop(&mut self) {
        self.downloads.fetch_sub(1, Ordering::Relaxed);
        if self.is_in {
            self.put(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lone_download_is_corked_and_one_of_several_is_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let first = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let second = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let is_corked = |socket| SockRef::from(socket).tcp_cork().unwrap();
        let downloads = AtomicUsize::new(0);
        let mut lone = Cork::among(&downloads, &first);
        assert!(!is_corked(&first));
        lone.adjust();
        assert!(is_corked(&first));
        let mut other = Cork::among(&downloads, &second);
        lone.adjust();
        other.adjust();
        assert!(!is_corked(&first) && !is_corked(&second));
        drop(lone);
        other.adjust();
        assert!(is_corked(&second));
        drop(other);
        assert!(!is_corked(&second));
        assert_eq!(downloads.into_inner(), 0);
    }
}
