//! Events of `tracing` and counters of `metrics`; nothing without these features.
//!
//! A subscriber or recorder is foreign code: no function of this file may be called with a lock held.

use std::{error::Error, task::Poll, time::Duration};

use crate::error::Denied;

/// The kind of a limit.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Rate,
    Key,
    Concurrency,
    Distributed,
}

impl Kind {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Key => "key",
            Self::Concurrency => "concurrency",
            Self::Distributed => "distributed",
        }
    }
}

/// Reports a request that has entered a limiter, and was not granted at once.
#[inline]
pub(crate) fn entered<T>(kind: Kind, poll: &Poll<Result<T, Denied>>) {
    match poll {
        Poll::Pending => waits(kind),
        Poll::Ready(Ok(_)) => {}
        Poll::Ready(Err(denied)) => refused(kind, denied),
    }
}

/// Reports a request that waits.
#[inline]
pub(crate) fn waits(_kind: Kind) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", kind = _kind.name(), "waits");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_waits_total", "kind" => _kind.name()).increment(1);
}

/// Reports a request that is denied.
#[inline]
pub(crate) fn refused(_kind: Kind, _denied: &Denied) {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    refused_as(_kind, _denied.reason.name(), _denied.retry_after);
}

/// Reports a request that is denied since the store of its limit does not answer, or refuses.
#[inline]
pub(crate) fn store_refused(_reason: &'static str, _retry_after: Duration) {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    refused_as(Kind::Distributed, _reason, Some(_retry_after));
}

#[cfg(any(feature = "metrics", feature = "tracing"))]
fn refused_as(kind: Kind, reason: &'static str, _retry_after: Option<Duration>) {
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: "evenkeel::limit",
        kind = kind.name(),
        reason,
        retry_after = ?_retry_after,
        "refused"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_refused_total", "kind" => kind.name(), "reason" => reason).increment(1);
}

/// Reports a pause that the other side asked for.
#[inline]
pub(crate) fn paused(_pause: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", pause = ?_pause, "paused");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_pauses_total").increment(1);
}

/// Reports a pause that was lifted.
#[inline]
pub(crate) fn resumed() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", "resumed");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_resumes_total").increment(1);
}

/// Reports a call of a store that brought permits.
#[inline]
pub(crate) fn leased(_key: &str, _permits: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", key = _key, permits = _permits, "leased");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_leased_permits_total").increment(_permits.into());
}

/// Reports a call of a store that failed.
#[cold]
pub(crate) fn store_failed(_key: &str, _cause: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", key = _key, cause = _cause, "store failed");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_store_failures_total").increment(1);
}

/// Reports a store that does not answer any more.
#[cold]
pub(crate) fn outage_began(_key: &str, _cause: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "evenkeel::limit", key = _key, cause = _cause, "outage began");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_outages_began_total").increment(1);
}

/// Reports a store that answers again.
#[cold]
pub(crate) fn outage_ended(_key: &str, _lasted: Duration) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "evenkeel::limit", key = _key, lasted = ?_lasted, "outage ended");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_outages_ended_total").increment(1);
}
