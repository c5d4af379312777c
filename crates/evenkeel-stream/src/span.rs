//! The span in which items run: the consumer's, behind the feature `tracing`; without it the type is empty.

#[cfg(feature = "tracing")]
use std::sync::Arc;

#[cfg(feature = "tracing")]
use tracing::level_filters::LevelFilter;

/// The span of the task that polls a map. Without one, as without a subscriber, it is a null pointer.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    // Shared, as each item takes one along: the clone of a span is a call of the subscriber.
    #[cfg(feature = "tracing")]
    span: Option<Arc<tracing::Span>>,
}

impl Span {
    #[inline]
    pub(crate) fn current() -> Self {
        Self {
            // One load tells that no span is enabled, where the current one takes a look at the thread's subscriber.
            #[cfg(feature = "tracing")]
            span: if LevelFilter::current() == LevelFilter::OFF { None } else { enabled() },
        }
    }

    #[inline]
    pub(crate) fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
        #[cfg(feature = "tracing")]
        let _entered = self.span.as_ref().map(|span| span.enter());
        f()
    }
}

#[cfg(feature = "tracing")]
#[inline(never)]
fn enabled() -> Option<Arc<tracing::Span>> {
    let span = tracing::Span::current();
    (!span.is_disabled()).then(|| Arc::new(span))
}
