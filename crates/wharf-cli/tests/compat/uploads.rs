//! How uploads end: complete, aborted, or cut off by the machine itself.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use crate::{
    case::Case,
    client::{Client, PARTIAL, reset},
    server::{Server, eventually},
};

const XFERLOG: &str = "log.xferlog = '$DIR/xferlog'";
const STAGED: &str = "uploads.publish = 'staged'";

pub(crate) const CASES: &[Case] = &[
    Case::new("complete at the moment of the 226", |server| {
        let mut client = Client::login(server);
        for round in 1..50_usize {
            client.upload("STOR file", &vec![b'x'; round * 1000]);
            assert_eq!(size(&server.home().join("file")), Some(round as u64 * 1000));
        }
    }),
    Case::new("synced to the disk", |server| {
        let mut client = Client::login(server);
        client.upload("STOR file", b"text");
        assert_eq!(content(server, "file"), b"text");
    })
    .with("uploads.sync = true"),
    Case::new("a reset is not an end of file", |server| {
        let mut client = Client::login(server);
        reset(client.begin_upload("file"));
        client.expect("426*");
        let kept = content(server, "file");
        assert!(kept.len() <= PARTIAL && kept.iter().all(|byte| *byte == b'x'));
    }),
    Case::new("a reset before the command is not an end of file either", |server| {
        let mut client = Client::login(server);
        reset(client.passive());
        eventually("the server has noticed", || {
            let status = client.ask("STAT", "211*").text();
            status.contains("Data connection open")
        });
        client.ask("STOR file", "125*");
        client.expect("426*");
        assert!(!server.home().join("file").exists());
    })
    .with("uploads.incomplete = 'delete'"),
    Case::new("incomplete files are deleted on request", |server| {
        let mut client = Client::login(server);
        reset(client.begin_upload("file"));
        client.expect("426*");
        assert!(!server.home().join("file").exists());
        client.upload("STOR file", b"whole");
        assert_eq!(content(server, "file"), b"whole");
    })
    .with("uploads.incomplete = 'delete'"),
    Case::new("an upload that never begins leaves the old file", leaves_the_old_file),
    Case::new("an upload that never begins deletes no old file", leaves_the_old_file)
        .with("uploads.incomplete = 'delete'"),
    Case::new("a file that is replaced keeps nothing", |server| {
        let mut client = Client::login(server);
        for size in [10, 0, 3 << 20, 100_000, 5 << 20, 3 << 20, 0] {
            client.upload("STOR file", &vec![b'x'; size]);
            assert!(content(server, "file") == vec![b'x'; size], "{size} bytes");
        }
    }),
    Case::new("an upload whose session ends", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        drop(client);
        eventually("the partial file is gone", || !server.home().join("file").exists());
        drop(data);
    })
    .with("uploads.incomplete = 'delete'"),
    Case::new("an upload whose client is killed", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        // One after the other, as the system closes what a process had open.
        drop((client, data));
        eventually("the upload is in the log", || {
            server.log().contains(&format!("file completed=0 bytes={PARTIAL} "))
        });
        assert!(server.log().contains("cause=ControlLost"), "{}", server.log());
        assert!(!server.home().join("file").exists());
    })
    .with("uploads.incomplete = 'delete'"),
    Case::new("ABOR leaves what came before it", |server| {
        let mut client = Client::login(server);
        let mut data = client.passive();
        eventually("the client has come", || {
            client.ask("STAT", "211*").text().contains("Data connection open")
        });
        client.ask("STOR file", "125*");
        data.write_all(b"few bytes").expect("the server reads");
        client.ask("ABOR", "426*");
        client.expect("226*");
        assert_eq!(content(server, "file"), b"few bytes");
    }),
    Case::new("STOU is told its name first", |server| {
        let mut client = Client::login(server);
        let reply = client.ask("STOU", "150 FILE: *").text();
        let name = reply.trim_start_matches("150 FILE: ").to_owned();
        let mut data = client.passive();
        data.write_all(b"text").expect("the server reads");
        drop(data);
        client.expect("226*");
        assert_eq!(content(server, &name), b"text");
    }),
    Case::new("STOU never overwrites", |server| {
        let mut client = Client::login(server);
        for _ in 0..20 {
            client.upload("STOU same", b"text");
        }
        let names: Vec<_> = fs::read_dir(server.home()).expect("a directory").flatten().collect();
        assert_eq!(names.len(), 20);
        assert!(names.iter().all(|name| name.file_name().as_encoded_bytes().starts_with(b"same")));
    }),
    Case::new("a file that is deleted meanwhile is not stored", |server| {
        let (mut client, mut other) = (Client::login(server), Client::login(server));
        for command in ["STOR file", "APPE file"] {
            let mut data = client.start(command);
            data.write_all(b"text").expect("the server reads");
            other.ask("DELE file", "250*");
            drop(data);
            client.expect("451 No such file or directory*");
        }
        let data = client.start("STOR file");
        other.ask("RNFR file", "350*");
        other.ask("RNTO moved", "250*");
        drop(data);
        client.expect("226*");
    })
    .own(),
    Case::new("disk full", |server| {
        let _mount = Mount::small(server.home().join("small"));
        fill(server, 1 << 20);
    })
    .with(XFERLOG)
    .only_if(Mount::is_possible, "needs the right to mount a small disk"),
    Case::new("disk full at the last byte", |server| {
        let mount = Mount::small(server.home().join("small"));
        fs::write(mount.0.join("filler"), [7; 60 << 10]).expect("room for this");
        fill(server, 8 << 10);
    })
    .with(XFERLOG)
    .only_if(Mount::is_possible, "needs the right to mount a small disk"),
    Case::new("staged: nothing under the final name before the end", |server| {
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        let mut other = Client::login(server);
        assert!(!server.home().join("file").exists());
        assert_eq!(other.download("LIST -a"), b"");
        assert_eq!(other.download("NLST"), b"");
        assert_eq!(other.download("MLSD"), b"");
        drop(data);
        client.expect("226*");
        assert_eq!(content(server, "file"), [b'x'; PARTIAL]);
        assert_eq!(other.download("NLST"), b"file\r\n");
    })
    .with(STAGED),
    Case::new("staged: an abort leaves the old file", |server| {
        fs::write(server.home().join("file"), "old").expect("a file");
        let mut client = Client::login(server);
        reset(client.begin_upload("file"));
        client.expect("426*");
        assert_eq!(content(server, "file"), b"old");
        let data = client.begin_upload("file");
        client.ask("ABOR", "426*");
        client.expect("226*");
        drop(data);
        assert_eq!(content(server, "file"), b"old");
        assert_eq!(fs::read_dir(server.home()).expect("a directory").count(), 1);
    })
    .with(STAGED),
    Case::new("staged: a lost session leaves the old file", |server| {
        fs::write(server.home().join("file"), "old").expect("a file");
        let mut client = Client::login(server);
        let data = client.begin_upload("file");
        drop((client, data));
        server.assert_no_leaks();
        assert_eq!(content(server, "file"), b"old");
    })
    .with(STAGED),
    Case::new("staged: a replaced file keeps its mode", |server| {
        let file = server.home().join("file");
        fs::write(&file, "old").expect("a file");
        fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).expect("our file");
        Client::login(server).upload("STOR file", b"new");
        assert_eq!(content(server, "file"), b"new");
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
    })
    .with(STAGED),
    Case::new("staged: resuming and appending", |server| {
        let mut client = Client::login(server);
        client.upload("STOR file", b"0123");
        client.ask("REST 4", "350*");
        client.upload("STOR file", b"4567");
        client.upload("APPE file", b"89");
        assert_eq!(content(server, "file"), b"0123456789");
    })
    .with(STAGED),
    Case::new("staged: a killed server publishes nothing", |server| {
        let mut client = Client::login(server);
        let _data = client.begin_upload("file");
        server.kill();
        assert!(!server.home().join("file").exists());
    })
    .with(STAGED),
    Case::new("staged: a killed server keeps the old file", |server| {
        fs::write(server.home().join("file"), "old").expect("a file");
        let mut client = Client::login(server);
        let _data = client.begin_upload("file");
        server.kill();
        assert_eq!(content(server, "file"), b"old");
    })
    .with(STAGED),
    Case::new("two clients upload to one name", |server| {
        let server = &*server;
        thread::scope(|scope| {
            for letter in [b'a', b'b'] {
                scope.spawn(move || {
                    Client::login(server).upload("STOR file", &vec![letter; 1 << 20]);
                });
            }
        });
        let content = content(server, "file");
        let first = content[0];
        assert!(content.len() == 1 << 20 && content.iter().all(|byte| *byte == first));
    })
    .with(STAGED),
];

