//! What is told to `tracing` and `metrics`; without these features nothing.

use std::time::Duration;

use crate::denied::Denied;

/// What kind of limit it is about.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Rate,
    Key,
    Concurrency,
}

impl Kind {
    #[cfg(any(feature = "metrics", feature = "tracing"))]
    fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Key => "key",
            Self::Concurrency => "concurrency",
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
    #[cfg(feature = "tracing")]
    tracing::debug!(
        target: "evenkeel::limit",
        kind = _kind.name(),
        reason = _denied.reason.name(),
        retry_after = ?_denied.retry_after,
        "refused"
    );
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_refused_total", "kind" => _kind.name(), "reason" => _denied.reason.name())
        .increment(1);
}

/// The other side asked for a pause; nothing is locked.
#[inline]
pub(crate) fn paused(_pause: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::limit", pause = ?_pause, "paused");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_limit_pauses_total").increment(1);
}
