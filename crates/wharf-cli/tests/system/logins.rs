//! Who gets in.

use std::fs;

use crate::accounts::{PASSWORD, PamService, User, log_in, refuse};
use crate::case::Case;
use crate::client::Client;
use crate::row::Verdict;
use crate::server::Server;

pub(crate) const CASES: &[Case] = &[
    Case::new("PAM knows the password", pam_knows_the_password),
    Case::new("locked, expired and shell-less accounts stay out", unfit_accounts_stay_out),
    Case::new("while nologin is there, nobody gets in", nologin),
    Case::new("passwords of the shadow database", shadow),
    Case::new("an override changes what it names", overrides),
    Case::new("an overriding password leaves the account in force", overriding_passwords),
    Case::new("lists decide", lists),
    Case::new("root gets in only by name", root_by_name),
    Case::new("anonymous works as its account", anonymous),
    Case::new("an override of anonymous changes what it names", anonymous_override),
    Case::new("a missing home is a refused login, and a line", missing_home),
];

fn pam_knows_the_password() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_system_users(&service, "");
    user.log_in(&server).ask("PWD", "257 \"/\"*");
    for (name, password) in [(&*user.name, "wrong"), (&*user.name, "nul\0"), ("no-such-user", PASSWORD)] {
        refuse(&server, name, password);
    }
    refuse(&server, &user.name.to_uppercase(), PASSWORD);
    Verdict::Passed
}

fn unfit_accounts_stay_out() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let server = Server::for_system_users(&service, "");
    let refused = || refuse(&server, &user.name, PASSWORD);

    user.tool("usermod", &["--lock"]);
    refused();
    user.tool("usermod", &["--unlock"]);
    user.tool("chage", &["--expiredate", "1"]);
    refused();
    server.says("account check: User account has expired");
    user.tool("chage", &["--expiredate", "-1", "--lastday", "0"]);
    refused();
    server.says("account check: Authentication token is no longer valid");
    user.tool("chage", &["--lastday", "20000"]);
    user.tool("usermod", &["--shell", "/usr/sbin/nologin"]);
    refused();
    server.says("the login shell is not valid (require_valid_shell)");
    drop(user.log_in(&Server::for_system_users(&service, "require_valid_shell = false")));
    Verdict::Passed
}

fn nologin() -> Verdict {
    let user = User::new();
    let sign = user.home().with_file_name("nologin");
    let service = PamService::with(|rules| {
        rules.replace("pam_nologin.so", &format!("pam_nologin.so file={}", sign.display()))
    });
    let server = Server::for_system_users(&service, "");
    drop(user.log_in(&server));
    fs::write(&sign, "closed for today\n").expect("a file");
    refuse(&server, &user.name, PASSWORD);
    Verdict::Passed
}

fn shadow() -> Verdict {
    let (service, user) = (PamService::with(|_| "auth required pam_deny.so\n".into()), User::new());
    let server = Server::for_system_users(&service, "passwords = \"shadow\"");
    drop(user.log_in(&server));
    refuse(&server, &user.name, "wrong");
    user.tool("usermod", &["--lock"]);
    refuse(&server, &user.name, PASSWORD);
    user.tool("usermod", &["--unlock"]);
    user.tool("chage", &["--expiredate", "1"]);
    refuse(&server, &user.name, PASSWORD);
    server.says("the account has expired");
    user.tool("chage", &["--expiredate", "-1", "--lastday", "0"]);
    refuse(&server, &user.name, PASSWORD);
    server.says("the password has expired");
    Verdict::Passed
}

fn overrides() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    let elsewhere = user.home().with_file_name("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    user.own(&elsewhere, 0o700);
    let server = Server::for_system_users(
        &service,
        &format!(
            "permissions = \"elradfmw\"\n[[users]]\nname = {:?}\npassword = \"foo\"\nhome = {elsewhere:?}\npermissions = \"elr\"\n\
             login_message = \"Hello.\"\nquit_message = \"Bye.\"\nmax_sessions = 1",
            user.name
        ),
    );
    refuse(&server, &user.name, PASSWORD);
    let mut client = Client::connect(&server);
    client.ask(format!("USER {}", user.name), "331*");
    client.ask("PASS foo", "230 Hello.");
    client.ask("MKD new", "550*");
    let mut second = Client::connect(&server);
    second.ask(format!("USER {}", user.name), "331*");
    second.ask("PASS foo", "530*");
    client.ask("QUIT", "221 Bye.");

    let mut client = other.log_in(&server);
    client.ask("MKD new", "257*");
    client.ask("SITE CHMOD 700 new", "550*");
    assert!(other.home().join("new").is_dir());
    Verdict::Passed
}