fn leaves_the_old_file(server: &mut Server) {
    fs::write(server.home().join("file"), "old").expect("a file");
    let mut client = Client::login(server);
    let _port = client.passive_address();
    client.ask("STOR file", "150*");
    client.ask("ABOR", "426*");
    client.expect("226*");
    assert_eq!(content(server, "file"), b"old");
    // With a data connection that brings nothing.
    let data = client.passive();
    client.ask("STOR file", "1*");
    client.ask("ABOR", "426*");
    client.expect("226*");
    drop(data);
    assert_eq!(content(server, "file"), b"old");
    client.ask("STOR file", "150*");
    client.ask("QUIT", "425*");
    client.expect("221*");
    client.expect_end();
    assert_eq!(content(server, "file"), b"old");
}

fn size(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|file| file.len())
}

fn content(server: &Server, name: &str) -> Vec<u8> {
    fs::read(server.home().join(name)).expect("a file")
}

/// Stores more than there is room for. Told is what fitted, and so it is in both logs.
fn fill(server: &Server, size: usize) {
    let mut client = Client::login(server);
    let mut data = client.start("STOR small/file");
    // The server may close before it has taken everything.
    let _ = data.write_all(&vec![7; size]);
    drop(data);
    client.expect("452*");
    client.ask("NOOP", "200*");
    let stored = self::size(&server.home().join("small/file")).expect("what fitted is kept");
    assert!(0 < stored && stored < size as u64, "{stored} bytes");
    eventually("the upload is in the log", || {
        server.log().contains(&format!("small/file completed=0 bytes={stored} "))
    });
    let xferlog = || fs::read_to_string(server.outside("xferlog")).unwrap_or_default();
    eventually("the transfer is recorded", || xferlog().ends_with('\n'));
    assert!(xferlog().contains(&format!(" 127.0.0.1 {stored} ")), "{}", xferlog());
}

