//! What each client is put through.

use std::{ffi::OsStr, fs, path::Path};

use crate::{
    bench::{Bench, Way},
    job::{Begin, Copy, Job, Mode, Tls, Tool, Version, fifty},
    quirks,
    row::Row,
    tools,
    tree::{NAMES, assert_same, content, os, plant},
};

const PLAIN: Way = Way { name: "passive", mode: Mode::Passive, tls: None, listen: IPV4, settings: "" };

/// All but [`PLAIN`], for a round trip each.
const WAYS: &[Way] = &[
    Way { name: "active", mode: Mode::Active, ..PLAIN },
    Way { name: "passive over IPv6", listen: IPV6, ..PLAIN },
    Way { name: "active over IPv6", mode: Mode::Active, listen: IPV6, ..PLAIN },
    Way { name: "staged uploads", settings: "uploads.publish = 'staged'", ..PLAIN },
];

/// Ways under TLS, for a round trip each.
const TLS_WAYS: &[Way] = &[
    tls_way("TLS 1.2", Begin::Explicit, Version::Tls12),
    tls_way("TLS 1.3", Begin::Explicit, Version::Tls13),
    tls_way("implicit TLS 1.2", Begin::Implicit, Version::Tls12),
    tls_way("implicit TLS 1.3", Begin::Implicit, Version::Tls13),
    Way { mode: Mode::Active, ..tls_way("active, TLS 1.2", Begin::Explicit, Version::Tls12) },
    Way { mode: Mode::Active, ..tls_way("active, TLS 1.3", Begin::Explicit, Version::Tls13) },
    Way {
        tls: Some(Tls { begin: Begin::Explicit, version: Version::Tls13, private_data: false, bound: false }),
        ..tls_way("TLS on control only", Begin::Explicit, Version::Tls13)
    },
];

/// Ways under TLS where data connections must prove whose they are.
const BOUND_WAYS: &[Way] =
    &[bound("bound, TLS 1.2", Version::Tls12), bound("bound, TLS 1.3", Version::Tls13)];

/// What is done in [`BOUND_WAYS`].
const BOUND: &[Scenario] = &[
    (
        "fifty downloads",
        || Job::DownloadFifty(copy()),
        |bench| transfer_fifty(bench, &bench.local("tree"), Job::DownloadFifty),
    ),
    (
        "fifty uploads",
        || Job::UploadFifty(copy()),
        |bench| transfer_fifty(bench, &bench.local("tree"), Job::UploadFifty),
    ),
];

const fn tls_way(name: &'static str, begin: Begin, version: Version) -> Way {
    Way { name, tls: Some(Tls { begin, version, private_data: true, bound: false }), ..PLAIN }
}

const fn bound(name: &'static str, version: Version) -> Way {
    let tls = Tls { begin: Begin::Explicit, version, private_data: true, bound: true };
    Way { name, tls: Some(tls), settings: "tls.session_reuse = 'require'", ..PLAIN }
}

const IPV4: &str = "127.0.0.1:0";
const IPV6: &str = "[::1]:0";
const MIB: usize = 1 << 20;

/// A name, an example of the job that the client must know, and what happens.
type Scenario = (&'static str, fn() -> Job<'static>, fn(&Bench));

