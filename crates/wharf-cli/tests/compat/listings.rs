//! Listings that need more than a dialogue: all facts, many entries, owners, time zones.

use std::{
    collections::HashSet,
    fs,
    os::unix::fs::{MetadataExt, chown},
};

use crate::{
    case::Case,
    client::{Client, lossy},
};

const FEATURES: &[&str] = &[" EPRT", " EPSV", " MDTM", " MFMT", " REST STREAM", " SIZE", " TVFS", " UTF8"];

pub(crate) const CASES: &[Case] = &[
    Case::new("FEAT", |server| {
        let mut client = Client::connect(server);
        let text = client.ask("FEAT", "211-*").text();
        let lines: Vec<&str> = text.split("\r\n").collect();
        let (inner, last) = (&lines[1..lines.len() - 1], lines[lines.len() - 1]);
        assert_eq!((lines[0], last), ("211-Features supported:", "211 End FEAT."));
        for feature in FEATURES {
            assert!(inner.contains(feature), "{feature} is missing");
        }
        assert!(inner.iter().all(|line| line.starts_with(' ')), "{inner:?}");
        assert!(inner.is_sorted(), "{inner:?}");
        assert!(text.contains(" MLST type*;perm*;size*;modify*;"), "{text}");
    }),
    Case::new("FEAT shows the selected facts", |server| {
        let mut client = Client::login(server);
        client.ask("OPTS MLST type;", "200*");
        let text = client.ask("FEAT", "211-*").text();
        assert!(text.contains(" MLST type*;perm;size;modify;"), "{text}");
    }),
    Case::new("every fact that is advertised is given", |server| {
        fs::write(server.home().join("file"), "12345").expect("a file");
        let mut client = Client::login(server);
        let facts = advertised_facts(&client.ask("FEAT", "211-*").text());
        client.ask(format!("OPTS MLST {}", facts.join("")), "200 MLST OPTS type;*");
        for path in ["/", "file"] {
            let reply = client.ask(format!("MLST {path}"), "250-*").text();
            for fact in &facts {
                let name = fact.trim_end_matches(';');
                assert!(reply.contains(&format!("{name}=")), "{path} has no {name}");
            }
        }
    }),
    Case::new("facts of a file", |server| {
        fs::write(server.home().join("file"), "12345").expect("a file");
        let mut client = Client::login(server);
        client.ask("MFMT 20200102030405 file", "213*");
        client.ask("OPTS MLST type;size;modify;perm;unix.uid;unix.mode;", "200*");
        let listing = lossy(&client.download("MLSD"));
        let uid = format!("unix.uid={};", fs::metadata(server.home()).expect("a directory").uid());
        for fact in ["type=file;", "size=5;", "modify=20200102030405;", "perm=", &uid] {
            assert!(listing.contains(fact), "{fact} is not in {listing}");
        }
        assert!(listing.ends_with("; file\r\n"), "{listing}");
    }),
    Case::new("a link and its target are one file, others are not", |server| {
        fs::write(server.home().join("file"), "x").expect("a file");
        fs::write(server.home().join("other"), "x").expect("a file");
        fs::hard_link(server.home().join("file"), server.home().join("same")).expect("a link");
        let mut client = Client::login(server);
        client.ask("OPTS MLST unique;", "200*");
        let listing = lossy(&client.download("MLSD"));
        let unique: HashSet<&str> = listing.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!((listing.lines().count(), unique.len()), (3, 2), "{listing}");
    }),
    Case::new("five thousand entries", |server| {
        for number in 0..5_000 {
            fs::write(server.home().join(format!("file{number}")), "").expect("a file");
        }
        let mut client = Client::login(server);
        for command in ["LIST", "NLST", "MLSD"] {
            let listing = lossy(&client.download(command));
            let names: HashSet<_> = listing.lines().map(|line| line.rsplit(' ').next()).collect();
            assert_eq!(names.len(), 5_000, "{command}");
        }
    }),
    Case::new("owners without a name are numbers", |server| {
        let file = server.home().join("file");
        fs::write(&file, "x").expect("a file");
        chown(&file, Some(54_321), Some(65_432)).expect("root may do this");
        let mut client = Client::login(server);
        let listing = lossy(&client.download("LIST"));
        assert!(listing.contains(" 54321    65432 "), "{listing}");
    })
    .only_if(|| rustix::process::geteuid().is_root(), "only root can give files away"),
    Case::new("times are GMT", |server| {
        fs::write(server.home().join("file"), "x").expect("a file");
        let mut client = Client::login(server);
        client.ask("MFMT 20200101230000 file", "213*");
        client.ask("MDTM file", "213 20200101230000");
        assert!(lossy(&client.download("LIST")).contains(" Jan 01  2020 file"));
    })
    .own(),
    Case::new("times are local on request", |server| {
        fs::write(server.home().join("file"), "x").expect("a file");
        let mut client = Client::login(server);
        client.ask("MFMT 20200101230000 file", "213*");
        client.ask("MDTM file", "213 20200102040000");
        assert!(lossy(&client.download("LIST")).contains(" Jan 02  2020 file"));
    })
    .with("use_gmt_times = false"),
];

/// The facts of the MLST line, each with its semicolon.
fn advertised_facts(features: &str) -> Vec<String> {
    let line = features.lines().find_map(|line| line.strip_prefix(" MLST ")).expect("MLST");
    line.split_terminator(';').map(|fact| fact.replace('*', "") + ";").collect()
}
