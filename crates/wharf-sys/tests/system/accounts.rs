//! Accounts made for the purpose, checked through PAM and through the shadow database.

use std::env;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use wharf_sys::capabilities::{self, Capability};
use wharf_sys::pam::{PamError, PamErrorKind, Service};
use wharf_sys::sandbox::{Rules, restrict};
use wharf_sys::users::{self, Standing, crypt};

use crate::rows::{Needs, Place, Row, child, succeed};
use crate::temporary::{PASSWORD, PamService, User};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = &[
    Row { name: "pam_accepts_the_right_password_only",      needs: Needs::Root, place: Place::Thread,  run: pam_accepts_the_right_password_only },
    Row { name: "pam_tells_why_an_account_may_not_log_in",  needs: Needs::Root, place: Place::Thread,  run: pam_tells_why_an_account_may_not_log_in },
    Row { name: "pam_failures_do_not_block_the_thread",     needs: Needs::Root, place: Place::Thread,  run: pam_failures_do_not_block_the_thread },
    Row { name: "pam_needs_its_modules",                    needs: Needs::Root, place: Place::Thread,  run: pam_needs_its_modules },
    Row { name: "pam_works_in_a_confined_process",          needs: Needs::Root, place: Place::Thread,  run: pam_works_in_a_confined_process },
    Row { name: "log_in_confined",             needs: Needs::Root, place: Place::Helper,  run: log_in_confined },
    Row { name: "shadow_hashes_are_read_and_verified",      needs: Needs::Root, place: Place::Thread,  run: shadow_hashes_are_read_and_verified },
    Row { name: "shadow_dates_are_read",                    needs: Needs::Root, place: Place::Thread,  run: shadow_dates_are_read },
    Row { name: "accounts_have_groups_and_shells",          needs: Needs::Root, place: Place::Thread,  run: accounts_have_groups_and_shells },
];

const RULES: &str = "auth required pam_unix.so nodelay\naccount required pam_unix.so\n";
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn log_in(service: &PamService, user: &str, password: &str) -> Result<(), PamError> {
    Service::new(&service.name).authenticate(user, password.as_bytes(), PEER)
}

fn pam_accepts_the_right_password_only() {
    let (service, user) = (PamService::new(RULES), User::new());
    log_in(&service, &user.name, PASSWORD).unwrap();
    for (name, password) in
        [(&*user.name, "wrong"), (&*user.name, ""), ("no-such-user", PASSWORD), ("", ""), ("root", "")]
    {
        assert_eq!(
            log_in(&service, name, password).unwrap_err().kind(),
            PamErrorKind::Denied,
            "{name} {password}"
        );
    }
}

fn pam_tells_why_an_account_may_not_log_in() {
    let (service, user) = (PamService::new(RULES), User::new());
    let kind = || log_in(&service, &user.name, PASSWORD).map_err(|error| error.kind());

    user.tool("usermod", &["--lock"]);
    assert_eq!(kind(), Err(PamErrorKind::Denied));
    user.tool("usermod", &["--unlock"]);
    assert_eq!(kind(), Ok(()));
    user.tool("chage", &["--expiredate", "1"]);
    assert_eq!(kind(), Err(PamErrorKind::AccountExpired));
    user.tool("chage", &["--expiredate", "-1", "--lastday", "0"]);
    assert_eq!(kind(), Err(PamErrorKind::PasswordExpired));
    user.tool("chage", &["--lastday", "10000", "--maxdays", "5"]);
    assert_eq!(kind(), Err(PamErrorKind::PasswordExpired));

    // Whoever was believed for another reason than the system's password is still asked about.
    let account = Service::new(&service.name);
    let standing = || account.check_account(&user.name, PEER).map_err(|error| error.kind());
    assert_eq!(standing(), Err(PamErrorKind::PasswordExpired));
    user.tool("chage", &["--expiredate", "1", "--maxdays", "-1"]);
    assert_eq!(standing(), Err(PamErrorKind::AccountExpired));
    user.tool("chage", &["--expiredate", "-1"]);
    assert_eq!(standing(), Ok(()));

    let nobody = PamService::new("auth required pam_unix.so nodelay\naccount required pam_deny.so\n");
    assert_eq!(log_in(&nobody, &user.name, PASSWORD).unwrap_err().kind(), PamErrorKind::AccountDenied);
}

