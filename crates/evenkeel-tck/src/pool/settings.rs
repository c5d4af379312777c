//! The capabilities and the settings of a pool.

use std::time::Duration;

use super::{Backend, Pool};
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
    /// Makes, checks and resets the objects.
    pub backend: Backend,
    /// The maximum number of objects.
    pub max: usize,
    /// The time that a get may take. Without it a get takes as long as it needs.
    pub acquire_timeout: Option<Duration>,
    /// The time that a creation may take.
    pub create_timeout: Option<Duration>,
    /// The time that a check or a reset may take.
    pub check_timeout: Option<Duration>,
    /// Objects are [checked](super::Object::check) before they are lent again.
    pub checks: bool,
    /// An object that was used within this time is not checked.
    pub validate_after: Option<Duration>,
    /// Objects are [reset](super::Object::reset) when they are returned.
    pub resets: bool,
    /// The order in which idle objects are lent.
    pub order: Option<Order>,
    /// The number of objects that are kept idle.
    pub min_idle: usize,
    /// An object that is idle for this time is dropped.
    pub idle_timeout: Option<Duration>,
    /// An object of this age is dropped.
    pub max_lifetime: Option<Duration>,
    /// The maximum number of creations at a time.
    pub max_creating: Option<usize>,
    /// A caller that can never be served is told at once.
    pub detects_deadlocks: bool,
}

/// The order in which idle objects are lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// The object that was returned last is lent first.
    Lifo,
    /// The object that has been idle for the longest time is lent first.
    Fifo,
}

impl Settings {
    /// A pool of at most this number of objects, and nothing more.
    pub(crate) fn of(max: usize) -> Self {
        Self {
            backend: Backend::new(),
            max,
            acquire_timeout: None,
            create_timeout: None,
            check_timeout: None,
            checks: false,
            validate_after: None,
            resets: false,
            order: None,
            min_idle: 0,
            idle_timeout: None,
            max_lifetime: None,
            max_creating: None,
            detects_deadlocks: false,
        }
    }

    /// With a time-out for each get.
    pub(crate) fn within(self, time: Duration) -> Self {
        Self { acquire_timeout: Some(time), ..self }
    }

    /// With checks.
    pub(crate) fn checked(self) -> Self {
        Self { checks: true, ..self }
    }

    /// With resets.
    pub(crate) fn resetting(self) -> Self {
        Self { resets: true, ..self }
    }
}

impl Pattern for Settings {
    type Capability = Capability;
    type Configured = Box<dyn Pool>;

    fn needs(&self) -> impl Iterator<Item = Capability> {
        where_needed([
            (self.acquire_timeout.is_some(), Capability::AcquireTimeout),
            (self.create_timeout.is_some(), Capability::CreateTimeout),
            (self.check_timeout.is_some(), Capability::CheckTimeout),
            (self.checks, Capability::Check),
            (self.validate_after.is_some(), Capability::ValidateAfter),
            (self.resets, Capability::Reset),
            (self.order == Some(Order::Lifo), Capability::Lifo),
            (self.order == Some(Order::Fifo), Capability::Fifo),
            (self.min_idle > 0, Capability::MinIdle),
            (self.idle_timeout.is_some(), Capability::IdleTimeout),
            (self.max_lifetime.is_some(), Capability::MaxLifetime),
            (self.max_creating.is_some(), Capability::MaxCreating),
            (self.detects_deadlocks, Capability::Deadlocks),
        ])
    }
}

capabilities! {
    /// A feature that an implementation of pools may have.
    ///
    /// # Examples
    /// As in [`SUITE`](super::SUITE).
    pub enum Capability {
        /// Objects are created when they are wanted, by an async function that may fail.
        Create = "create",
        /// A time-out for each get.
        AcquireTimeout = "acquire time-out",
        /// A time-out for creations.
        CreateTimeout = "create time-out",
        /// A time-out for checks and resets.
        CheckTimeout = "check time-out",
        /// A get with a deadline of its own.
        Deadline = "deadline",
        /// Objects are checked before they are lent again.
        Check = "check",
        /// No check of an object that was used a moment ago.
        ValidateAfter = "validate after",
        /// Objects are asked at their return whether they are broken.
        Broken = "broken",
        /// Objects are reset when they are returned.
        Reset = "reset",
        /// An error that every caller would meet is known as such.
        FatalErrors = "fatal errors",
        /// A maximum number of creations at a time.
        MaxCreating = "max creating",
        /// Leases that do not borrow the pool, which can be dropped before them.
        OwnedLeases = "owned leases",
        /// A lease whose object is dropped in place of being returned.
        Discard = "discard",
        /// A lease whose object leaves the pool.
        Detach = "detach",
        /// The object that was used last is lent first.
        Lifo = "LIFO",
        /// The object that has been idle for the longest time is lent first.
        Fifo = "FIFO",
        /// A number of objects that are kept idle.
        MinIdle = "min idle",
        /// A time after which an idle object is dropped.
        IdleTimeout = "idle time-out",
        /// A time after which an object is dropped.
        MaxLifetime = "max lifetime",
        /// Objects are created before they are wanted, on request.
        Warm = "warm",
        /// A maximum that can be changed.
        Resize = "resize",
        /// All objects of a pool can be replaced.
        RetireAll = "retire all",
        /// A get that takes an idle object or none.
        TryGet = "try get",
        /// A pool that can be closed.
        Close = "close",
        /// A close that waits for the leases.
        CloseWaits = "close waits",
        /// A close that waits for a time at most, and counts the leases that are out then.
        CloseDeadline = "close deadline",
        /// It tells the number of its objects, and how many of them are idle.
        CountObjects = "count objects",
        /// It tells how many callers wait.
        CountWaiters = "count waiters",
        /// It lists the leases with the time for which they have been out.
        Holders = "holders",
        /// A caller that can never be served is told.
        Deadlocks = "deadlocks",
    }
}
