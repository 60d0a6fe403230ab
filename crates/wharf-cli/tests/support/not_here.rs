//! What is left of a test binary on a system that it cannot run on: one row that says so.

use libtest_mimic::{Arguments, Completion, Trial};

/// Reports `name` as ignored.
pub(crate) fn report(name: &str) {
    let ignored = || Ok(Completion::ignored_with("these tests look at the program by means of Linux"));
    libtest_mimic::run(&Arguments::from_args(), vec![Trial::ignorable_test(name, ignored)]).exit();
}
