//! Users among themselves: each with the own rights, and no others.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use crate::accounts::{PamService, User, open_directory};
use crate::case::Case;
use crate::client::lossy;
use crate::row::Verdict;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case::new("eight users at once never mix", eight_users),
    Case::new("what is made belongs to its user", ownership),
    Case::new("LIST names the owners of foreign files", foreign_files),
    Case::new("links between users lead nowhere", links),
    Case::new("the whole file system, with the kernel as the wall", whole_file_system),
    Case::new("supplementary groups open what they should", groups),
    Case::new("staged uploads belong to their user", staged_uploads),
    Case::new("blocks that are reserved for root stay free", reserved_blocks),
];

/// How often each of many users does the same again.
const ROUNDS: usize = 12;

fn eight_users() -> Verdict {
    let service = PamService::shipped();
    let users: Vec<User> = (0..8).map(|_| User::new()).collect();
    users.iter().for_each(|user| drop(user.keep("secret", &user.name)));
    let server = Server::for_system_users(&service, "filesystem = \"unix\"");
    thread::scope(|scope| {
        for (number, user) in users.iter().enumerate() {
            let (server, neighbour) = (&server, &users[(number + 1) % users.len()]);
            scope.spawn(move || work_beside(server, user, neighbour));
        }
    });
    Verdict::Passed
}

fn work_beside(server: &Server, user: &User, neighbour: &User) {
    let mut client = user.log_in(server);
    let theirs = neighbour.home();
    let theirs = theirs.display();
    for round in 0..ROUNDS {
        let name = format!("file-{round}");
        client.upload(format!("STOR {name}"), user.name.as_bytes());
        client.ask(format!("MKD dir-{round}"), "257*");
        assert_eq!(client.download("RETR secret"), user.name.as_bytes());
        let _data = client.passive();
        client.ask(format!("RETR {theirs}/secret"), "550*");
        client.ask(format!("CWD {theirs}"), "550*");
        client.ask(format!("DELE {theirs}/secret"), "550*");
        client.ask(format!("SIZE {theirs}/secret"), "550*");
        for made in [name, format!("dir-{round}")] {
            assert_owned(&user.home().join(made), user);
        }
    }
    let listing = client.download("NLST");
    assert_eq!(lossy(&listing).lines().count(), 2 * ROUNDS + 1);
}

fn assert_owned(path: &Path, user: &User) {
    let found = fs::metadata(path).expect("a file");
    assert_eq!((found.uid(), found.gid()), (user.uid, user.gid), "{}", path.display());
    // The umask is 027.
    assert_eq!(found.mode() & 0o777, if found.is_dir() { 0o750 } else { 0o640 }, "{}", path.display());
}

fn ownership() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_users(&service, &[&user], "");
    let mut client = user.log_in(&server);
    client.upload("STOR stored", b"text");
    client.upload("APPE appended", b"text");
    client.ask("MKD made", "257*");
    for name in ["stored", "appended", "made"] {
        assert_owned(&user.home().join(name), &user);
    }
    let data = client.passive();
    let reply = client.ask("STOU", "1?? FILE: *");
    drop(data);
    client.expect("226*");
    let name = reply
        .text()
        .trim_start_matches(|c: char| c.is_ascii_digit())
        .trim_start_matches(" FILE: ")
        .trim()
        .to_owned();
    assert_eq!(fs::metadata(user.home().join(&name)).expect("a file").uid(), user.uid, "{name}");
    Verdict::Passed
}

fn foreign_files() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    let file = user.home().join("foreign");
    fs::write(&file, "text").expect("a file");
    other.own(&file, 0o644);
    let nobodys = user.home().join("nobodys");
    fs::write(&nobodys, "text").expect("a file");
    chown(&nobodys, Some(3_999_999), Some(3_999_998)).expect("an owner");
    let server = Server::for_users(&service, &[&user], "");
    let mut client = user.log_in(&server);
    let listing = lossy(&client.download("LIST"));
    let line = |name: &str| {
        let line = listing.lines().find(|line| line.ends_with(&format!(" {name}"))).expect("a line");
        line.split_whitespace().skip(2).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(line("foreign"), [&*other.name, &*other.name]);
    assert_eq!(line("nobodys"), ["3999999", "3999998"]);
    Verdict::Passed
}

fn links() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    let secret = other.keep("secret", "not for you");
    symlink(&secret, user.home().join("symbolic")).expect("a link");
    symlink(other.home(), user.home().join("directory")).expect("a link");
    // Both homes are on one file system, and root may link what is not its own.
    fs::hard_link(&secret, user.home().join("hard")).expect("a link");
    for filesystem in ["home", "unix"] {
        let server = Server::for_users(&service, &[&user], &format!("filesystem = {filesystem:?}"));
        let mut client = user.log_in(&server);
        let _data = client.passive();
        for command in
            ["RETR symbolic", "RETR hard", "RETR directory/secret", "CWD directory", "SITE CHMOD 777 hard"]
        {
            client.ask(command, "550*");
        }
        for name in ["symbolic", "hard", "directory/new"] {
            client.ask(format!("APPE {name}"), "550*");
        }
    }
    assert_eq!(fs::read_to_string(&secret).expect("a file"), "not for you");
    Verdict::Passed
}

