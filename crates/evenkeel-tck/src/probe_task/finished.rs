//! The wait for the end of a group or a program.

use std::{
    future::poll_fn,
    ops::Deref,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Poll,
    time::Duration,
};

use super::{
    outcome::Outcome,
    record::{Event, Record},
    reported_failure::ReportedFailure,
};
use crate::{BoxFuture, Configured, agenda::timeout, duration::WEEK, rule::panic_message, verdict::Checked};

/// A group or a program that has ended, with the record of its tasks.
pub(crate) struct Finished {
    pub(crate) outcome: Outcome,
    pub(crate) record: Record,
}

impl Finished {
    /// Runs a group or a program to its end.
    pub(crate) async fn of<I>(
        subject: &Configured<I, Outcome>,
        work: impl FnOnce(&Record) -> I,
    ) -> Checked<Self> {
        let record = Record::start();
        Self::end(subject.call(work(&record)), record).await
    }

    /// Waits for the end of a group or a program, for a week at most. A panic of its future becomes part of the
    /// outcome.
    pub(crate) async fn end(run: BoxFuture<'static, Outcome>, record: Record) -> Checked<Self> {
        let Ok(ended) = timeout(WEEK, catch_panic(run)).await else {
            return Err(record.failure(format_args!("an end within {WEEK:?}"), "none"));
        };
        record.note(Event::Returned);
        let outcome = ended.unwrap_or_else(|message| Outcome::telling([ReportedFailure::panic(&message)]));
        Ok(Self { outcome, record })
    }

    /// The time at which it ended.
    pub(crate) fn returned_at(&self) -> Duration {
        self.first(&Event::Returned).unwrap_or_default()
    }

    /// The rule asks that it ended at this time.
    pub(crate) fn ends_at(&self, when: &str, at: Duration) -> Checked {
        self.equal(&format!("{when}, the end at"), self.returned_at(), at)
    }

    /// The rule asks that no task is alive when it has ended.
    pub(crate) fn leaves_nobody(&self) -> Checked {
        self.equal("at the end, tasks alive:", self.alive_at_the_end(), Vec::new())
    }
}

impl Deref for Finished {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}

/// Awaits a future. Returns the message of the panic if the future or its destructor panics.
pub(crate) async fn catch_panic<T>(future: BoxFuture<'static, T>) -> Result<T, String> {
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
