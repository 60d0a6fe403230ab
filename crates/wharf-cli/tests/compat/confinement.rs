//! Nobody leaves the home: symbolic links, dots, and races.

use std::{
    fs, io,
    io::Read,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use crate::{
    case::Case,
    client::{Client, lossy},
    server::Server,
    uploads::Mount,
};

const SECRET: &str = "top secret";

/// `out` is a link to a directory outside, `leak` one to a file in it.
const FORBIDDEN: &[&str] = &[
    "CWD out",
    "CWD out/sub",
    "LIST out",
    "LIST out/file",
    "NLST out",
    "MLSD out",
    "MLST out",
    "MLST leak",
    "STAT out",
    "STAT out/file",
    "RETR leak",
    "RETR out/file",
    "STOR leak",
    "STOR out/new",
    "APPE leak",
    "APPE out/file",
    "SIZE leak",
    "SIZE out/file",
    "MDTM leak",
    "MFMT 20200101000000 leak",
    "MDTM 20200101000000 leak",
    "SITE CHMOD 777 leak",
    "SITE CHMOD 777 out/file",
    "DELE out/file",
    "RMD out/sub",
    "RMD out",
    "MKD out/new",
    "RNFR out/file",
    "STOU out/new",
];

/// Ways to spell a file that is outside.
const ESCAPES: &[&str] = &[
    "../outside/file",
    "/../outside/file",
    "../../../../../../outside/file",
    "dir/../../outside/file",
    "dir/./../..//outside/file",
    "..//..//outside//file",
    "/dir/../../outside/file",
    "inside/../../outside/file",
    "out/../../outside/file",
    "./../outside/file",
    "//../outside/file",
];

pub(crate) const CASES: &[Case] = &[
    Case::new("relative links that leave", |server| {
        build(server, Path::new("../outside"));
        assert_forbidden(server);
    })
    .own(),
    Case::new("absolute links that leave", |server| {
        build(server, &outside(server));
        assert_forbidden(server);
    })
    .own(),
    Case::new("nothing of a link's far end is shown", |server| {
        build(server, &outside(server));
        let mut client = Client::login(server);
        for command in ["LIST", "MLSD", "NLST"] {
            let listing = lossy(&client.download(command));
            assert!(!listing.contains("outside"), "{command} shows the target: {listing}");
            assert!(!listing.contains("size=10;"), "{command} shows its size: {listing}");
        }
    })
    .own(),
    Case::new("a link that leaves can be renamed and removed", |server| {
        build(server, &outside(server));
        let mut client = Client::login(server);
        client.ask("RNFR leak", "350*");
        client.ask("RNTO renamed", "250*");
        client.ask("DELE renamed", "250*");
        client.ask("DELE out", "250*");
        assert_untouched(server);
    })
    .own(),
    Case::new("links that stay inside work", |server| {
        let home = server.home();
        fs::create_dir(home.join("dir")).expect("a directory");
        fs::write(home.join("dir/file"), "text").expect("a file");
        symlink("dir", home.join("relative")).expect("a link");
        symlink(home.join("dir"), home.join("absolute")).expect("a link");
        symlink("../dir/file", home.join("dir/up")).expect("a link");
        let mut client = Client::login(server);
        for link in ["relative", "absolute"] {
            assert_eq!(client.download(format!("RETR {link}/file")), b"text");
            assert_eq!(client.download(format!("RETR {link}/up")), b"text");
            client.upload(format!("STOR {link}/new"), link.as_bytes());
            assert_eq!(fs::read(home.join("dir/new")).expect("a file"), link.as_bytes());
            client.ask(format!("CWD /{link}"), &format!("250 \"/{link}\"*"));
            client.ask("CWD ..", "250 \"/\"*");
        }
    }),
    Case::new("dots", |server| {
        build(server, Path::new("../outside"));
        fs::create_dir(server.home().join("dir")).expect("a directory");
        symlink("dir", server.home().join("inside")).expect("a link");
        let mut client = Client::login(server);
        for path in ESCAPES {
            client.ask(format!("RETR {path}"), "550*");
            client.ask(format!("STOR {path}"), "5?0*");
            client.ask(format!("DELE {path}"), "550*");
        }
        assert_untouched(server);
    })
    .own(),
    Case::new("a rename cannot leave", |server| {
        build(server, Path::new("../outside"));
        fs::write(server.home().join("mine"), "mine").expect("a file");
        let mut client = Client::login(server);
        for target in ["out/mine", "out/file", "../outside/mine"] {
            client.ask("RNFR mine", "350*");
            client.ask(format!("RNTO {target}"), "550*");
        }
        assert_untouched(server);
    })
    .own(),
    Case::new("STOU stays inside", |server| {
        build(server, Path::new("../outside"));
        let mut client = Client::login(server);
        for argument in ["..", "/", "../outside/x", "out/x", "/..", "out"] {
            client.passive();
            client.send(format!("STOU {argument}"));
            if client.reply().matches("1*") {
                client.expect("226*");
            }
        }
        assert_untouched(server);
        let beside: Vec<_> = fs::read_dir(outside(server).parent().expect("a directory"))
            .expect("a directory")
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("home.") || name.starts_with("ftpd."))
            .collect();
        assert!(beside.is_empty(), "created beside the home: {beside:?}");
    })
    .own(),
    Case::new("a link to itself", |server| {
        symlink("loop", server.home().join("loop")).expect("a link");
        let mut client = Client::login(server);
        client.ask("RETR loop", "550*");
        client.ask("CWD loop", "550*");
        client.ask("DELE loop", "250*");
    }),
    Case::new("the server does not show itself by a procfs in a home", |server| {
        let _mount = Mount::of_procfs(server.home().join("proc"));
        symlink("proc/self/environ", server.home().join("link")).expect("a link");
        let mut client = Client::login(server);
        for path in ["proc", "proc/self/environ", "proc/self/maps", "proc/self/fd", "proc/1/status"] {
            for verb in ["RETR", "STOR", "APPE", "LIST", "MLSD", "CWD", "SIZE", "STAT", "SITE CHMOD 644"] {
                client.ask(format!("{verb} {path}"), "5?0*");
            }
        }
        for command in ["RETR link", "STOR link", "MLST link", "DELE proc/self/environ"] {
            client.ask(command, "550*");
        }
        let listing = lossy(&client.download("NLST"));
        assert_eq!(listing, "link\r\nproc\r\n");
    })
    .own()
    .only_if(Mount::of_procfs_is_possible, "needs the right to mount a procfs"),
    Case::new("a directory swapped for a link while it is used", |server| race(server)).own(),
];