/// A file system that goes when this does.
pub(crate) struct Mount(PathBuf);

/// One of 64 KiB.
const SMALL: &[&str] = &["-t", "tmpfs", "-o", "size=64k", "tmpfs"];
const PROCFS: &[&str] = &["-t", "proc", "proc"];

impl Mount {
    fn is_possible() -> bool {
        can_mount(SMALL)
    }

    fn small(path: PathBuf) -> Self {
        Self::new(SMALL, path)
    }

    pub(crate) fn of_procfs_is_possible() -> bool {
        can_mount(PROCFS)
    }

    pub(crate) fn of_procfs(path: PathBuf) -> Self {
        Self::new(PROCFS, path)
    }

    fn new(what: &[&str], path: PathBuf) -> Self {
        fs::create_dir(&path).expect("a directory");
        assert!(mount(what, &path), "mounting worked a moment ago");
        Self(path)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may still have a file open there.
        unmount(&self.0);
    }
}

fn can_mount(what: &[&str]) -> bool {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("probe");
    fs::create_dir(&path).is_ok() && mount(what, &path) && unmount(&path)
}

fn mount(what: &[&str], path: &Path) -> bool {
    succeeds(Command::new("mount").args(what).arg(path))
}

fn unmount(path: &Path) -> bool {
    succeeds(Command::new("umount").arg("-l").arg(path))
}

fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
