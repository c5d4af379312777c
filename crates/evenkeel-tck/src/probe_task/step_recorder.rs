//! The steps of one probe task: each is recorded, and the drop is the last one.

use std::{future::poll_fn, pin::pin, task::Poll, thread, time::Duration};

use super::{
    record::{End, Event, Record},
    reported_failure::ReportedFailure,
};
use crate::agenda::sleep;

/// Records the steps of a task or of a body. The drop is the last one.
pub(crate) struct StepRecorder {
    number: u32,
    panics_on_drop: bool,
    has_begun: bool,
    has_ended: bool,
    /// It runs in another process, where its panics are thrown.
    is_elsewhere: bool,
    record: Record,
}

impl StepRecorder {
    pub(crate) fn new(number: u32, panics_on_drop: bool, record: &Record) -> Self {
        let record = record.clone();
        Self { number, panics_on_drop, has_begun: false, has_ended: false, is_elsewhere: false, record }
    }

    /// Its panics are noted here, and thrown in another process.
    pub(crate) fn elsewhere(&mut self) {
        self.is_elsewhere = true;
    }

    pub(crate) fn record(&self) -> &Record {
        &self.record
    }

    fn note(&self, event: Event) {
        self.record.note(event);
    }

    /// The first of several calls counts.
    pub(crate) fn begins(&mut self) {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.note(Event::Began(self.number));
        }
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
        if !self.is_elsewhere {
            panic!("task {} panicked", self.number);
        }
    }
}

impl Drop for StepRecorder {
    fn drop(&mut self) {
        self.note(Event::Freed(self.number));
        if self.panics_on_drop && self.has_begun && !self.has_ended && !thread::panicking() {
            self.panic();
        }
    }
}
