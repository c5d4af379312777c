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
    ///
    /// `poll` stores the waker of the group when it is pending, and is ready with `None` if a failure stops the group.
    pub(super) async fn until_stopped<T>(
        mut self: Pin<&mut Self>,
        group: &Shared,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<Option<T>>,
    ) -> Option<T> {
        poll_fn(|cx| {
            // Looked at before `poll`, and waited for behind it: most bodies end in their first poll.
            if group.must_stop() || (self.may_have_fired() && self.as_mut().has_fired(group, cx)) {
                return Poll::Ready(None);
            }
            let polled = poll(cx);
            if polled.is_pending() && self.as_mut().has_fired(group, cx) {
                return Poll::Ready(None);
            }
            polled
        })
        .await
    }

    fn may_have_fired(&self) -> bool {
        self.deadline.is_some() || self.stop.is_aborting()
    }

    /// Stops the group if the condition is met; until then the waker is stored.
    fn has_fired(self: Pin<&mut Self>, group: &Shared, cx: &mut Context<'_>) -> bool {
        let Poll::Ready(cause) = self.poll(cx) else { return false };
        group.fail("group", cause);
        group.close();
        true
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
