//! Refusals that take the same time, whatever was found out on the way to them.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::turns::{ASKING, COMPUTING, Turns};
use super::{AuthError, User};

/// Refusals are answered at whole multiples of this.
const STEP: Duration = Duration::from_millis(250);

/// The longest that a refusal is held back, in steps.
const MOST_STEPS: u32 = 8;

/// The longest that a refusal keeps a turn for nothing that others have few of.
const LONGEST_COMPUTING: Duration = Duration::from_millis(500);

/// The longest that it keeps one of many: as long as it is held back.
const LONGEST_ASKING: Duration = Duration::from_secs(2);

/// The pace of one authorizer. What the system's own checks cost is unknown (a name that does not exist may be refused at
/// once, a wrong password after a hash or a question to another host), so each refusal takes as long as the slowest yet.
#[derive(Debug, Default)]
pub(super) struct EvenPace {
    steps: AtomicU32,
    usual: Arc<Usual>,
}

/// How long the turn of a login lasts whose password was asked about and refused. Others that are refused keep theirs as
/// long: who waits for a turn beside them learns nothing either.
#[derive(Debug, Default)]
struct Usual {
    work: Work,
    microseconds: AtomicU32,
}

/// What a check does most of its time, and so which turns it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Work {
    /// It computes a hash.
    #[default]
    Computing,
    /// It waits for what the system answers.
    #[cfg_attr(
        not(any(target_os = "linux", windows)),
        allow(dead_code, reason = "there are no system users")
    )]
    Asking,
}

/// What came of a login.
pub(super) enum Checked {
    /// Its password was asked about: what that took is a measure for the others.
    Asked(Result<User, AuthError>),
    /// There was no need to ask.
    NotAsked(Result<User, AuthError>),
}

impl EvenPace {
    pub(super) fn of(work: Work) -> Self {
        Self { steps: AtomicU32::default(), usual: Arc::new(Usual { work, ..Usual::default() }) }
    }

    /// The same, as if a check had taken so long already.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is nothing to try beforehand"))]
    pub(super) fn beginning_with(self, elapsed: Duration) -> Self {
        self.usual.note(elapsed);
        self
    }

    /// How long a refusal keeps its turn now.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn usual(&self) -> Duration {
        self.usual.duration()
    }

    /// Has a login of somebody at `peer` checked off the worker, a few at a time, and holds its refusal back.
    pub(super) async fn check(
        &self,
        peer: IpAddr,
        check: impl FnOnce() -> Checked + Send + 'static,
    ) -> Result<User, AuthError> {
        let since = Instant::now();
        let outcome = match self.usual.work.turns().take(Some(peer)).await {
            // A task of its own: the turn lasts as long if the client goes.
            Some(turn) => tokio::spawn(within(turn, Arc::clone(&self.usual), check)).await.ok().flatten(),
            None => None,
        };
        let outcome = outcome.unwrap_or_else(|| Err(AuthError::Unavailable("the check failed".into())));
        if outcome.is_err() {
            self.hold_back(since).await;
        }
        outcome
    }

    /// Waits until a refusal of a login that came at `since` tells nothing by its time.
    pub(super) async fn hold_back(&self, since: Instant) {
        let needed = steps(since.elapsed());
        let steps = self.steps.fetch_max(needed, Ordering::Relaxed).max(needed);
        sleep_until(since + STEP * steps).await;
    }
}

/// Carries out `check` and gives up `turn` when it lasted as usual. `None` when the check panicked.
async fn within<T>(
    turn: T,
    usual: Arc<Usual>,
    check: impl FnOnce() -> Checked + Send + 'static,
) -> Option<Result<User, AuthError>> {
    let begun = Instant::now();
    let checked = spawn_blocking(check).await.ok();
    if let Some(Checked::Asked(Err(_))) = &checked {
        usual.note(begun.elapsed());
    }
    let outcome = checked.map(|(Checked::Asked(outcome) | Checked::NotAsked(outcome))| outcome);
    if !matches!(outcome, Some(Ok(_))) {
        sleep_until(begun + usual.duration()).await;
    }
    drop(turn);
    outcome
}

