//! What rustix and socket2 do not ask of sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes of `socket` its peer has not acknowledged yet. A FIN that was sent counts as one.
///
/// # Errors
/// What the operating system says, for something that is no connected TCP socket.
pub fn unacknowledged(socket: impl AsFd) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: on a socket this request (SIOCOUTQ, the same number) writes one int through the pointer, which is valid
    // for that; the descriptor is open for as long as it is borrowed.
    let result = unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(bytes.unsigned_abs()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_peer_has_no_room_for_stays_unacknowledged() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(unacknowledged(&sender).unwrap(), 0);
        sender.set_nonblocking(true).unwrap();
        while sender.write(&[0; 65_536]).is_ok() {}
        assert!(unacknowledged(&sender).unwrap() > 0);
        assert!(unacknowledged(std::fs::File::open("/dev/null").unwrap()).is_err());
    }
}
