//! The events that stop a group from outside: the abort of its stop signal, and its deadline.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
};

use evenkeel_base::{poll_timer, sleep_until};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use super::shared::Shared;
use crate::{Cause, Stop, Stopping};

pin_project! {
    pub(super) struct StopCondition {
        stop: Stop,
        aborting: Option<Stopping>,
        #[pin]
        deadline: Option<Sleep>,
    }
}

impl StopCondition {
    pub(super) fn new(stop: Stop, deadline: Option<Instant>) -> Self {
        Self { aborting: Some(stop.aborting_last()), stop, deadline: deadline.map(sleep_until) }
    }

    /// Drives `poll` until it is ready, or returns `None` once the group has to stop.
    pub(super) async fn until_stopped<T>(
        mut self: Pin<&mut Self>,
        group: &Shared,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        poll_fn(|cx| {
            if group.poll_must_stop(cx).is_ready() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(cause) = self.as_mut().poll(cx) {
                group.fail("group", cause);
                group.close();
                return Poll::Ready(None);
            }
            poll(cx).map(Some)
        })
        .await
    }

    /// Stops waiting, so that the abort that the group itself sends does not wake it.
    pub(super) fn disarm(self: Pin<&mut Self>) {
        let mut this = self.project();
        *this.aborting = None;
        this.deadline.set(None);
    }

    /// Ready with the cause, once.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Cause> {
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