impl Work {
    fn turns(self) -> &'static Turns {
        match self {
            Self::Computing => &COMPUTING,
            Self::Asking => &ASKING,
        }
    }

    fn longest(self) -> Duration {
        match self {
            Self::Computing => LONGEST_COMPUTING,
            Self::Asking => LONGEST_ASKING,
        }
    }
}

impl Usual {
    /// One that took longer counts at once, and is forgotten little by little: a name service may have been slow for a while.
    fn note(&self, elapsed: Duration) {
        let elapsed = u32::try_from(elapsed.min(self.work.longest()).as_micros()).unwrap_or(u32::MAX);
        let usual = self.microseconds.load(Ordering::Relaxed);
        self.microseconds.store(elapsed.max(usual - usual / 16), Ordering::Relaxed);
    }

    fn duration(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed).into())
    }
}

fn steps(elapsed: Duration) -> u32 {
    let whole = elapsed.as_millis() / STEP.as_millis();
    u32::try_from(whole).unwrap_or(MOST_STEPS).saturating_add(1).min(MOST_STEPS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn a_quick_refusal_takes_as_long_as_a_slow_one() {
        let pace = EvenPace::default();
        for (work, expected) in
            [(1, 250), (249, 250), (250, 500), (3, 500), (499, 500), (60_000, 60_000), (1, 2_000)]
        {
            let since = Instant::now();
            sleep(Duration::from_millis(work)).await;
            pace.hold_back(since).await;
            assert_eq!(since.elapsed(), Duration::from_millis(expected), "{work}");
        }
    }

    /// What a flood of unknown names from elsewhere does to a login that the system answers.
    #[tokio::test(start_paused = true)]
    async fn guesses_from_one_address_hold_up_no_login_from_another() {
        let pace = Arc::new(EvenPace::of(Work::Asking));
        pace.usual.note(Duration::from_millis(400));
        let (guesser, other) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let mut guesses = tokio::task::JoinSet::new();
        for _ in 0..160 {
            let pace = Arc::clone(&pace);
            guesses.spawn(async move {
                pace.check(guesser, || Checked::NotAsked(Err(AuthError::Refused))).await.unwrap_err();
            });
        }
        // All that can be checked are, and the others wait.
        guesses.join_next().await.unwrap().unwrap();
        let since = Instant::now();
        pace.check(other, || Checked::Asked(Ok(User::new("user", "/")))).await.unwrap();
        assert_eq!(since.elapsed(), Duration::ZERO);
        assert!(guesses.len() > 100, "they are still at it");
    }

    /// Tells when it was dropped.
    struct Turn(Arc<std::sync::Mutex<Option<Instant>>>);

    impl Drop for Turn {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Instant::now());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_keeps_its_turn_as_long_whoever_was_asked() {
        let usual = Arc::new(Usual::default());
        usual.note(Duration::from_millis(160));
        let user = || User::new("user", "/");
        type Check = Box<dyn FnOnce() -> Checked + Send>;
        let checks: [(Check, u64); 4] = [
            (Box::new(|| Checked::NotAsked(Err(AuthError::Refused))), 160),
            (Box::new(move || Checked::Asked(Ok(user()))), 0),
            (Box::new(|| Checked::Asked(Err(AuthError::Refused))), 150),
            (Box::new(|| Checked::NotAsked(Err(AuthError::Refused))), 150),
        ];
        for (check, expected) in checks {
            let (since, dropped) = (Instant::now(), Arc::default());
            within(Turn(Arc::clone(&dropped)), Arc::clone(&usual), check).await.unwrap().ok();
            let dropped = dropped.lock().unwrap().unwrap();
            assert_eq!(dropped.duration_since(since), Duration::from_millis(expected));
        }
        for (work, longest) in [(Work::Computing, LONGEST_COMPUTING), (Work::Asking, LONGEST_ASKING)] {
            let pace = EvenPace::of(work);
            pace.usual.note(Duration::from_secs(60));
            assert_eq!(pace.usual.duration(), longest);
        }
    }
}
