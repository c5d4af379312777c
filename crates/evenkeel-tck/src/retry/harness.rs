//! Makes one call with the implementation under test.

use std::{ops::Deref, time::Duration};

use super::{Operation, Outcome, Policy, Settings, operation::Step, policy::Call, record::Record};
use crate::{Adapter, adapter::configure, agenda::timeout, duration::WEEK, verdict::Checked};

/// A call that has ended.
pub(crate) struct FinishedCall {
    pub(crate) outcome: Outcome,
    pub(crate) record: Record,
    pub(crate) elapsed: Duration,
}

/// The expected result of a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    ValueOf(u32),
    ErrorOf(u32),
    NoError,
}

/// Makes one call with a new policy.
pub(crate) async fn run_call(
    subject: &dyn Adapter<Settings>,
    settings: &Settings,
    script: impl Fn(u32) -> Step + Send + Sync + 'static,
) -> Checked<FinishedCall> {
    FinishedCall::of(&configure(subject, settings)?, script).await
}

impl FinishedCall {
    /// Makes one call.
    pub(crate) async fn of(
        policy: &Policy,
        script: impl Fn(u32) -> Step + Send + Sync + 'static,
    ) -> Checked<Self> {
        Self::within(WEEK, policy, script).await
    }

    /// Makes one call that must end within this time.
    pub(crate) async fn within(
        limit: Duration,
        policy: &Policy,
        script: impl Fn(u32) -> Step + Send + Sync + 'static,
    ) -> Checked<Self> {
        let record = Record::start();
        Self::end(limit, policy.call(Operation::new(&record, script)), record).await
    }

    /// Waits for the end of a call.
    pub(crate) async fn end(limit: Duration, call: Call, record: Record) -> Checked<Self> {
        match timeout(limit, call).await {
            Ok(outcome) => Ok(Self { outcome, elapsed: record.elapsed(), record }),
            Err(_) => {
                let got = format!("no end, with {} attempts so far", record.begun().len());
                Err(record.failure(format!("an end within {limit:?}"), got))
            }
        }
    }

    /// How many attempts were made.
    pub(crate) fn attempts(&self) -> usize {
        self.record.begun().len()
    }

    /// How many attempts were made behind the first one.
    pub(crate) fn retries(&self) -> usize {
        self.attempts().saturating_sub(1)
    }

    /// The rule asks that the call returns this.
    pub(crate) fn returns(&self, expected: Expected) -> Checked {
        let told = |back| match back {
            Expected::ValueOf(attempt) => format!("the value of attempt {attempt}"),
            Expected::ErrorOf(attempt) => format!("the error of attempt {attempt}"),
            Expected::NoError => "no error of an attempt".to_owned(),
        };
        let got = match self.outcome.result {
            Ok(attempt) => Expected::ValueOf(attempt),
            Err(Some(error)) => Expected::ErrorOf(error.attempt),
            Err(None) => Expected::NoError,
        };
        self.require(got == expected, told(expected), told(got))
    }
}

impl Deref for FinishedCall {
    type Target = Record;

    fn deref(&self) -> &Record {
        &self.record
    }
}
