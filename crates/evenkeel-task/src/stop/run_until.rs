//! The future of [`Stop::run_until_draining`](super::Stop::run_until_draining).

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::Stopping;

pin_project! {
    /// Not an `async` block, which would hold the future twice: as its argument, and pinned.
    pub(super) struct RunUntil<F> {
        pub(super) stopping: Stopping,
        #[pin]
        pub(super) future: F,
    }
}

impl<F: Future> Future for RunUntil<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // First, so that nothing begins behind the signal.
        match Pin::new(this.stopping).poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => this.future.poll(cx).map(Some),
        }
    }
}