fn whole_file_system() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    let server = Server::for_system_users(&service, "filesystem = \"unix\"");
    server.says("Landlock: off (auth.unix.filesystem = \"unix\" shows the whole file system)");
    let mut client = user.log_in(&server);
    client.ask("PWD", &format!("257 \"{}\"*", user.home().display()));
    client.upload("STOR here", b"text");
    assert_owned(&user.home().join("here"), &user);
    client.ask("CWD /", "250*");
    assert_eq!(client.download("RETR /etc/passwd"), fs::read("/etc/passwd").expect("a file"));
    let _data = client.passive();
    client.ask("RETR /etc/shadow", "550 Permission denied.");
    client.ask("STOR /etc/wharf-must-not-exist", "550 Permission denied.");
    client.ask(format!("CWD {}", other.home().display()), "550 Permission denied.");
    client.ask("DELE /etc/passwd", "550 Permission denied.");
    Verdict::Passed
}

fn groups() -> Verdict {
    let (service, member, stranger) = (PamService::shipped(), User::new(), User::new());
    let shared = open_directory();
    let group = fs::metadata(member.home()).expect("a home").gid();
    for (name, gid) in [("group", stranger_group(&member, &stranger)), ("own", group), ("roots", 0)] {
        let path = shared.path().join(name);
        fs::create_dir(&path).expect("a directory");
        chown(&path, Some(0), Some(gid)).expect("a group");
        fs::set_permissions(&path, Permissions::from_mode(0o2770)).expect("a mode");
    }
    let server = Server::for_system_users(&service, "filesystem = \"unix\"");
    let place = |name: &str| shared.path().join(name).join("file").display().to_string();
    let mut client = member.log_in(&server);
    client.upload(format!("STOR {}", place("own")), b"text");
    client.upload(format!("STOR {}", place("group")), b"text");
    assert_eq!(fs::metadata(place("group")).expect("a file").uid(), member.uid);
    let _data = client.passive();
    client.ask(format!("STOR {}", place("roots")), "550*");

    let mut client = stranger.log_in(&server);
    let _data = client.passive();
    client.ask(format!("STOR {}", place("own")), "550*");
    client.ask(format!("STOR {}", place("roots")), "550*");
    Verdict::Passed
}

/// Makes `member` belong to the group of `stranger`, and tells which that is.
fn stranger_group(member: &User, stranger: &User) -> u32 {
    member.tool("usermod", &["--append", "--groups", &stranger.name]);
    stranger.gid
}

fn staged_uploads() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    for filesystem in ["home", "unix"] {
        let settings = format!("filesystem = {filesystem:?}\n[uploads]\npublish = \"staged\"");
        let server = Server::for_users(&service, &[&user], &settings);
        let mut client = user.log_in(&server);
        client.upload("STOR staged", b"text");
        client.upload("STOR staged", b"again");
        assert_owned(&user.home().join("staged"), &user);
        assert_eq!(fs::read(user.home().join("staged")).expect("a file"), b"again");
        client.ask("DELE staged", "250*");
    }
    Verdict::Passed
}

/// A small disk of which half is reserved for root, unmounted when dropped.
struct ReservedDisk(PathBuf);

impl ReservedDisk {
    fn mount_at(directory: &Path) -> Option<Self> {
        let image = directory.with_extension("image");
        File::create(&image).and_then(|image| image.set_len(8 << 20)).expect("an image");
        let works = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let mounted = works(Command::new("mkfs.ext4").args(["-m", "50"]).arg(&image))
            && works(Command::new("mount").args(["-o", "loop"]).arg(&image).arg(directory));
        mounted.then(|| Self(directory.to_owned()))
    }
}

impl Drop for ReservedDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn reserved_blocks() -> Verdict {
    // More than half of the disk, less than all of it.
    let large = vec![b'x'; 5 << 20];
    let (service, user) = (PamService::shipped(), User::new());
    let small = user.home().join("small");
    fs::create_dir(&small).expect("a directory");
    let Some(_disk) = ReservedDisk::mount_at(&small) else {
        return Verdict::Skipped("mkfs.ext4 is missing, or loop devices are".to_owned());
    };
    user.own(&small, 0o700);
    for settings in ["", "[uploads]\npublish = \"staged\""] {
        let server = Server::for_system_users(&service, settings);
        let mut client = user.log_in(&server);
        client.ask("CWD small", "250*");
        let mut data = client.start("STOR large");
        // It ends early.
        let _ = data.write_all(&large);
        drop(data);
        client.expect("452*");
        let _ = fs::remove_file(small.join("large"));
    }
    fs::write(small.join("large"), &large).expect("root has room for it");
    Verdict::Passed
}
