//! The first of two futures, and the pauses between calls and attempts that fail.

use std::{future::poll_fn, pin::pin, task::Poll, time::Duration};

use tokio::time::sleep;

use crate::random::Random;

/// The output of the future that was first.
pub(crate) enum First<A, B> {
    A(A),
    B(B),
}

/// Waits for one of two futures; for `a`, if both are ready. The other one is dropped.
pub(crate) async fn race<A: Future, B: Future>(a: A, b: B) -> First<A::Output, B::Output> {
    let (mut a, mut b) = (pin!(a), pin!(b));
    poll_fn(|cx| {
        if let Poll::Ready(output) = a.as_mut().poll(cx) {
            return Poll::Ready(First::A(output));
        }
        b.as_mut().poll(cx).map(First::B)
    })
    .await
}

/// The time for which a call of others may be unanswered before it is told.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a call, and tells each time that it has taken another [`PATIENCE`].
pub(crate) async fn patiently<F: Future>(call: F, mut tell: impl FnMut(Duration)) -> F::Output {
    let mut call = pin!(call);
    let mut waited = Duration::ZERO;
    loop {
        // The timer is made when the call is pending.
        match race(call.as_mut(), async { sleep(PATIENCE).await }).await {
            First::A(output) => return output,
            First::B(()) => {
                waited += PATIENCE;
                tell(waited);
            }
        }
    }
}

/// Returns the pause after `failures` calls in a row that failed: a tenth of a second, twice as much each time, 30 seconds at
/// most, of which a random half is left out, so that processes do not come back together.
pub(crate) fn pause(failures: u32, random: &mut Random) -> Duration {
    let full = Duration::from_millis(100 << failures.saturating_sub(1).min(9)).min(Duration::from_secs(30));
    full / 2 + random.up_to(full / 2)
}

/// A second, twice as much after each failure, five minutes at most.
pub(crate) fn default_backoff(attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(9);
    Duration::from_secs(1 << doublings).min(Duration::from_secs(300))
}
