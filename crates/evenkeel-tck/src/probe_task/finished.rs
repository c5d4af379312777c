//! The wait for the end of a group or a program.

use std::{ops::Deref, pin::Pin, time::Duration};

use tokio::time::timeout;

use super::{Event, Record, catch_panic};
use crate::{duration::WEEK, rule::Checked};

/// A group or a program that has ended, with the record of its tasks.
pub(crate) struct Finished<O> {
    pub(crate) outcome: O,
    pub(crate) record: Record,
}

/// The outcome of a group or of a program.
pub(crate) trait TaskOutcome {
    /// The word for it in failures.
    const SUBJECT: &'static str;

    /// The outcome where the implementation's future panicked itself.
    fn panicked(message: &str) -> Self;
}

impl<O: TaskOutcome> Finished<O> {
    /// Waits for the end of a group or a program, for a week at most. A panic of its future becomes part of the
    /// outcome.
    pub(crate) async fn end(run: Pin<Box<dyn Future<Output = O> + Send>>, record: Record) -> Checked<Self> {
        let end = {
            let record = record.clone();
            async move {
                let outcome = catch_panic(run).await.unwrap_or_else(|message| O::panicked(&message));
                record.note(Event::Returned);
                outcome
            }
        };
        match timeout(WEEK, end).await {
            Ok(outcome) => Ok(Self { outcome, record }),
            Err(_) => Err(record.failure(format_args!("an end within {WEEK:?}"), "none")),
        }
    }

    /// The time at which it ended.
    pub(crate) fn returned_at(&self) -> Duration {
        self.first(&Event::Returned).unwrap_or_default()
    }

    /// The rule asks that no task is alive when it has ended.
    pub(crate) fn leaves_nobody(&self) -> Checked {
        let what = format!("when the {} has ended, tasks alive:", O::SUBJECT);
        self.equal(&what, self.alive_at_the_end(), Vec::new())
    }
}

impl<O> Deref for Finished<O> {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
