//! The part that all parallel maps share: the source, the function, and the items in flight.
//!
//! # How it works
//!
//! A poll of a map does four things in this order: it takes the results of the tasks that have ended, starts items until
//! the limit is reached or the source has none, polls the new tasks' set again so that it registers the waker, and
//! returns one result.
//!
//! - **A result that is returned makes room first**: the next item starts before the consumer goes to work.
//! - **No wake-up is lost**: `Pending` is returned only when the set of tasks was polled after the last start.
//! - **Nothing is left running behind an error**: the failure is returned when the last aborted task has ended, and the
//!   source is dropped before that.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::in_flight::{InFlight, ItemResult};

// Both are there to keep bounds off the streams. Bounds like `E2: From<E>` or `T: 'static` on a stream fail in
// spawned tasks, as "not general enough", if a type has a lifetime in it; a `Box<dyn Error + Send + Sync>` has one.

/// Starts one item of the source; it contains the function and the conversion of errors.
type Start<I, T, E> = Box<dyn FnMut(&mut InFlight<T, E>, I) + Send>;
/// [`TaskMap::poll_next`], taken where `T` and `E` are known to be `'static`.
type Next<S, T, E> = fn(Pin<&mut TaskMap<S, T, E>>, &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>>;

pin_project! {
    /// Runs a function over the items of a source, each in a task.
    pub(crate) struct TaskMap<S: Stream, T, E> {
        #[pin]
        source: Option<S>,
        start: Start<S::Item, T, E>,
        in_flight: InFlight<T, E>,
        poll: Next<S, T, E>,
    }
}

impl<S: Stream, T, E> TaskMap<S, T, E> {
    #[track_caller]
    pub(crate) fn new(
        source: S,
        limit: usize,
        start: impl FnMut(&mut InFlight<T, E>, S::Item) + Send + 'static,
    ) -> Self
    where
        T: 'static,
        E: 'static,
    {
        let in_flight = InFlight::new(limit);
        Self { source: Some(source), start: Box::new(start), in_flight, poll: Self::poll_next }
    }

    pub(crate) fn poll_result(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>> {
        (self.poll)(self, cx)
    }

    #[track_caller]
    pub(crate) fn ordered(self) -> Self {
        Self { in_flight: self.in_flight.ordered(), ..self }
    }

    pub(crate) fn settled(self) -> Self {
        Self { in_flight: self.in_flight.settled(), ..self }
    }

    /// Returns the bounds as long as nothing fails; after a failure there is no lower one.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), S::size_hint);
        let held = self.in_flight.len();
        if self.in_flight.has_failed() {
            return (0, Some(held.saturating_add(1)));
        }
        (lower.saturating_add(held), upper.and_then(|upper| upper.checked_add(held)))
    }
}

impl<S: Stream, T: 'static, E: 'static> TaskMap<S, T, E> {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<ItemResult<T, E>>> {
        let mut this = self.project();
        let in_flight = this.in_flight;
        loop {
            in_flight.poll_tasks(cx);
            let done = in_flight.take_done();
            // The taken result makes room: the next item starts before the consumer goes to work.
            let started = in_flight.started();
            while in_flight.has_room()
                && let Some(source) = this.source.as_mut().as_pin_mut()
            {
                match source.poll_next(cx) {
                    Poll::Ready(Some(item)) => (this.start)(in_flight, item),
                    Poll::Ready(None) => this.source.set(None),
                    Poll::Pending => break,
                }
            }
            if in_flight.has_failed() {
                this.source.set(None);
            }
            if done.is_some() {
                return Poll::Ready(done);
            }
            // The new tasks are not registered with this waker yet.
            if in_flight.started() > started {
                continue;
            }
            if let Some(failed) = in_flight.take_failure() {
                return Poll::Ready(Some(Err(failed)));
            }
            let is_over = this.source.is_none() && in_flight.len() == 0;
            return if is_over { Poll::Ready(None) } else { Poll::Pending };
        }
    }
}

impl<S: Stream + fmt::Debug, T, E> TaskMap<S, T, E> {
    pub(crate) fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct(name);
        f.field("source", &self.source).field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}
