//! What is told to `tracing` and `metrics`; without these features nothing.

use std::{error::Error, time::Duration};

use crate::error::Denied;

/// What kind of limit it is about.
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

/// A request waits; nothing is locked.
#[inline]
pub(crate) fn waits(_kind: Kind) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", kind = _kind.name(), "waits");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_waits_total", "kind" => _kind.name()).increment(1);
}

/// A request is refused; nothing is locked.
#[inline]
pub(crate) fn refused(_kind: Kind, _denied: &Denied) {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    refused_as(_kind, _denied.reason.name(), _denied.retry_after);
}

/// A request is refused since the store of its limit does not answer or refuses it; nothing is locked.
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

/// The other side asked for a pause; nothing is locked.
#[inline]
pub(crate) fn paused(_pause: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", pause = ?_pause, "paused");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_pauses_total").increment(1);
}

/// A pause was lifted; nothing is locked.
#[inline]
pub(crate) fn resumed() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", "resumed");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_resumes_total").increment(1);
}

/// A call of a store brought permits; nothing is locked.
#[inline]
pub(crate) fn leased(_key: &str, _permits: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", key = _key, permits = _permits, "leased");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_leased_permits_total").increment(_permits.into());
}

/// A call of a store failed; nothing is locked.
#[cold]
pub(crate) fn store_failed(_key: &str, _cause: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", key = _key, cause = _cause, "store failed");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_store_failures_total").increment(1);
}

/// A store does not answer any more; nothing is locked.
#[cold]
pub(crate) fn outage_began(_key: &str, _cause: &(dyn Error + 'static)) {
    #[cfg(feature = "tracing")]
    tracing::warn!(target: "evenkeel::limit", key = _key, cause = _cause, "outage began");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_outages_began_total").increment(1);
}

/// A store answers again; nothing is locked.
#[cold]
pub(crate) fn outage_ended(_key: &str, _lasted: Duration) {
    #[cfg(feature = "tracing")]
    tracing::info!(target: "evenkeel::limit", key = _key, lasted = ?_lasted, "outage ended");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_outages_ended_total").increment(1);
}
