//! Events for `tracing` and counters for `metrics`; empty functions without these features.

use std::time::Duration;

use crate::GaveUp;

#[cold]
pub(crate) fn retry(_attempt: u32, _delay: Duration) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::retry", attempt = _attempt, delay = ?_delay, "retry");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_retry_retries_total").increment(1);
}

#[cold]
pub(crate) fn gave_up(_reason: GaveUp, _attempts: u32) {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::retry", attempts = _attempts, reason = _reason.name(), "gave up");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_retry_gave_up_total", "reason" => _reason.name()).increment(1);
}

pub(crate) fn hedged() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::retry", "hedge");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_retry_hedges_total").increment(1);
}

pub(crate) fn hedge_won() {
    #[cfg(feature = "tracing")]
    tracing::debug!(target: "evenkeel::retry", "hedge won");
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_retry_hedges_won_total").increment(1);
}