/// Without its option `nodelay`, `pam_unix` asks for a delay of two seconds, of which PAM makes one to three.
fn pam_failures_do_not_block_the_thread() {
    let (service, user) =
        (PamService::new("auth required pam_unix.so\naccount required pam_unix.so\n"), User::new());
    let refused_at_once = |_| {
        let started = Instant::now();
        assert_eq!(log_in(&service, &user.name, "wrong").unwrap_err().kind(), PamErrorKind::Denied);
        started.elapsed() < Duration::from_secs(1)
    };
    // On a busy machine the check itself may take that long, but not each time.
    assert!((0..20).any(refused_at_once));
}

fn pam_needs_its_modules() {
    let (service, user) = (PamService::new("auth required no_such_module.so\n"), User::new());
    let error = log_in(&service, &user.name, PASSWORD).unwrap_err();
    assert_eq!(error.kind(), PamErrorKind::Unavailable, "{error}");
}

fn pam_works_in_a_confined_process() {
    let (service, user) = (PamService::new(RULES), User::new());
    let mut helper = child("log_in_confined");
    succeed(helper.env("SERVICE", &service.name).env("USER", &user.name)).unwrap();
}

fn log_in_confined() {
    let (service, user) = (env::var("SERVICE").unwrap(), env::var("USER").unwrap());
    let kept = [Capability::AuditWrite, Capability::SetGid, Capability::SetUid];
    capabilities::keep(&kept).unwrap();
    restrict(&Rules::new().system_read_only()).unwrap();
    let service = Service::new(service);
    service.authenticate(&user, PASSWORD.as_bytes(), PEER).unwrap();
    let error = service.authenticate(&user, b"wrong", PEER).unwrap_err();
    assert_eq!(error.kind(), PamErrorKind::Denied, "{error}");
}

fn shadow_hashes_are_read_and_verified() {
    let user = User::new();
    let entry = users::shadow_entry(&user.name).unwrap().unwrap();
    assert!(entry.hash.starts_with("$y$"), "this system does not use yescrypt");
    assert_eq!(crypt::verify(PASSWORD.as_bytes(), &entry.hash), Some(true));
    assert_eq!(crypt::verify(b"wrong", &entry.hash), Some(false));
    assert!(users::shadow_entry("no-such-user").unwrap().is_none());
}

fn shadow_dates_are_read() {
    let user = User::new();
    let standing = || users::shadow_entry(&user.name).unwrap().unwrap().standing(users::today());

    assert_eq!(standing(), Standing::Usable);
    user.tool("usermod", &["--lock"]);
    assert_eq!(standing(), Standing::Locked);
    user.tool("usermod", &["--unlock"]);
    user.tool("chage", &["--expiredate", "1"]);
    assert_eq!(standing(), Standing::AccountExpired);
    user.tool("chage", &["--expiredate", "-1", "--lastday", "10000", "--maxdays", "5"]);
    assert_eq!(standing(), Standing::PasswordExpired);
}

fn accounts_have_groups_and_shells() {
    let user = User::new();
    let account = users::account_by_name(&user.name).unwrap().unwrap();
    assert_eq!(users::account_by_uid(account.uid).unwrap().as_ref(), Some(&account));

    let groups = users::supplementary_groups(&account.name, account.gid).unwrap();
    let names: Vec<_> = groups.iter().map(|gid| users::group_name(*gid).unwrap().unwrap()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(names.contains(&account.name) && names.contains(&"users".into()), "{names:?}");

    let shells = users::valid_shells().unwrap();
    assert!(shells.is_valid(&account.shell));
    user.tool("usermod", &["--shell", "/usr/sbin/nologin"]);
    let account = users::account_by_name(&user.name).unwrap().unwrap();
    assert!(!shells.is_valid(&account.shell));
}
