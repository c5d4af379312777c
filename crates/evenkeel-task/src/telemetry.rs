//! Spans, events and counters of tasks, behind the features `tracing` and `metrics`; without them the types are empty.

use std::{panic::Location, time::Duration};

/// Whether the end of each task is reported.
pub(crate) const IS_ON: bool = cfg!(any(feature = "tracing", feature = "metrics"));

/// The span of a spawner, in which the work that it spawned runs.
#[derive(Debug)]
pub(crate) struct Span {
    #[cfg(feature = "tracing")]
    span: tracing::Span,
}

impl Span {
    pub(crate) fn current() -> Self {
        Self {
            #[cfg(feature = "tracing")]
            span: tracing::Span::current(),
        }
    }

    pub(crate) fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        f()
    }
}

/// Returns the work of a task without a group in the span of its spawner.
#[cfg(feature = "tracing")]
pub(crate) fn in_current_span<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    tracing::Instrument::in_current_span(work)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn in_current_span<F: Future>(work: F) -> F {
    work
}

/// Counts a task that was spawned into a group.
pub(crate) fn count_spawned() {
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_task_spawned_total").increment(1);
}

/// Emits the event of the end of a task, and counts it. Subscribers are foreign code: not under a lock.
#[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "for the features alone"))]
pub(crate) fn task_ended(
    name: Option<&str>,
    place: &'static Location<'static>,
    after: impl FnOnce() -> Duration,
    outcome: &'static str,
) {
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_task_ended_total", "outcome" => outcome).increment(1);
    #[cfg(feature = "tracing")]
    {
        let after = after();
        if matches!(outcome, "failed" | "panicked" | "overdue") {
            tracing::warn!(target: "evenkeel_task", name, %place, ?after, outcome, "task ended");
        } else {
            tracing::debug!(target: "evenkeel_task", name, %place, ?after, outcome, "task ended");
        }
    }
}
