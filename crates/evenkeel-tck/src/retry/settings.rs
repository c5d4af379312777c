//! The capabilities and the settings of a policy.

use std::time::Duration;

use tokio::time::Instant;

use super::Policy;
use crate::adapter::{Pattern, capabilities, where_needed};

/// The configuration of an implementation; an adapter returns [`AdapterError`](crate::AdapterError) where it cannot be.
///
/// It never has a setting whose [`Capability`] the adapter does not support.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Settings {
    /// The most attempts, the first included.
    pub max_attempts: u32,
    /// The delay before the second attempt.
    pub initial: Duration,
    /// How the delays after it grow.
    pub growth: Growth,
    /// The longest delay. The initial one is longer in one rule alone.
    pub cap: Duration,
    /// Chance in the delays; none if it is `None`.
    pub jitter: Option<Jitter>,
    /// Where jitter is drawn from.
    pub seed: Option<u64>,
    /// The longest time for all attempts and waits together.
    pub total_timeout: Option<Duration>,
    /// The longest time for one attempt.
    pub attempt_timeout: Option<Duration>,
    /// When a call must have ended.
    pub deadline: Option<Instant>,
    /// An attempt that fails after this time counts as the first one, for the attempts and for the delays.
    pub reset_after: Option<Duration>,
    /// Some responses count as failures: [`Operation::judge`](super::Operation::judge) says which.
    pub responses: bool,
    /// The longest wait that [`Hint::RetryAfter`](super::Hint::RetryAfter) may ask for.
    pub max_retry_after: Option<Duration>,
    /// The share of calls that may be retried, common to all calls of the policy.
    pub budget: Option<Budget>,
    /// The operation is not safe to repeat unless it was [not sent](super::Hint::NotSent).
    pub at_most_once: bool,
    /// The implementation reports the key of each attempt by [`Operation::keyed`](super::Operation::keyed).
    pub idempotency_keys: bool,
    /// The time from the begin of the call to a signal to give up.
    pub stop_after: Option<Duration>,
}

/// How delays grow from one to the next.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Growth {
    /// Not at all.
    Fixed,
    /// By this factor. One rule uses factors that make no sense.
    Exponential(f64),
}

/// Chance in the delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// The kind that the implementation's documentation shows first.
    Usual,
    /// This percentage of the delay, in any direction that the implementation draws. One rule asks for more than 100.
    Percent(u32),
}

/// A budget for retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// The share of calls that may be retried.
    pub percent: u32,
    /// Retries that are free before any share was earned.
    pub reserve: u32,
    /// Retries that come back by time alone, at least this many in a second; with 0, none is asked for.
    pub per_second: u32,
}

impl Settings {
    /// Four attempts, with delays of 100, 200 and 400 ms, and nothing else.
    pub(crate) fn doubling() -> Self {
        Self {
            max_attempts: 4,
            initial: Duration::from_millis(100),
            growth: Growth::Exponential(2.0),
            cap: Duration::from_secs(3600),
            jitter: None,
            seed: None,
            total_timeout: None,
            attempt_timeout: None,
            deadline: None,
            reset_after: None,
            responses: false,
            max_retry_after: None,
            budget: None,
            at_most_once: false,
            idempotency_keys: false,
            stop_after: None,
        }
    }

    /// Four attempts, with the same delay between them, and nothing else.
    pub(crate) fn fixed(delay: Duration) -> Self {
        let settings = Self::doubling();
        // A delay above the cap may be refused.
        Self { initial: delay, growth: Growth::Fixed, cap: settings.cap.max(delay), ..settings }
    }

    pub(crate) fn attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Policy;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.jitter.is_some(), Capability::Jitter),
            (self.seed.is_some(), Capability::Seed),
            (self.total_timeout.is_some(), Capability::TotalTimeout),
            (self.attempt_timeout.is_some(), Capability::AttemptTimeout),
            (self.deadline.is_some(), Capability::Deadline),
            (self.reset_after.is_some(), Capability::ResetAfter),
            (self.responses, Capability::Responses),
            (self.max_retry_after.is_some(), Capability::MaxRetryAfter),
            (self.budget.is_some(), Capability::Budget),
            (self.at_most_once, Capability::AtMostOnce),
            (self.idempotency_keys, Capability::IdempotencyKeys),
            (self.stop_after.is_some(), Capability::StopSignal),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of retry may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// Chance in the delays.
        Jitter = "jitter",
        /// Jitter that can be replayed.
        Seed = "seed",
        /// A limit for the time of all attempts and waits together.
        TotalTimeout = "total timeout",
        /// A limit for the time of one attempt.
        AttemptTimeout = "attempt timeout",
        /// A moment at which a call must have ended.
        Deadline = "deadline",
        /// A series of attempts that starts over after an attempt that lasted.
        ResetAfter = "reset after",
        /// Responses that count as failures.
        Responses = "responses",
        /// An error that says how long to wait.
        RetryAfter = "retry after",
        /// A limit for how long an error may ask to wait.
        MaxRetryAfter = "max retry after",
        /// A hook that is called before each wait.
        Observer = "observer",
        /// A share of all calls that may be retried.
        Budget = "budget",
        /// Operations that are repeated only if they were not sent.
        AtMostOnce = "at most once",
        /// A key for each call, by which the other side knows a repetition.
        IdempotencyKeys = "idempotency keys",
        /// Giving up on a signal.
        StopSignal = "stop signal",
        /// An error that says which limit was reached.
        Reason = "reason",
    }
}
