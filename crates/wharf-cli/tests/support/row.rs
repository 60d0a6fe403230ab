//! One row of a test table: a name, a check, and what is known about its failing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use libtest_mimic::{Completion, Failed, Trial};

use crate::transcript;

/// How a check ended that did not panic.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Everything was as it should be.
    Passed,
    /// The check cannot run here; the text says why.
    Skipped(String),
}

/// A named check. It fails by panicking.
pub(crate) struct Row {
    /// Shown in the summary, unique in its binary.
    pub(crate) name: String,
    /// Why the check is expected to fail, if it is.
    pub(crate) gap: Option<String>,
    /// The check itself.
    pub(crate) check: Box<dyn FnOnce() -> Verdict + Send>,
}

impl Row {
    /// Turns the row into something the test runner understands.
    pub(crate) fn into_trial(self) -> Trial {
        let Self { name, gap, check } = self;
        Trial::ignorable_test(name, move || {
            transcript::take();
            let verdict = catch_unwind(AssertUnwindSafe(check));
            judge(gap, verdict.map_err(|_| transcript::take()))
        })
    }
}

/// A gap that is no longer one is a failure: its mark would hide the next regression.
fn judge(gap: Option<String>, verdict: Result<Verdict, String>) -> Result<Completion, Failed> {
    match (verdict, gap) {
        (Ok(Verdict::Skipped(reason)), _) => Ok(Completion::ignored_with(reason)),
        (Ok(Verdict::Passed), None) => Ok(Completion::Completed),
        (Ok(Verdict::Passed), Some(gap)) => Err(format!("passes although marked as a gap: {gap}").into()),
        (Err(_), Some(gap)) => Ok(Completion::ignored_with(format!("known gap: {gap}"))),
        (Err(transcript), None) => Err(transcript.into()),
    }
}
