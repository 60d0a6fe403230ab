//! Options that contradict each other or the system end the program before it serves.

use crate::accounts::{PamService, User};
use crate::case::Case;
use crate::row::Verdict;
use crate::server::{refusal, system_users};

pub(crate) const CASES: &[Case] = &[
    Case::new("wrong combinations are named", wrong_combinations),
    Case::new("without root there are no system users", without_root),
];

fn wrong_combinations() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    other.tool("usermod", &["--shell", "/usr/sbin/nologin"]);
    let (name, no_shell) = (&user.name, &other.name);
    let overriding = |name: &str, rest: &str| format!("[[users]]\nname = {name:?}\n{rest}");
    for (settings, expected) in [
        (
            format!("allowed_users = [{name:?}]\nrejected_users = [\"root\"]"),
            "rejected_users and allowed_users options are mutually exclusive".to_owned(),
        ),
        ("rejected_users = [\"anonymous\"]".into(), "invalid username \"anonymous\"".into()),
        ("allowed_users = [\"nobody-at-all\"]".into(), "unknown user \"nobody-at-all\"".into()),
        ("anonymous_user = \"nobody-at-all\"".into(), "no such user \"nobody-at-all\"".into()),
        (format!("allowed_users = [{no_shell:?}]"), format!("user {no_shell:?} has not a valid shell")),
        (overriding(no_shell, "permissions = \"elr\""), format!("user {no_shell:?} has not a valid shell")),
        (overriding(name, ""), format!("the override of {name:?} must change something")),
        (overriding(name, "home = \"/no/such\""), "no such directory: \"/no/such\"".into()),
        (overriding("root", "permissions = \"elr\""), "\"root\" is not an allowed user".into()),
        (overriding("nobody-at-all", "password = \"x\""), "no such user \"nobody-at-all\"".into()),
    ] {
        let (code, said) = refusal(&system_users(&service, &settings), |_| ());
        assert_eq!(
            (code, said),
            (Some(2), format!("wharf: auth.kind = \"unix\": {expected}\n")),
            "{settings}"
        );
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
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("wharf: auth.kind = \"unix\": super user privileges are required: "), "{said}");
    Verdict::Passed
}