fn overriding_passwords() -> Verdict {
    for passwords in ["pam", "shadow"] {
        let (service, user) = (PamService::shipped(), User::new());
        let overriding =
            format!("passwords = {passwords:?}\n[[users]]\nname = {:?}\npassword = \"foo\"", user.name);
        let server = Server::for_system_users(&service, &overriding);
        user.tool("usermod", &["--lock"]);
        drop(log_in(&server, &user.name, "foo"));
        user.tool("chage", &["--lastday", "0"]);
        drop(log_in(&server, &user.name, "foo"));
        user.tool("chage", &["--expiredate", "1"]);
        refuse(&server, &user.name, "foo");
        server.says("expired");
    }
    Verdict::Passed
}

fn lists() -> Verdict {
    let (service, user, other) = (PamService::shipped(), User::new(), User::new());
    let allowing = Server::for_users(&service, &[&user], "");
    drop(user.log_in(&allowing));
    refuse(&allowing, &other.name, PASSWORD);
    allowing.says("is not among allowed_users");
    let rejecting = Server::for_system_users(&service, &format!("rejected_users = [{:?}]", user.name));
    drop(other.log_in(&rejecting));
    refuse(&rejecting, &user.name, PASSWORD);
    rejecting.says("is among rejected_users");
    Verdict::Passed
}

fn root_by_name() -> Verdict {
    let service = PamService::shipped();
    let server = Server::for_system_users(&service, "");
    refuse(&server, "root", PASSWORD);
    server.says("allowed_users does not name such a user");
    let named = "require_valid_shell = false\nallowed_users = [\"root\"]\n[[users]]\nname = \"root\"\npassword = \"foo\"\nhome = \"/tmp\"";
    log_in(&Server::for_system_users(&service, named), "root", "foo").ask("PWD", "257*");
    Verdict::Passed
}

fn anonymous() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    user.keep("public", "for all");
    let server = Server::for_system_users(&service, &format!("anonymous_user = {:?}", user.name));
    let mut client = log_in(&server, "anonymous", "me@example.org");
    assert_eq!(client.download("RETR public"), b"for all");
    client.ask("DELE public", "550*");

    let server = Server::for_system_users(&service, "");
    let mut client = Client::connect(&server);
    client.ask("USER anonymous", "331*");
    client.ask("PASS x", "530 Anonymous access not allowed.");
    Verdict::Passed
}

fn anonymous_override() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    let elsewhere = user.home().with_file_name("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    user.own(&elsewhere, 0o700);
    let overriding = format!(
        "anonymous_user = {:?}\n[[users]]\nname = \"anonymous\"\nhome = {elsewhere:?}\npermissions = \"elm\"",
        user.name
    );
    let server = Server::for_users(&service, &[&user], &overriding);
    let mut client = log_in(&server, "anonymous", "me@example.org");
    client.ask("MKD new", "257*");
    client.ask("STOR file", "550*");
    assert!(elsewhere.join("new").is_dir());
    server.says("users.permissions of \"anonymous\": \"elm\": everybody who can connect may change files");
    server.says(&format!("everybody who can connect may read and write in {}", elsewhere.display()));
    Verdict::Passed
}

fn missing_home() -> Verdict {
    let (service, user) = (PamService::shipped(), User::new());
    for filesystem in ["home", "unix"] {
        let server = Server::for_system_users(&service, &format!("filesystem = {filesystem:?}"));
        let away = user.home().with_file_name("away");
        fs::rename(user.home(), &away).expect("a home");
        refuse(&server, &user.name, PASSWORD);
        server.says(&format!("the home {}: No such file or directory", user.home().display()));
        fs::rename(away, user.home()).expect("a home");
        drop(user.log_in(&server));
    }
    Verdict::Passed
}
