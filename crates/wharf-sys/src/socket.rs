//! What rustix and socket2 do not ask of sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes of `socket` its peer has not acknowledged yet. A FIN that was sent counts as one.
///
/// # Errors
/// What the operating system says, for something that is no connected TCP socket.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u32> {
    // On a socket this is SIOCOUTQ, the same number.
    ask(socket, libc::TIOCOUTQ)
}

/// How many bytes of `socket` have not been sent even once. A FIN that has not counts as one.
///
/// # Errors
/// What the operating system says, for something that is no connected TCP socket.
pub fn unsent(socket: impl AsFd) -> io::Result<u32> {
    /// linux/sockios.h
    const SIOCOUTQNSD: libc::Ioctl = 0x894B;
    ask(socket, SIOCOUTQNSD)
}

/// Asks how long a queue of `socket` is.
fn ask(socket: impl AsFd, queue: libc::Ioctl) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: requests about queues write one int through the pointer, which is valid for that; the descriptor is open
    // for as long as it is borrowed.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), queue, &raw mut bytes) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(bytes.unsigned_abs()) }
}

/// Has `socket` count as readable, by `poll` and its like, only when `bytes` have arrived (SO_RCVLOWAT): or an error, or the
/// end, or as many as the peer has room to send. What is there can be received at any time.
///
/// # Errors
/// What the operating system says, for something that is no socket.
pub fn set_receive_low_water(socket: impl AsFd, bytes: u32) -> io::Result<()> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    // SAFETY: the option reads one int through the pointer, which is valid for that, and is told its size; the
    // descriptor is open for as long as it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw const bytes).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_peer_has_no_room_for_stays_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!((unacknowledged(&sender).unwrap(), unsent(&sender).unwrap()), (0, 0));
        sender.set_nonblocking(true).unwrap();
        while sender.write(&[0; 65_536]).is_ok() {}
        assert!(unacknowledged(&sender).unwrap() > 0 && unsent(&sender).unwrap() > 0);
        assert!(unacknowledged(std::fs::File::open("/dev/null").unwrap()).is_err());
    }

    #[test]
    fn few_bytes_wake_nobody_who_waits_for_many() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut receiver = listener.accept().unwrap().0;
        let is_readable = || {
            let mut asked = libc::pollfd { fd: receiver.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: the pointer is to one such struct, which lives longer than the call.
            unsafe { libc::poll(&raw mut asked, 1, 0) == 1 }
        };
        set_receive_low_water(&receiver, 1_000).unwrap();
        // Over loopback, what was written has arrived.
        sender.write_all(&[1; 999]).unwrap();
        assert!(!is_readable());
        sender.write_all(&[2]).unwrap();
        assert!(is_readable());
        set_receive_low_water(&receiver, 1_001).unwrap();
        assert!(!is_readable());
        drop(sender);
        assert!(is_readable(), "the end is always told");
        assert_eq!(receiver.read(&mut [0; 2_000]).unwrap(), 1_000);
        assert!(set_receive_low_water(std::fs::File::open("/dev/null").unwrap(), 1).is_err());
    }
}