const SCENARIOS: &[Scenario] = &[
    (
        "list",
        || Job::List(name()),
        |bench| {
            fs::create_dir(bench.remote().join("dir")).expect("a directory");
            for name in ["dir/one", "dir/two words", "dir/.three"] {
                fs::write(bench.remote().join(name), "x").expect("a file");
            }
            let printed = bench.perform(Job::List(OsStr::new("dir")));
            let printed = String::from_utf8_lossy(&printed);
            for name in ["one", "two words", ".three"] {
                assert!(printed.contains(name), "{name} is not in {printed}");
            }
        },
    ),
    ("download", || Job::Download(copy()), |bench| download(bench, OsStr::new("file"), &content(300_000, 1))),
    ("upload", || Job::Upload(copy()), |bench| upload(bench, OsStr::new("file"), &content(300_000, 2))),
    ("download nothing", || Job::Download(copy()), |bench| download(bench, OsStr::new("file"), b"")),
    ("upload nothing", || Job::Upload(copy()), |bench| upload(bench, OsStr::new("file"), b"")),
    (
        "download 64 MiB",
        || Job::Download(copy()),
        |bench| {
            download(bench, OsStr::new("file"), &content(64 * MIB, 3));
        },
    ),
    (
        "upload 64 MiB",
        || Job::Upload(copy()),
        |bench| upload(bench, OsStr::new("file"), &content(64 * MIB, 4)),
    ),
    (
        "upload over a longer file",
        || Job::Upload(copy()),
        |bench| {
            fs::write(bench.remote().join("file"), content(10_000, 5)).expect("a file");
            upload(bench, OsStr::new("file"), b"short");
        },
    ),
    (
        "resume a download",
        || Job::ResumeDownload(copy()),
        |bench| {
            let whole = content(5 * MIB, 6);
            fs::write(bench.remote().join("file"), &whole).expect("a file");
            let local = bench.local("file");
            fs::write(&local, &whole[..2 * MIB]).expect("a file");
            bench.perform(Job::ResumeDownload(Copy { remote: OsStr::new("file"), local: &local }));
            assert_content(&local, &whole);
        },
    ),
    (
        "resume an upload",
        || Job::ResumeUpload(copy()),
        |bench| {
            let whole = content(5 * MIB, 7);
            let local = bench.local("file");
            fs::write(&local, &whole).expect("a file");
            fs::write(bench.remote().join("file"), &whole[..2 * MIB]).expect("a file");
            bench.perform(Job::ResumeUpload(Copy { remote: OsStr::new("file"), local: &local }));
            assert_content(&bench.remote().join("file"), &whole);
        },
    ),
    (
        "rename",
        || Job::Rename(name(), name()),
        |bench| {
            fs::write(bench.remote().join("old name"), "text").expect("a file");
            bench.perform(Job::Rename(OsStr::new("old name"), OsStr::new("new")));
            assert_content(&bench.remote().join("new"), b"text");
            assert!(!bench.remote().join("old name").exists());
        },
    ),
    (
        "delete",
        || Job::Delete(name()),
        |bench| {
            fs::write(bench.remote().join("file"), "text").expect("a file");
            bench.perform(Job::Delete(OsStr::new("file")));
            assert!(!bench.remote().join("file").exists());
        },
    ),
    (
        "make a directory",
        || Job::MakeDirectory(name()),
        |bench| {
            bench.perform(Job::MakeDirectory(OsStr::new("new")));
            assert!(bench.remote().join("new").is_dir());
        },
    ),
    (
        "mirror down",
        || Job::MirrorDown(copy()),
        |bench| {
            plant(&bench.remote().join("tree"), &names_for(bench));
            mirror(bench, &bench.local("tree"), Job::MirrorDown);
        },
    ),
    (
        "mirror up",
        || Job::MirrorUp(copy()),
        |bench| {
            plant(&bench.local("tree"), &names_for(bench));
            mirror(bench, &bench.local("tree"), Job::MirrorUp);
        },
    ),
];

/// Client × scenario, client × name, client × way.
pub(crate) fn rows() -> Vec<Row> {
    tools::ALL.iter().flat_map(|tool| rows_of(*tool)).collect()
}

