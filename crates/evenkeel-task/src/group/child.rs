//! The future that is spawned for a task of a group.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::ambient;
use super::members::{Ended, Members};
use super::slab::Key;
use crate::observe::{self, Span};
use crate::{CatchPanic, Cause, IntoResult, Panic, catch_panic};

pin_project! {
    /// Runs a task and tells its group how it ended, after its future has been dropped. Nobody needs a
    /// `JoinHandle`.
    pub(super) struct Child<F> {
        #[pin]
        future: CatchPanic<F>,
        key: Key,
        span: Span,
        // Taken by the report, so that there is one.
        members: Option<Arc<Members>>,
    }

    impl<F> PinnedDrop for Child<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.members.is_some() {
                let ended = match this.span.within(|| ambient::within(this.members, || this.future.cancel())) {
                    Ok(()) => Ended::Cancelled,
                    Err(panic) => Ended::Failed(Cause::Panic(panic)),
                };
                if let Some(members) = this.members.take() {
                    this.span.within(|| members.leave(*this.key, ended));
                }
            }
        }
    }
}

impl<F: Future> Child<F> {
    pub(super) fn new(future: F, key: Key, members: Arc<Members>) -> Self {
        observe::spawned();
        Self { future: catch_panic(future), key, span: Span::current(), members: Some(members) }
    }
}

impl<F: Future<Output: IntoResult>> Future for Child<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let poll = || {
            // The conversion runs code of the user too: it drops a value and boxes an error.
            let convert = |output: Result<F::Output, Panic>| {
                output.and_then(|output| Panic::catch(|| output.into_result()))
            };
            this.future.poll(cx).map(convert)
        };
        let result = ready!(this.span.within(|| ambient::within(this.members, poll)));
        let ended = match result {
            Ok(Ok(())) => Ended::Finished,
            Ok(Err(error)) => Ended::Failed(Cause::of(error)),
            Err(panic) => Ended::Failed(Cause::Panic(panic)),
        };
        if let Some(members) = this.members.take() {
            this.span.within(|| members.leave(*this.key, ended));
        }
        Poll::Ready(())
    }
}
