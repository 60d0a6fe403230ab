//! Refusals that take the same time, whatever was found out on the way to them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::password::in_turn;
use super::{AuthError, User};

/// Refusals are answered at whole multiples of this.
const STEP: Duration = Duration::from_millis(250);

/// The longest that a refusal is held back, in steps.
const MOST_STEPS: u32 = 8;

/// The pace of one authorizer. What the system's own checks cost is unknown (a name that does not exist may be refused at
/// once, a wrong password after a hash or a question to another host), so each refusal takes as long as the slowest yet.
#[derive(Debug, Default)]
pub(super) struct EvenPace {
    steps: AtomicU32,
}

impl EvenPace {
    /// Has a login checked off the worker, a few at a time, and holds its refusal back.
    pub(super) async fn check(
        &self,
        check: impl FnOnce() -> Result<User, AuthError> + Send + 'static,
    ) -> Result<User, AuthError> {
        let since = Instant::now();
        let checked = in_turn(check).await;
        let outcome = checked.unwrap_or_else(|| Err(AuthError::Unavailable("the check failed".into())));
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
}