fn rows_of(tool: &'static dyn Tool) -> Vec<Row> {
    let can = |job: Job<'_>, way: Way| tool.invocation(job, &way.example()).is_some();
    let row = |name: &str, way: Way, check: Box<dyn FnOnce(&Bench) + Send>| Row {
        name: format!("{}: {name}", tool.name()),
        gap: quirks::find(tool.name(), name),
        check: Box::new(move || Bench::run(tool, way, check)),
    };
    let mut rows = Vec::new();
    for (name, example, check) in SCENARIOS {
        if can(example(), PLAIN) {
            rows.push(row(name, PLAIN, Box::new(check)));
        }
    }
    for bytes in NAMES {
        let name = format!("a file called {}", bytes.escape_ascii());
        rows.push(row(&name, PLAIN, Box::new(|bench| round_trip(bench, &os(bytes)))));
    }
    for way in WAYS {
        if can(Job::Download(copy()), *way) {
            let name = format!("there and back, {}", way.name);
            rows.push(row(&name, *way, Box::new(|bench| round_trip(bench, OsStr::new("file")))));
        }
    }
    for way in TLS_WAYS {
        if can(Job::Download(copy()), *way) {
            let name = format!("there and back, {}", way.name);
            rows.push(row(&name, *way, Box::new(|bench| round_trip(bench, OsStr::new("file")))));
        }
        let resumes = can(Job::ResumeDownload(copy()), *way) && way.mode == Mode::Passive;
        if let Some((_, _, check)) =
            SCENARIOS.iter().find(|(name, ..)| resumes && *name == "resume a download")
        {
            rows.push(row(&format!("resume a download, {}", way.name), *way, Box::new(check)));
        }
    }
    let free = tls_way("TLS 1.3", Begin::Explicit, Version::Tls13);
    for way in BOUND_WAYS.iter().chain([&free]) {
        // A client that keeps no session for fifty files keeps none for a tree either.
        let keeps = can(Job::DownloadFifty(copy()), *way);
        let mirrors = SCENARIOS.iter().filter(|(name, ..)| keeps && name.starts_with("mirror"));
        for (name, example, check) in BOUND.iter().chain(mirrors) {
            if can(example(), *way) {
                rows.push(row(&format!("{name}, {}", way.name), *way, Box::new(check)));
            }
        }
    }
    rows
}

/// The names that this client can mirror.
fn names_for(bench: &Bench) -> Vec<&'static [u8]> {
    let can = |name: &&[u8]| quirks::can_mirror(bench.tool().name(), name);
    NAMES.iter().copied().filter(can).collect()
}

fn name() -> &'static OsStr {
    OsStr::new("name")
}

fn copy() -> Copy<'static> {
    Copy { remote: name(), local: Path::new("/directory/name") }
}

fn download(bench: &Bench, remote: &OsStr, content: &[u8]) {
    fs::write(bench.remote().join(remote), content).expect("a file");
    let local = bench.local("fetched");
    bench.perform(Job::Download(Copy { remote, local: &local }));
    assert_content(&local, content);
}

fn upload(bench: &Bench, remote: &OsStr, content: &[u8]) {
    let local = bench.local("stored");
    fs::write(&local, content).expect("a file");
    bench.perform(Job::Upload(Copy { remote, local: &local }));
    assert_content(&bench.remote().join(remote), content);
}

/// Up, as far as this client can, and down again.
fn round_trip(bench: &Bench, name: &OsStr) {
    let content = content(50_000, name.len());
    if bench.can(Job::Upload(copy())) {
        upload(bench, name, &content);
    }
    download(bench, name, &content);
}

fn mirror<'a>(bench: &Bench, local: &'a Path, job: fn(Copy<'a>) -> Job<'a>) {
    let remote = bench.remote().join("tree");
    bench.perform(job(Copy { remote: OsStr::new("tree"), local }));
    assert_same(&remote, local);
}

fn transfer_fifty<'a>(bench: &Bench, local: &'a Path, job: fn(Copy<'a>) -> Job<'a>) {
    let remote = bench.remote().join("tree");
    for directory in [&*remote, local] {
        fs::create_dir(directory).expect("a directory");
    }
    let ends = Copy { remote: OsStr::new("tree"), local };
    let from = if matches!(job(ends), Job::UploadFifty(_)) { local } else { &remote };
    for (seed, name) in fifty().iter().enumerate() {
        fs::write(from.join(name), content(20_000, seed)).expect("a file");
    }
    bench.perform(job(ends));
    assert_same(&remote, local);
}

fn assert_content(path: &Path, expected: &[u8]) {
    let found = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let same = found.iter().zip(expected).take_while(|(found, expected)| found == expected);
    assert!(
        found == expected,
        "{} bytes instead of {}, equal up to {}",
        found.len(),
        expected.len(),
        same.count()
    );
}
