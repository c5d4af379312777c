//! The future of one attempt of a caller's own loop.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::Attempts;
use crate::{Failed, Verdict};

pin_project! {
    /// The future of [`Attempts::attempt`].
    pub(super) struct AttemptFuture<'t, 'p, F> {
        pub(super) attempts: &'t mut Attempts<'p>,
        pub(super) started: bool,
        #[pin]
        pub(super) operation: F,
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
