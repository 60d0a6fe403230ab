use super::*;

/// `ann` and `bob` may log in, `bin` has no shell, `root` all rights, and `ghost` no home.
struct Fake;

impl Accounts for Fake {
    fn find(&self, name: &str) -> io::Result<Option<Found>> {
        let known = ["ann", "bob", "bin", "root", "ghost"].contains(&name.to_lowercase().as_str());
        Ok(known.then(|| Found {
            key: name.to_lowercase(),
            home: Some(if name == "ghost" { "/no/such/home".into() } else { std::env::temp_dir() }),
            shell: if name == "bin" { Shell::Invalid } else { Shell::Valid },
            power: if name == "root" { Power::Superuser } else { Power::Ordinary },
        }))
    }
}

fn options() -> Options {
    Options::default()
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn anonymous(name: &str) -> Options {
    Options { anonymous_user: Some(name.into()), ..options() }
}

fn overriding(one: UserOverride) -> Options {
    Options { overrides: vec![one], ..options() }
}

#[test]
fn wrong_combinations_are_named() {
    let read_only = |name: &str| UserOverride::new(name).permissions(Letters::READ_ONLY);
    let both = Options { allowed_users: names(&["ann"]), rejected_users: names(&["bob"]), ..options() };
    let without_bob = Options { rejected_users: names(&["bob"]), ..options() };
    let only_ann = || Options { allowed_users: names(&["ann"]), ..options() };
    let table: Vec<(Options, &str)> = vec![
        (anonymous("nobody"), "no such user \"nobody\""),
        (anonymous("root"), "\"root\" is not an allowed user"),
        (anonymous("ghost"), "no valid home set for user \"ghost\""),
        (Options { anonymous_user: Some("bob".into()), ..without_bob }, "\"bob\" is not an allowed user"),
        (both, "rejected_users and allowed_users options are mutually exclusive"),
        (Options { rejected_users: names(&["anonymous"]), ..options() }, "invalid username \"anonymous\""),
        (Options { allowed_users: names(&["ann", "eve"]), ..options() }, "unknown user \"eve\""),
        (Options { rejected_users: names(&["eve"]), ..options() }, "unknown user \"eve\""),
        (Options { allowed_users: names(&["bin"]), ..options() }, "user \"bin\" has not a valid shell"),
        (overriding(read_only("bin")), "user \"bin\" has not a valid shell"),
        (overriding(read_only("eve")), "no such user \"eve\""),
        (overriding(read_only("root")), "\"root\" is not an allowed user"),
        (overriding(read_only("anonymous")), "no such user \"anonymous\""),
        (overriding(UserOverride::new("ann")), "the override of \"ann\" must change something"),
        (
            overriding(UserOverride::new("ann").password([b'x'; 512])),
            "the password of \"ann\" is longer than 511 bytes",
        ),
        (overriding(UserOverride::new("ann").home("/no/such")), "no such directory: \"/no/such\""),
        (Options { overrides: vec![read_only("bob")], ..only_ann() }, "\"bob\" is not an allowed user"),
        (
            Options { overrides: vec![UserOverride::new("anonymous").password("x")], ..anonymous("ann") },
            "can't assign password to anonymous user",
        ),
    ];
    for (options, expected) in table {
        assert_eq!(options.settle(&Fake).err().map(|error| error.to_string()).as_deref(), Some(expected));
    }
}

#[test]
fn the_lists_decide_whatever_the_spelling() {
    let admitted = |options: Options| {
        let policy = options.settle(&Fake).unwrap();
        let admits = |name: &&str| policy.admit(&Fake.find(name).unwrap().unwrap()).is_ok();
        ["ann", "BOB", "root"].into_iter().filter(admits).collect::<Vec<_>>()
    };
    assert_eq!(admitted(options()), ["ann", "BOB"]);
    assert_eq!(admitted(Options { rejected_users: names(&["bob"]), ..options() }), ["ann"]);
    assert_eq!(admitted(Options { allowed_users: names(&["bob", "root"]), ..options() }), ["BOB", "root"]);
}

#[test]
fn what_an_override_leaves_out_is_as_for_all() {
    let ann = UserOverride::new("ann").permissions(Letters::READ_ONLY).quit_message("Bye, Ann.");
    let policy = Options {
        login_message: Some("Welcome.".into()),
        anonymous_user: Some("bob".into()),
        overrides: vec![UserOverride::new("ann").password("replaced"), ann],
        ..options()
    };
    let policy = policy.settle(&Fake).unwrap();
    let user = |name: &str| policy.user(name, name, "/home".into(), Identity::process());
    let (ann, bob, anonymous) = (user("ann"), user("bob"), user("anonymous"));
    assert_eq!([&*ann.login_message, &*ann.quit_message], ["Welcome.", "Bye, Ann."]);
    assert_eq!([&*bob.login_message, &*bob.quit_message], ["Welcome.", "Goodbye."]);
    let letters = [&ann, &bob, &anonymous].map(|user| user.permissions.base());
    assert_eq!(letters, [Letters::READ_ONLY, Letters::ALL, Letters::READ_ONLY]);
    assert!(
        policy.overridden("ann").unwrap().password.is_none(),
        "the later override replaces the earlier one whole"
    );
}
