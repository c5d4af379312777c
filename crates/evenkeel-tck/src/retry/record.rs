//! The events of an operation.

use std::{fmt, time::Duration};

use crate::timeline::Timeline;

/// The events of an operation, each with its time.
pub(crate) type Record = Timeline<Event>;

/// An event of the attempt with this number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The operation was called: its future exists.
    Called(u32),
    /// The future was polled for the first time: the attempt begins.
    Polled(u32),
    /// The future was ready.
    Ended(u32),
    /// The future was dropped, with everything that it held.
    Freed(u32),
    /// The observer was told of a retry after this delay, or without a delay.
    Observed(Option<Duration>),
    /// The next attempt is to have this idempotency key.
    Keyed(String),
}

impl Record {
    /// When each attempt was called.
    pub(crate) fn called(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Called(_)).then_some(at))
    }

    /// When each attempt began.
    pub(crate) fn begun(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Polled(_)).then_some(at))
    }

    /// When each attempt ended by itself.
    pub(crate) fn ended(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Ended(_)).then_some(at))
    }

    /// When each attempt was dropped.
    pub(crate) fn freed(&self) -> Vec<Duration> {
        self.pick(|at, event| matches!(event, Event::Freed(_)).then_some(at))
    }

    /// The delay of each retry that the observer was told of, if it was told one.
    pub(crate) fn observed(&self) -> Vec<Option<Duration>> {
        self.pick(|_, event| match event {
            Event::Observed(delay) => Some(*delay),
            _ => None,
        })
    }

    /// The idempotency key of each attempt.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.pick(|_, event| match event {
            Event::Keyed(key) => Some(key.clone()),
            _ => None,
        })
    }

    /// The time from the end of each attempt to the beginning of the next.
    pub(crate) fn waits(&self) -> Vec<Duration> {
        let waits = self.ended().into_iter().zip(self.begun().into_iter().skip(1));
        waits.map(|(end, begin)| begin.saturating_sub(end)).collect()
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called(number) => write!(f, "attempt {number} is called"),
            Self::Polled(number) => write!(f, "attempt {number} begins"),
            Self::Ended(number) => write!(f, "attempt {number} ends"),
            Self::Freed(number) => write!(f, "attempt {number} is dropped"),
            Self::Observed(Some(delay)) => write!(f, "the observer is told of {delay:?}"),
            Self::Observed(None) => f.write_str("the observer is told of a retry, and of no delay"),
            Self::Keyed(key) => write!(f, "the next key is {key}"),
        }
    }
}
