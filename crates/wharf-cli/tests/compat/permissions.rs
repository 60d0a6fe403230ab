//! Every command that needs a letter, by a user who has all the others.

use std::fs;

use crate::{
    case::{assert_healthy, server_for},
    client::Client,
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

/// One row per letter.
pub(crate) fn rows() -> impl Iterator<Item = Row> {
    NEEDS.iter().map(|(letter, commands)| Row {
        name: format!("permissions: nothing goes without {letter}"),
        gap: None,
        check: Box::new(|| check(*letter, commands)),
    })
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
