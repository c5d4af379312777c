//! Tasks that do what a rule has written for them, and note all of it.

mod record;

use std::{
    error::Error,
    fmt,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    task::Poll,
    thread,
    time::Duration,
};

use tokio::time::sleep;

pub(crate) use self::record::{Event, Record};
use crate::rule::panic_message;

/// How a task ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Ok,
    Error,
    Panic,
}

/// The error of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// The number of the task; the body of a group is number 0.
    pub task: u32,
}

/// What a task leaves in the record.
pub(crate) struct Life {
    number: u32,
    is_sore: bool,
    has_begun: bool,
    has_ended: bool,
    record: Record,
}

impl Life {
    pub(crate) fn new(number: u32, is_sore: bool, record: &Record) -> Self {
        Self { number, is_sore, has_begun: false, has_ended: false, record: record.clone() }
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

    /// Sleeps; a poll before the time is over, but the first one, is in vain.
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

    /// Sleeps, or gives what comes first.
    pub(crate) async fn sleep_or<T>(&self, time: Duration, other: impl Future<Output = T>) -> Option<T> {
        let (mut timer, mut other) = (pin!(sleep(time)), pin!(other));
        poll_fn(|cx| match timer.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => other.as_mut().poll(cx).map(Some),
        })
        .await
    }

    /// It has seen the signal to drain, and this reason.
    pub(crate) fn drains(&self, reason: Option<String>) {
        self.note(Event::Drained(self.number, reason));
    }

    pub(crate) fn ends(&mut self, end: End) -> Result<(), Refused> {
        self.has_ended = true;
        match end {
            End::Panic => self.throw(),
            End::Ok | End::Error => self.note(Event::Ended(self.number, end)),
        }
        if end == End::Ok { Ok(()) } else { Err(Refused { task: self.number }) }
    }

    fn throw(&self) {
        self.note(Event::Threw(self.number));
        panic!("task {} panicked", self.number);
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.note(Event::Freed(self.number));
        if self.is_sore && self.has_begun && !self.has_ended && !thread::panicking() {
            self.throw();
        }
    }
}

/// The number of the task that panicked with this message.
pub(crate) fn who_panicked(message: &str) -> Option<u32> {
    message.strip_prefix("task ")?.split(' ').next()?.parse().ok()
}

/// What a future gives; if it panics, or its destructor does, the message.
pub(crate) async fn caught<T>(future: Pin<Box<dyn Future<Output = T> + Send>>) -> Result<T, String> {
    let mut future = Some(future);
    poll_fn(move |cx| {
        let Some(inner) = &mut future else { return Poll::Pending };
        let polled = catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx)));
        if let Ok(Poll::Pending) = polled {
            return Poll::Pending;
        }
        // As it is dropped by whoever awaits it. One panic is all that can go on.
        let dropped = catch_unwind(AssertUnwindSafe(|| future = None));
        let ended = polled.and_then(|output| dropped.map(|()| output));
        match ended {
            Ok(output) => output.map(Ok),
            Err(payload) => Poll::Ready(Err(panic_message(&*payload))),
        }
    })
    .await
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {} was refused", self.task)
    }
}

impl Error for Refused {}
