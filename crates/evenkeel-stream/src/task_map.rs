//! What the maps have in common.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use pin_project_lite::pin_project;

use crate::window::{Outcome, Window};

// Both are there to keep bounds off the streams. Bounds like `E2: From<E>` or `T: 'static` on a stream fail in
// spawned tasks, as "not general enough", where a type has a lifetime in it; a `Box<dyn Error + Send + Sync>` has one.

/// Starts one item of the source; it has the function and the conversion of errors in it.
type Start<I, T, E> = Box<dyn FnMut(&mut Window<T, E>, I) + Send>;
/// [`Runner::poll_next`], taken where `T` and `E` are known to be `'static`.
type Next<S, T, E> = fn(Pin<&mut Runner<S, T, E>>, &mut Context<'_>) -> Poll<Option<Outcome<T, E>>>;

pin_project! {
    /// Moves the items of a source through a window.
    pub(crate) struct Runner<S: Stream, T, E> {
        #[pin]
        source: Option<S>,
        start: Start<S::Item, T, E>,
        window: Window<T, E>,
        poll: Next<S, T, E>,
    }
}

impl<S: Stream, T, E> Runner<S, T, E> {
    pub(crate) fn new(
        source: S,
        window: Window<T, E>,
        start: impl FnMut(&mut Window<T, E>, S::Item) + Send + 'static,
    ) -> Self
    where
        T: 'static,
        E: 'static,
    {
        Self { source: Some(source), start: Box::new(start), window, poll: Self::poll_next }
    }

    pub(crate) fn poll_outcome(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<T, E>>> {
        (self.poll)(self, cx)
    }

    #[track_caller]
    pub(crate) fn ordered(self) -> Self {
        Self { window: self.window.ordered(), ..self }
    }

    pub(crate) fn settled(self) -> Self {
        Self { window: self.window.settled(), ..self }
    }

    /// The bounds as long as nothing fails; after a failure there is no lower one.
    pub(crate) fn size_hint(&self) -> (usize, Option<usize>) {
        let (lower, upper) = self.source.as_ref().map_or((0, Some(0)), S::size_hint);
        let held = self.window.len();
        if self.window.has_failed() {
            return (0, Some(held.saturating_add(1)));
        }
        (lower.saturating_add(held), upper.and_then(|upper| upper.checked_add(held)))
    }
}

impl<S: Stream, T: 'static, E: 'static> Runner<S, T, E> {
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome<T, E>>> {
        let mut this = self.project();
        let window = this.window;
        loop {
            window.collect(cx);
            let done = window.take_done();
            // What is taken makes room: the next item starts before the consumer goes to work.
            let admitted = window.admitted();
            while window.has_room()
                && let Some(source) = this.source.as_mut().as_pin_mut()
            {
                match source.poll_next(cx) {
                    Poll::Ready(Some(item)) => (this.start)(window, item),
                    Poll::Ready(None) => this.source.set(None),
                    Poll::Pending => break,
                }
            }
            if window.has_failed() {
                this.source.set(None);
            }
            if done.is_some() {
                return Poll::Ready(done);
            }
            // The new tasks are not registered with this waker yet.
            if window.admitted() > admitted {
                continue;
            }
            if let Some(failed) = window.take_failure() {
                return Poll::Ready(Some(Err(failed)));
            }
            let is_over = this.source.is_none() && window.len() == 0;
            return if is_over { Poll::Ready(None) } else { Poll::Pending };
        }
    }
}

impl<S: Stream + fmt::Debug, T, E> Runner<S, T, E> {
    pub(crate) fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct(name);
        f.field("source", &self.source).field("window", &self.window).finish_non_exhaustive()
    }
}
