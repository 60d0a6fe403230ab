//! Options that contradict each other or the system end the program before it serves.

use crate::accounts::{PamService, User};
use crate::case::Case;
use crate::row::Verdict;
use crate::server::{refusal, system_users, without_place};

pub(crate) const CASES: &[Case] = &[
    Case::new("wrong combinations are named", wrong_combinations),
    Case::new("without root there are no system users", without_root),
];

fn wrong_combinations() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    other.tool("usermod", &["--shell", "/usr/sbin/nologin"]);
    let (name, no_shell) = (&user.name, &other.name);
    let overriding = |name: &str, rest: &str| format!("[[users]]\nname = {name:?}\n{rest}");
    let shell = |setting: &str| {
        let problem = "has not a valid shell, and auth.unix.require_valid_shell is true";
        format!("{setting}: user {no_shell:?} {problem}")
    };
    for (settings, expected) in [
        (
            format!("allowed_users = [{name:?}]\nrejected_users = [\"root\"]"),
            "auth.unix.allowed_users and auth.unix.rejected_users exclude each other".to_owned(),
        ),
        (
            "rejected_users = [\"anonymous\"]".into(),
            "auth.unix.rejected_users: invalid username \"anonymous\"".into(),
        ),
        (
            "allowed_users = [\"anonymous\"]".into(),
            "auth.unix.allowed_users: invalid username \"anonymous\"".into(),
        ),
        (
            "allowed_users = [\"nobody-at-all\"]".into(),
            "auth.unix.allowed_users: unknown user \"nobody-at-all\"".into(),
        ),
        (
            "rejected_users = [\"nobody-at-all\"]".into(),
            "auth.unix.rejected_users: unknown user \"nobody-at-all\"".into(),
        ),
        (
            "anonymous_user = \"nobody-at-all\"".into(),
            "auth.unix.anonymous_user: no such user \"nobody-at-all\"".into(),
        ),
        (
            "anonymous_user = \"root\"".into(),
            "auth.unix.anonymous_user: \"root\" is not an allowed user".into(),
        ),
        (format!("allowed_users = [{no_shell:?}]"), shell("auth.unix.allowed_users")),
        (overriding(no_shell, "permissions = \"elr\""), shell("users.name")),
        (
            overriding(name, ""),
            format!("users of {name:?}: changes nothing; give another key or leave it out"),
        ),
        (
            overriding(name, "home = \"/no/such\""),
            format!("users.home of {name:?}: no such directory: \"/no/such\""),
        ),
        (overriding("root", "permissions = \"elr\""), "users.name: \"root\" is not an allowed user".into()),
        (
            overriding("nobody-at-all", "password = \"x\""),
            "users.name: no such user \"nobody-at-all\"".into(),
        ),
        (
            overriding("anonymous", "permissions = \"elr\""),
            "users.name: \"anonymous\" needs auth.unix.anonymous_user".into(),
        ),
        (
            format!("anonymous_user = {name:?}\n{}", overriding("anonymous", "password = \"x\"")),
            "users.password of \"anonymous\": can't assign password to anonymous user".into(),
        ),
    ] {
        let (code, said) = refusal(&system_users(&service, &settings), |_| ());
        assert_eq!((code, said), (Some(2), format!("wharf: {expected}\n")), "{settings}");
    }
    let run_as = system_users(&service, "").replace("auth.kind", "run_as = \"nobody\"\nauth.kind");
    let (code, said) = refusal(&run_as, |_| ());
    let expected = "wharf: run_as: is for virtual users; system users need a server that stays root\n";
    assert_eq!((code, &*said), (Some(2), expected));
    Verdict::Passed
}

fn without_root() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let output = user.run(env!("CARGO_BIN_EXE_wharf"), &system_users(&service, ""));
    assert_eq!(output.status.code(), Some(2));
    let said = without_place(&String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("wharf: auth.kind = \"unix\": super user privileges are required: "), "{said}");
    Verdict::Passed
}
