//! Every command that needs a letter, by a user who has all the others.

use std::{fs, path::Path};

use crate::{
    case::{assert_healthy, server_for},
    client::{Client, lossy},
    row::{Row, Verdict},
};

const EVERY_LETTER: &str = "elradfmwMT";

/// A letter and the commands that need it. `dir`, `empty/` and `file` exist.
const NEEDS: &[(char, &[&str])] = &[
    ('e', &["CWD dir", "XCWD dir", "CWD", "CDUP", "XCUP"]),
    (
        'l',
        &[
            "LIST",
            "LIST dir",
            "NLST",
            "NLST dir",
            "MLSD",
            "MLSD dir",
            "MLST",
            "MLST file",
            "STAT dir",
            "STAT file",
            "SIZE file",
            "MDTM file",
        ],
    ),
    ('r', &["RETR file"]),
    ('a', &["APPE file", "APPE new"]),
    ('d', &["DELE file", "RMD empty", "XRMD empty"]),
    ('f', &["RNFR file"]),
    ('m', &["MKD new", "XMKD new"]),
    ('w', &["STOR file", "STOR new", "STOU", "STOU new"]),
    ('M', &["SITE CHMOD 777 file"]),
    ('T', &["MFMT 20200102030405 file", "MDTM 20200102030405 file"]),
];

const OVERRIDES: &str = "[[users]]
    name = 'user'
    password = '12345'
    home = '$DIR/home'
    permissions = 'elradfmwMT'
    overrides = [
        { directory = '/incoming', permissions = 'el', recursive = true },
        { directory = '/dir', permissions = 'elw' },
        { directory = '/high/low', permissions = 'el' },
    ]";

/// One row per letter, and one for what is said of them.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    let facts = Row {
        name: "permissions: MLSD and MLST show what holds for each entry".to_owned(),
        gap: None,
        check: Box::new(check_facts),
    };
    let letters = NEEDS.iter().map(|(letter, commands)| Row {
        name: format!("permissions: nothing goes without {letter}"),
        gap: None,
        check: Box::new(|| check(*letter, commands)),
    });
    letters.chain([facts])
}

fn check(letter: char, commands: &[&str]) -> Verdict {
    let server = match server_for(&everything_but(letter), true, |_| ()) {
        Ok(server) => server,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let home = server.home();
    for directory in ["dir", "empty"] {
        fs::create_dir(home.join(directory)).expect("a directory");
    }
    fs::write(home.join("file"), "text").expect("a file");
    let mut client = Client::login(&server);
    for command in commands {
        client.ask(*command, "550 *Not enough privileges*");
    }
    drop(client);
    let mut names: Vec<_> =
        fs::read_dir(home).expect("a directory").flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, ["dir", "empty", "file"]);
    assert_eq!(fs::read(home.join("file")).expect("a file"), b"text");
    assert_healthy(&server);
    Verdict::Passed
}

fn everything_but(letter: char) -> String {
    let letters = EVERY_LETTER.replace(letter, "");
    format!(
        "[[users]]
         name = 'user'
         password = '12345'
         home = '$DIR/home'
         permissions = '{letters}'"
    )
}

fn check_facts() -> Verdict {
    let prepare = |home: &Path| {
        for directory in ["incoming/deep", "dir/sub", "high/low", "other"] {
            fs::create_dir_all(home.join(directory)).expect("a directory");
        }
        for file in ["incoming/file", "dir/file", "file"] {
            fs::write(home.join(file), "x").expect("a file");
        }
    };
    let server = match server_for(OVERRIDES, true, prepare) {
        Ok(server) => server,
        Err(reason) => return Verdict::Skipped(reason),
    };
    let mut client = Client::login(&server);
    client.ask("OPTS MLST perm;", "200*");
    for (directory, expected) in [
        ("/", "perm=eldmcp; high\nperm=eldfmcp; other\nperm=elc; dir\nperm=el; incoming\nperm=radfw; file"),
        ("/incoming", "perm=; file\nperm=el; deep"),
        ("/dir", "perm=eldfmcp; sub\nperm=w; file"),
        ("/high", "perm=el; low"),
    ] {
        let listing = lossy(&client.download(format!("MLSD {directory}")));
        let mut lines: Vec<&str> = listing.lines().collect();
        lines.sort_unstable();
        let mut expected: Vec<&str> = expected.split('\n').collect();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{directory}");
        for line in lines {
            let (perm, name) = line.split_once(' ').expect("facts and a name");
            let path = format!("{}/{name}", directory.trim_end_matches('/'));
            let single = client.ask(format!("MLST {path}"), "250-*").text();
            assert!(single.contains(&format!(" {perm} {path}\r\n")), "{line}, but {single}");
        }
    }
    client.ask("RNFR high", "550*");
    client.ask("RNFR other", "350*");
    drop(client);
    assert_healthy(&server);
    Verdict::Passed
}
