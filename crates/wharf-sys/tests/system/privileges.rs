//! Processes that give up what they do not need.

use std::env;
use std::fs;
use std::io::ErrorKind::{CrossesDevices, PermissionDenied};
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{getegid, geteuid};
use rustix::thread::{Uid, set_thread_res_uid};
use wharf_sys::capabilities::{self, Capability};
use wharf_sys::sandbox::{Enforcement, Rules, restrict};

use crate::rows::{Needs, Place, Row, child, succeed};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { name: "only_the_kept_capabilities_remain",     needs: Needs::Root,    place: Place::Process, run: only_the_kept_capabilities_remain },
    Row { name: "missing_capabilities_cannot_be_kept",   needs: Needs::Root,    place: Place::Process, run: missing_capabilities_cannot_be_kept },
    Row { name: "root_is_gone_for_good",                 needs: Needs::Root,    place: Place::Process, run: root_is_gone_for_good },
    Row { name: "a_dropped_process_keeps_what_it_asked", needs: Needs::Root,    place: Place::Process, run: a_dropped_process_keeps_what_it_asked },
    Row { name: "the_sandbox_holds",                     needs: Needs::Nothing, place: Place::Thread,  run: the_sandbox_holds },
    Row { name: "stay_in_the_sandbox",                   needs: Needs::Nothing, place: Place::Helper,  run: stay_in_the_sandbox },
    Row { name: "the_sandbox_leaves_the_system_usable",  needs: Needs::Nothing, place: Place::Process, run: the_sandbox_leaves_the_system_usable },
];

const NOBODY: u32 = 65_534;

fn status(field: &str) -> String {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
}

fn only_the_kept_capabilities_remain() {
    capabilities::keep(&[Capability::SetUid, Capability::SetGid]).unwrap();
    capabilities::no_new_privileges().unwrap();
    assert_eq!(capabilities::current().unwrap().to_string(), "cap_setgid cap_setuid");
    for (field, expected) in
        [("CapEff", "c0"), ("CapPrm", "c0"), ("CapBnd", "c0"), ("CapInh", "0"), ("CapAmb", "0")]
    {
        assert_eq!(status(field).trim_start_matches('0'), expected.trim_start_matches('0'), "{field}");
    }
    assert_eq!(status("NoNewPrivs"), "1");
    // A program that root starts would have everything again, were it not for the bounding set.
    let child = Command::new("grep").args(["CapEff", "/proc/self/status"]).output().unwrap();
    assert_eq!(String::from_utf8(child.stdout).unwrap().trim(), "CapEff:\t00000000000000c0");
}

fn missing_capabilities_cannot_be_kept() {
    capabilities::keep(&[Capability::SetGid]).unwrap();
    let error = capabilities::keep(&[Capability::SetGid, Capability::SetUid]).unwrap_err();
    assert_eq!(error.kind(), PermissionDenied);
    assert!(error.to_string().ends_with("cap_setuid"), "{error}");
}

fn root_is_gone_for_good() {
    capabilities::drop_to(NOBODY, NOBODY, &[NOBODY, 100], &[]).unwrap();
    assert_eq!(status("Uid"), ["65534"; 4].join(" "));
    assert_eq!(status("Gid"), ["65534"; 4].join(" "));
    assert_eq!(status("Groups"), "100 65534");
    assert!(capabilities::current().unwrap().is_empty());
    assert_eq!(status("CapPrm").trim_matches('0'), "");
    assert_eq!(status("CapBnd").trim_matches('0'), "");
    assert!(set_thread_res_uid(None, Uid::ROOT, None).is_err());
    assert!(fs::read("/etc/shadow").is_err());
    // Asking again changes nothing, because the process is there already, and is refused, because it cannot know.
    assert!(capabilities::drop_to(NOBODY, NOBODY, &[], &[]).is_err());
}

fn a_dropped_process_keeps_what_it_asked() {
    capabilities::drop_to(NOBODY, NOBODY, &[], &[Capability::NetBindService]).unwrap();
    assert_eq!((geteuid().as_raw(), getegid().as_raw()), (NOBODY, NOBODY));
    assert_eq!(capabilities::current().unwrap().to_string(), "cap_net_bind_service");
    assert!(set_thread_res_uid(None, Uid::ROOT, None).is_err());
}

fn the_sandbox_holds() {
    let dir = tempfile::tempdir().unwrap();
    let said = succeed(child("stay_in_the_sandbox").env("DIR", dir.path())).unwrap();
    eprint!("{said}");
}

fn stay_in_the_sandbox() {
    let dir = PathBuf::from(env::var_os("DIR").unwrap());
    let (home, public, outside) = (dir.join("home"), dir.join("public"), dir.join("outside"));
    for path in [&home, &public, &outside] {
        fs::create_dir(path).unwrap();
        fs::write(path.join("file"), "text").unwrap();
    }
    let log = dir.join("log");
    fs::write(&log, "").unwrap();
    let rules = Rules::new().read_write(&home).read_only(&public).read_write(&log);
    if restrict(&rules).unwrap() == Enforcement::Off {
        return println!("skipped: the_sandbox_holds: the kernel has no Landlock");
    }

    let denied = |result: std::io::Result<()>| assert_eq!(result.unwrap_err().kind(), PermissionDenied);
    denied(fs::read(outside.join("file")).map(drop));
    denied(fs::read_dir(&outside).map(drop));
    denied(fs::read("/etc/passwd").map(drop));
    denied(fs::write(public.join("file"), "new"));
    denied(fs::create_dir(public.join("new")));
    denied(Command::new("/bin/true").status().map(drop));

    assert_eq!(fs::read(public.join("file")).unwrap(), b"text");
    fs::write(&log, "one line").unwrap();
    fs::write(home.join("file"), "new").unwrap();
    fs::create_dir(home.join("sub")).unwrap();
    fs::rename(home.join("file"), home.join("sub/file")).unwrap();
    fs::remove_file(home.join("sub/file")).unwrap();
    fs::remove_dir(home.join("sub")).unwrap();

    fs::write(home.join("file"), "new").unwrap();
    let error = fs::rename(home.join("file"), public.join("moved")).unwrap_err();
    assert!(matches!(error.kind(), PermissionDenied | CrossesDevices), "{error}");
}

fn the_sandbox_leaves_the_system_usable() {
    let enforced = restrict(&Rules::new().system_read_only()).unwrap();
    assert!(!enforced.to_string().is_empty());
    assert_eq!(wharf_sys::users::account_by_uid(0).unwrap().unwrap().name, "root");
    assert!(Command::new("true").status().unwrap().success());
    fs::write("/dev/null", "nothing").unwrap();
    std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    if enforced != Enforcement::Off {
        assert!(fs::read_dir("/").is_err());
        assert!(fs::write("/etc/wharf-must-not-exist", "").is_err());
    }
}
