//! The capabilities and the settings of a limiter.

use std::time::Duration;

use super::{Limiter, Rate};
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
    /// The limit.
    pub limit: Limit,
    /// A second limit: each request needs as many permits of it, too.
    pub also: Option<Limit>,
    /// There are no permits at the beginning.
    pub starts_empty: bool,
    /// Requests wait; without it they are refused. Only where [`Capability::Mixed`] is supported some are refused
    /// nevertheless.
    pub waits: bool,
    /// The maximum number of waiters.
    pub max_waiters: Option<usize>,
    /// Each key has this limit for itself.
    pub keyed: bool,
    /// The most keys for which a state is kept.
    pub max_keys: Option<usize>,
}

/// The kind of a limit.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// A bucket: permits are earned at a rate, up to a burst, which is there at the beginning.
    Bucket {
        /// How fast they are earned.
        rate: Rate,
        /// The maximum of permits.
        burst: u32,
    },
    /// The number of the rate, in any stretch of its time.
    Sliding(Rate),
    /// This number of permits held at the same time.
    Concurrency(u32),
}

impl Settings {
    /// A limit that refuses.
    pub(crate) const fn of(limit: Limit) -> Self {
        Self {
            limit,
            also: None,
            starts_empty: false,
            waits: false,
            max_waiters: None,
            keyed: false,
            max_keys: None,
        }
    }

    /// A bucket that refuses, with the burst that goes with its rate.
    pub(crate) const fn rate(permits: u32, per: Duration) -> Self {
        Self::of(Limit::Bucket { rate: Rate { permits, per }, burst: permits })
    }

    /// A window that refuses.
    pub(crate) const fn sliding(permits: u32, per: Duration) -> Self {
        Self::of(Limit::Sliding(Rate { permits, per }))
    }

    /// A limit of concurrency whose requests wait.
    pub(crate) const fn concurrency(limit: u32) -> Self {
        Self { waits: true, ..Self::of(Limit::Concurrency(limit)) }
    }

    /// With another burst.
    pub(crate) fn burst(self, burst: u32) -> Self {
        match self.limit {
            Limit::Bucket { rate, .. } => Self { limit: Limit::Bucket { rate, burst }, ..self },
            _ => self,
        }
    }

    pub(crate) fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    pub(crate) fn of_keys(self) -> Self {
        Self { keyed: true, ..self }
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Box<dyn Limiter>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        let (what, has_burst) = match self.limit {
            Limit::Bucket { rate, burst } => (Capability::Rate, burst != rate.permits),
            Limit::Sliding(_) => (Capability::Sliding, false),
            Limit::Concurrency(_) => (Capability::Concurrency, false),
        };
        where_needed([
            (true, what),
            (self.also.is_some(), Capability::AllOf),
            (has_burst, Capability::Burst),
            (self.waits, Capability::Wait),
            (!self.waits, Capability::Try),
            (self.starts_empty, Capability::StartEmpty),
            (self.max_waiters.is_some(), Capability::MaxWaiters),
            (self.keyed, Capability::Keys),
            (self.max_keys.is_some(), Capability::MaxKeys),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of limits may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// Permits that are earned at a rate.
        Rate = "rate",
        /// Permits that come back when work has ended.
        Concurrency = "concurrency",
        /// Requests that are refused if there is no permit.
        Try = "try",
        /// Requests that wait for their turn.
        Wait = "wait",
        /// Both, for the same limiter.
        Mixed = "mixed",
        /// Requests for several permits.
        Weights = "weights",
        /// A burst that is another number than that of the rate.
        Burst = "burst",
        /// A limiter that begins without permits.
        StartEmpty = "start empty",
        /// A limit for any stretch of time as long as that of the rate.
        Sliding = "sliding",
        /// A refusal says when to come back.
        RetryAfter = "retry after",
        /// A refusal says whether the request can ever be granted.
        NeverFits = "never fits",
        /// Requests that wait until a time, and no longer.
        Deadline = "deadline",
        /// A limit for how many wait.
        MaxWaiters = "max waiters",
        /// A rate that can be changed.
        SetRate = "set rate",
        /// A burst that can be changed.
        SetBurst = "set burst",
        /// A limit of concurrency that can be changed.
        SetLimit = "set limit",
        /// Permits that were earned, and are given back.
        Refund = "refund",
        /// Permits that are reserved, and settled when the cost is known.
        Reserve = "reserve",
        /// A time in which nothing is granted.
        Penalty = "penalty",
        /// A limiter that can be closed.
        Close = "close",
        /// A limit for each key.
        Keys = "keys",
        /// It tells for how many keys it keeps a state.
        CountKeys = "count keys",
        /// A maximum for the number of keys with a state.
        MaxKeys = "max keys",
        /// Permits of several limits, or none.
        AllOf = "all of",
    }
}
