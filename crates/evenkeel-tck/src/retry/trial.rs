use std::{fmt::Debug, time::Duration};

use tokio::time::timeout;

use super::{
    Adapter, Capability, GaveUp, Operation, Outcome, Policy, Record, Settings, adapter::Call, operation::Step,
};
use crate::{Verdict, duration::WEEK, rule::Checked, unfit};

/// A call that has ended.
pub(crate) struct Trial {
    pub(crate) outcome: Outcome,
    pub(crate) record: Record,
    pub(crate) elapsed: Duration,
}

/// What comes back from a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Back {
    ValueOf(u32),
    ErrorOf(u32),
    NoError,
}

/// Makes one call with a new policy.
pub(crate) async fn trial(
    subject: &dyn Adapter,
    settings: &Settings,
    script: impl Fn(u32) -> Step + Send + Sync + 'static,
) -> Checked<Trial> {
    Trial::of(&configure(subject, settings)?, script).await
}

impl Trial {
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

    /// The rule asks that this comes back from the call.
    pub(crate) fn comes_back(&self, expected: Back) -> Checked {
        let told = |back| match back {
            Back::ValueOf(attempt) => format!("the value of attempt {attempt}"),
            Back::ErrorOf(attempt) => format!("the error of attempt {attempt}"),
            Back::NoError => "no error of an attempt".to_owned(),
        };
        let got = match self.outcome {
            Ok(attempt) => Back::ValueOf(attempt),
            Err(GaveUp { last: Some(error), .. }) => Back::ErrorOf(error.attempt),
            Err(_) => Back::NoError,
        };
        self.require(got == expected, || told(expected), || told(got))
    }

    /// The rule asks for equality.
    pub(crate) fn equal<T: PartialEq + Debug>(&self, what: &str, got: T, want: T) -> Checked {
        self.record.equal(what, got, want)
    }

    /// The rule asks for this.
    pub(crate) fn require(
        &self,
        holds: bool,
        expected: impl FnOnce() -> String,
        got: impl FnOnce() -> String,
    ) -> Checked {
        self.record.require(holds, expected, got)
    }
}

/// Goes no further where the implementation does not have what the rule is about.
pub(crate) fn needs(subject: &dyn Adapter, capability: Capability) -> Checked {
    subject.supports(capability).map_err(|why| Verdict::Unsupported(format!("{capability}: {why}")))
}

/// Whether the implementation has what these settings are about.
pub(crate) fn has(subject: &dyn Adapter, settings: &Settings) -> bool {
    settings.needs().all(|capability| needs(subject, capability).is_ok())
}

pub(crate) fn configure(subject: &dyn Adapter, settings: &Settings) -> Checked<Policy> {
    settings.needs().try_for_each(|capability| needs(subject, capability))?;
    Ok(subject.policy(settings)?)
}

/// For settings that make no sense: nothing if the implementation refuses them, which is all that can be asked.
pub(crate) fn unless_refused(subject: &dyn Adapter, settings: &Settings) -> Checked<Option<Policy>> {
    settings.needs().try_for_each(|capability| needs(subject, capability))?;
    unfit::unless_refused(|| subject.policy(settings))
}
