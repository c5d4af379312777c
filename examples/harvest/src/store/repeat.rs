//! Attempts at the store: how often, after which waits, and why they ended.

use std::{fmt, time::Duration};

use evenkeel::retry::{Backoff, GaveUp, Jitter, Policy};

use crate::{error::Fatal, stats::Stats};

/// The retry policy of an entry, for conflicts with other programs, lost connections, and the seconds of a failover: 19 waits,
/// each at least half of its longest time, are 7.775 s at least.
pub(super) static POLICY: Policy = Policy::new(WAITS.jitter(Jitter::Equal))
    .named("store")
    .max_attempts(20)
    .attempt_timeout(Duration::from_secs(10))
    .total_timeout(Duration::from_secs(30));

const WAITS: Backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_secs(1));

/// The error of an attempt to store an entry.
#[derive(Clone, Debug)]
pub(crate) struct StoreError {
    pub(super) reason: String,
    /// Whether another attempt may succeed.
    pub(crate) is_transient: bool,
}

impl StoreError {
    pub(super) fn permanent(reason: String) -> Self {
        Self { reason, is_transient: false }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for StoreError {}

impl From<StoreError> for Fatal {
    fn from(error: StoreError) -> Self {
        Self::Broken(error.reason)
    }
}

/// Repeats an operation by the policy, and says why it gave up.
pub(super) async fn repeat<T, F: Future<Output = Result<T, StoreError>>>(
    stats: &Stats,
    operation: impl FnMut() -> F,
) -> Result<T, StoreError> {
    // If time runs out during an attempt, the failure before it is the reason.
    let mut earlier = None;
    let done = POLICY.run(operation).when(|error| error.is_transient).observe(|retry| {
        earlier = retry.error.map(StoreError::to_string).or(earlier.take());
        stats.with(|counts| counts.store_retries += 1);
    });
    done.await.map_err(|gave_up| {
        let last = match (gave_up.last, earlier) {
            (Some(last), _) => last.reason,
            (None, Some(earlier)) => format!("{earlier}, and then it took too long"),
            (None, None) => "it took too long".into(),
        };
        match gave_up.reason {
            GaveUp::Permanent => StoreError::permanent(last),
            _ => {
                StoreError { reason: format!("{last}, at attempt {}", gave_up.attempts), is_transient: true }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicU32, Ordering::Relaxed},
    };

    use tokio::time::Instant;

    use super::*;

    async fn reason_after(failures: u32) -> String {
        let stats = Stats::default();
        let attempts = AtomicU32::new(0);
        let gave_up = repeat(&stats, async || {
            if attempts.fetch_add(1, Relaxed) == failures {
                return pending().await;
            }
            Err::<(), _>(StoreError { reason: "busy".into(), is_transient: true })
        });
        let error = gave_up.await.unwrap_err();
        assert!(error.is_transient);
        error.to_string()
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_outlives_an_attempt_that_takes_too_long() {
        assert_eq!(reason_after(20).await, "busy, at attempt 20");
        assert_eq!(reason_after(19).await, "busy, and then it took too long, at attempt 20");
    }

    /// Half of 50, 100, 200, 400, 800 and fourteen times 1000 ms: no draw of the jitter is below.
    #[tokio::test(start_paused = true)]
    async fn an_outage_as_long_as_the_shortest_waits_ends_nothing() {
        for _ in 0..100 {
            let (stats, start) = (Stats::default(), Instant::now());
            let done = repeat(&stats, async || match start.elapsed() < Duration::from_millis(7775) {
                true => Err(StoreError { reason: "read-only".into(), is_transient: true }),
                false => Ok(()),
            });
            done.await.unwrap();
        }
    }
}
