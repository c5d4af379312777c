//! The two futures of a caller's own loop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::{Attempts, Failed, RetryError, Verdict};

pin_project! {
    /// The future of [`Attempts::attempt`].
    pub(super) struct AttemptFuture<'t, 'p, F> {
        attempts: &'t mut Attempts<'p>,
        started: bool,
        #[pin]
        operation: F,
    }
}

impl<'t, 'p, F> AttemptFuture<'t, 'p, F> {
    pub(super) const fn new(attempts: &'t mut Attempts<'p>, operation: F) -> Self {
        Self { attempts, started: false, operation }
    }
}

impl<F, T, E> Future for AttemptFuture<'_, '_, F>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Failed<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.started && !this.attempts.begin() {
            return Poll::Ready(Err(Failed { verdict: Verdict::NotSent, ..Failed::new(None) }));
        }
        *this.started = true;
        this.attempts.poll_attempt(this.operation, cx)
    }
}

/// The future of [`Attempts::backoff`].
pub(super) struct BackoffFuture<'t, 'p, E> {
    /// `None` when it is over.
    attempts: Option<&'t mut Attempts<'p>>,
    failed: Option<Failed<E>>,
}

impl<'t, 'p, E> BackoffFuture<'t, 'p, E> {
    pub(super) const fn new(attempts: &'t mut Attempts<'p>, failed: Failed<E>) -> Self {
        Self { attempts: Some(attempts), failed: Some(failed) }
    }
}

// No field is pinned: the failure is only moved out.
impl<E> Unpin for BackoffFuture<'_, '_, E> {}

impl<E> Future for BackoffFuture<'_, '_, E> {
    type Output = Result<(), RetryError<E>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let attempts = this.attempts.take().expect("`BackoffFuture` was polled after it was ready");
        if let Some(failed) = this.failed.take()
            && let Err(reason) = attempts.decide(failed.verdict, failed.may_repeat)
        {
            return Poll::Ready(Err(attempts.gave_up(reason, failed.error)));
        }
        let waited = attempts.poll_delay(cx).map(Ok);
        if waited.is_pending() {
            this.attempts = Some(attempts);
        }
        waited
    }
}
