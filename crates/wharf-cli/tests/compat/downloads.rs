//! How downloads end, and what may be downloaded.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    process::Command,
};

use crate::{
    case::Case,
    client::{Client, reset},
    server::eventually,
};

const MIB: u64 = 1 << 20;

pub(crate) const CASES: &[Case] = &[
    Case::new("the client closes early", |server| {
        sparse(&server.home().join("file"), 64 * MIB);
        let mut client = Client::login(server);
        let mut data = client.start("RETR file");
        data.read_exact(&mut [0; 32 << 10]).expect("data");
        drop(data);
        client.expect("426*");
        client.ask("NOOP", "200*");
    }),
    Case::new("the client resets", |server| {
        sparse(&server.home().join("file"), 64 * MIB);
        let mut client = Client::login(server);
        let mut data = client.start("RETR file");
        data.read_exact(&mut [0; 32 << 10]).expect("data");
        reset(data);
        client.expect("426*");
    }),
    Case::new("what fits into the kernel's buffers is not yet delivered", |server| {
        sparse(&server.home().join("file"), MIB);
        let mut client = Client::login(server);
        // Once the kernel has it all the server waits for a moment only, which may be too short for us.
        eventually("a reset in time is noticed", || {
            let mut data = client.start("RETR file");
            data.read_exact(&mut [0; 512 << 10]).expect("data");
            reset(data);
            let reply = client.reply();
            assert!(reply.matches("426*") || reply.matches("226*"), "{reply}");
            reply.matches("426*")
        });
    }),
    Case::new("the session ends before the download", |server| {
        sparse(&server.home().join("file"), 64 * MIB);
        let mut client = Client::login(server);
        let mut data = client.start("RETR file");
        data.read_exact(&mut [0; 1000]).expect("data");
        drop(client);
        let _ = data.read_to_end(&mut Vec::new());
    }),
    Case::new("beyond four gibibytes", |server| {
        let path = server.home().join("file");
        sparse(&path, 5 << 30);
        let mut file = File::options().write(true).open(&path).expect("our file");
        file.seek(SeekFrom::Start(5 << 30)).expect("a sparse file");
        file.write_all(b"the end").expect("a sparse file");
        let mut client = Client::login(server);
        client.ask("SIZE file", "213 5368709127");
        client.ask("REST 5368709120", "350*");
        assert_eq!(client.download("RETR file"), b"the end");
    }),
    Case::new("a pipe is not a file", |server| {
        let made = Command::new("mkfifo").arg(server.home().join("pipe")).status();
        assert!(made.is_ok_and(|status| status.success()), "mkfifo");
        let mut client = Client::login(server);
        for command in ["RETR pipe", "STOR pipe", "APPE pipe", "SIZE pipe"] {
            client.ask(command, "550*");
        }
        client.ask("NOOP", "200*");
    }),
];

fn sparse(path: &Path, size: u64) {
    File::create(path).and_then(|file| file.set_len(size)).expect("a sparse file");
}
