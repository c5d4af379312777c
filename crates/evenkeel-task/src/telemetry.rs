//! What the features `tracing` and `metrics` tell of tasks. Without them it is nothing, and takes no room.

use std::borrow::Cow;
use std::panic::Location;
use std::time::Duration;

/// The span in which work was begun; it runs within it.
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

    pub(crate) fn within<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.enter();
        f()
    }
}

/// The work of a task that belongs to no group, in the span of its spawner.
#[cfg(feature = "tracing")]
pub(crate) fn in_current_span<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    tracing::Instrument::in_current_span(work)
}

#[cfg(not(feature = "tracing"))]
pub(crate) fn in_current_span<F: Future>(work: F) -> F {
    work
}

/// A task begins to belong to a group.
pub(crate) fn spawned() {
    #[cfg(feature = "metrics")]
    metrics::counter!("evenkeel_task_spawned_total").increment(1);
}

/// How a task ended, to be told when no lock is held.
#[derive(Debug)]
pub(crate) struct End {
    #[cfg(feature = "tracing")]
    name: Option<Cow<'static, str>>,
    #[cfg(feature = "tracing")]
    place: &'static Location<'static>,
    #[cfg(feature = "tracing")]
    after: Duration,
    #[cfg(any(feature = "tracing", feature = "metrics"))]
    outcome: &'static str,
}

impl End {
    #[cfg_attr(not(feature = "tracing"), expect(unused_variables, reason = "for the features alone"))]
    pub(crate) fn new(
        name: Option<&Cow<'static, str>>,
        place: &'static Location<'static>,
        after: impl FnOnce() -> Duration,
        outcome: &'static str,
    ) -> Self {
        Self {
            #[cfg(feature = "tracing")]
            name: name.cloned(),
            #[cfg(feature = "tracing")]
            place,
            #[cfg(feature = "tracing")]
            after: after(),
            #[cfg(any(feature = "tracing", feature = "metrics"))]
            outcome,
        }
    }

    pub(crate) fn tell(self) {
        #[cfg(feature = "metrics")]
        metrics::counter!("evenkeel_task_ended_total", "outcome" => self.outcome).increment(1);
        #[cfg(feature = "tracing")]
        {
            let Self { name, place, after, outcome, .. } = self;
            let name = name.as_deref();
            if matches!(outcome, "failed" | "panicked" | "overdue") {
                tracing::warn!(target: "evenkeel_task", name, %place, ?after, outcome, "task ended");
            } else {
                tracing::debug!(target: "evenkeel_task", name, %place, ?after, outcome, "task ended");
            }
        }
    }
}