fn outside(server: &Server) -> PathBuf {
    server.outside("outside")
}

/// A file outside, and links to it from inside.
fn build(server: &Server, target: &Path) {
    fs::create_dir_all(outside(server).join("sub")).expect("a directory");
    fs::write(outside(server).join("file"), SECRET).expect("a file");
    symlink(target, server.home().join("out")).expect("a link");
    symlink(target.join("file"), server.home().join("leak")).expect("a link");
}

fn assert_forbidden(server: &Server) {
    let mut client = Client::login(server);
    for command in FORBIDDEN {
        client.ask(*command, "5?0*");
        client.ask("PWD", "257 \"/\"*");
    }
    assert_untouched(server);
}

fn assert_untouched(server: &Server) {
    let outside = outside(server);
    let mut names: Vec<_> = fs::read_dir(&outside)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["file", "sub"]);
    assert_eq!(fs::read_to_string(outside.join("file")).expect("a file"), SECRET);
}

/// `way` is by turns a directory with a harmless file and a link to the outside.
fn race(server: &Server) {
    let home = server.home();
    build(server, &outside(server));
    fs::create_dir(home.join("way")).expect("a directory");
    fs::write(home.join("way/file"), "harmless").expect("a file");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                swap(home).expect("names that only we use");
            }
        });
        let mut client = Client::login(server);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            (0..200).for_each(|_| assert_harmless(&mut client));
        }));
        over.store(true, Ordering::Relaxed);
        assert!(outcome.is_ok(), "see above");
    });
}

fn swap(home: &Path) -> io::Result<()> {
    fs::rename(home.join("way"), home.join("kept"))?;
    fs::rename(home.join("out"), home.join("way"))?;
    fs::rename(home.join("way"), home.join("out"))?;
    fs::rename(home.join("kept"), home.join("way"))
}

fn assert_harmless(client: &mut Client) {
    let mut data = client.passive();
    client.send("RETR way/file");
    if client.reply().matches("1*") {
        let mut content = String::new();
        data.read_to_string(&mut content).expect("data");
        client.expect("226*");
        assert_eq!(content, "harmless");
    }
}
