//! Probe tasks: they follow the script of a rule, and record each of their steps.
//!
//! The rules for groups and for programs hand these tasks to the implementation, and judge only the record: when a task
//! was spawned, began, saw the signal to drain, ended, panicked and was dropped. The record is shared, so that an event
//! is never lost with its task. The drop is the last event of each task, also of one that the implementation never
//! polls; a task without it was alive when the group or the program had ended.

mod finished;
mod outcome;
mod record;
mod reported_failure;
mod script;
mod task;

use std::{
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    thread,
    time::Duration,
};

use tokio::time::sleep;

pub(crate) use self::{
    finished::Finished,
    outcome::sorted,
    record::{Event, Record},
    script::Script,
};
pub use self::{
    outcome::Outcome,
    reported_failure::{FailureKind, ReportedFailure},
    task::Task,
};
use crate::{BoxFuture, rule::panic_message};

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Error,
    Panic,
}

/// The steps of a task or of a body: each is noted, and the drop is the last one.
pub(crate) struct ProbeTask {
    number: u32,
    panics_on_drop: bool,
    has_begun: bool,
    has_ended: bool,
    record: Record,
}

impl ProbeTask {
    pub(crate) fn new(number: u32, panics_on_drop: bool, record: &Record) -> Self {
        Self { number, panics_on_drop, has_begun: false, has_ended: false, record: record.clone() }
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    fn note(&self, event: Event) {
        self.record.note(event);
    }

    pub(crate) fn begins(&mut self) {
        self.has_begun = true;
        self.note(Event::Began(self.number));
    }

    /// Sleeps, and records each poll after the first one that finds the time not over.
    pub(crate) async fn sleep(&self, time: Duration) {
        if time.is_zero() {
            return;
        }
        let (mut timer, mut is_set) = (pin!(sleep(time)), false);
        poll_fn(|cx| {
            let slept = timer.as_mut().poll(cx);
            if slept.is_pending() && std::mem::replace(&mut is_set, true) {
                self.note(Event::PolledInVain(self.number));
            }
            slept
        })
        .await;
    }

    /// Sleeps, or returns the output of `other` if that is ready first.
    pub(crate) async fn sleep_or<T>(&self, time: Duration, other: impl Future<Output = T>) -> Option<T> {
        let (mut timer, mut other) = (pin!(sleep(time)), pin!(other));
        poll_fn(|cx| match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => other.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// Records that the task has seen the signal to drain, with this reason.
    pub(crate) fn drains(&self, reason: Option<String>) {
        self.note(Event::Drained(self.number, reason));
    }

    pub(crate) fn ends(&mut self, end: End) -> Result<(), ReportedFailure> {
        self.has_ended = true;
        match end {
            End::Panic => self.panic(),
            End::Ok | End::Error => self.note(Event::Ended(self.number, end)),
        }
        if end == End::Ok { Ok(()) } else { Err(ReportedFailure::error(self.number)) }
    }

    fn panic(&self) {
        self.note(Event::Panicked(self.number));
        panic!("task {} panicked", self.number);
    }
}

impl Drop for ProbeTask {
    fn drop(&mut self) {
        self.note(Event::Freed(self.number));
        if self.panics_on_drop && self.has_begun && !self.has_ended && !thread::panicking() {
            self.panic();
        }
    }
}

/// The number of the task that panicked with this message.
fn panicked_task(message: &str) -> Option<u32> {
    message.strip_prefix("task ")?.split(' ').next()?.parse().ok()
}

/// Awaits a future. Returns the message of the panic if the future or its destructor panics.
async fn catch_panic<T>(future: BoxFuture<'static, T>) -> Result<T, String> {
    let mut future = Some(future);
    poll_fn(move |cx| {
        let Some(inner) = &mut future else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        // An awaiting owner drops the future at its end, too. If both the poll and the drop panic, the first one
        // counts.
        let dropped = catch_unwind(AssertUnwindSafe(|| future = None));
        let ended = polled.and_then(|output| dropped.map(|()| output));
        match ended {
            Ok(output) => output.map(Ok),
            Err(payload) => Poll::Ready(Err(panic_message(&*payload))),
        }
    })
    .await
}
