//! What stops a group from outside.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::timer::{poll_timer, sleep_until};
use crate::{Cause, Stop, Stopping};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

pin_project! {
    /// The abort of the group's stop signal, or its deadline.
    pub(super) struct Doom {
        stop: Stop,
        aborting: Option<Stopping>,
        #[pin]
        deadline: Option<Sleep>,
    }
}

impl Doom {
    pub(super) fn new(stop: Stop, deadline: Option<Instant>) -> Self {
        Self { aborting: Some(stop.aborted()), stop, deadline: deadline.map(sleep_until) }
    }

    /// Waits for nothing any more, so that the group's own abort does not wake it.
    pub(super) fn lift(self: Pin<&mut Self>) {
        let mut this = self.project();
        *this.aborting = None;
        this.deadline.set(None);
    }

    /// Ready with the cause, once.
    pub(super) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cause> {
        let this = self.project();
        if this.aborting.as_mut().is_some_and(|aborting| Pin::new(aborting).poll(cx).is_ready()) {
            let reason = this.stop.reason().unwrap_or_default().to_owned();
            return Poll::Ready(Cause::Aborted(reason.into()));
        }
        match this.deadline.as_pin_mut() {
            Some(deadline) => poll_timer(deadline, cx).map(|()| Cause::Deadline),
            None => Poll::Pending,
        }
    }
}
