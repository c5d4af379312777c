//! A pool behind its adapter: its gets, its leases, and what can be asked of it.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use super::{GetError, Object};
use crate::BoxFuture;

/// The future of a get.
pub type Get = BoxFuture<'static, Result<Box<dyn Lease>, GetError>>;

/// A configured implementation, shared by concurrent callers. Dropping it drops the last handle of the pool.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Pool: Send + Sync {
    /// Waits for an object: the implementation's own future, not yet polled. It may keep the pool alive.
    fn get(&self) -> Get;

    /// As [`get`](Self::get), with a deadline in place of the time-out.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn get_by(&self, deadline: Instant) -> Get {
        withheld(&deadline)
    }

    /// Takes an idle object now, or none.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn try_get(&self) -> Option<Box<dyn Lease>> {
        withheld(&"an idle object")
    }

    /// Creates objects until there are as many as this, and waits for them: the implementation's own future, not yet polled.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn warm(&self, objects: usize) -> BoxFuture<'static, ()> {
        withheld(&objects)
    }

    /// Changes the maximum number of objects.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn resize(&self, max: usize) {
        withheld(&max)
    }

    /// Replaces all objects: idle ones now, objects in use when they are returned.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn retire_all(&self) {
        withheld(&"new objects")
    }

    /// Closes the pool from the first poll on, and returns the number of leases that are out at the end.
    ///
    /// It waits for the leases where [`Capability::CloseWaits`](super::Capability::CloseWaits) is supported, for the time
    /// `within` at most, which is only set where [`Capability::CloseDeadline`](super::Capability::CloseDeadline) is.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn close(&self, within: Option<Duration>) -> BoxFuture<'static, usize> {
        withheld(&within)
    }

    /// Returns the numbers of the pool.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn snapshot(&self) -> BoxFuture<'_, Snapshot> {
        withheld(&"a snapshot")
    }

    /// Returns the time for which each lease has been out, the longest first.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn holders(&self) -> Vec<Duration> {
        withheld(&"the holders")
    }
}

/// An object in use. Dropping it returns the object.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Lease: Send {
    /// The object.
    fn object(&self) -> &Object;

    /// Drops the object in place of returning it.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn discard(self: Box<Self>) {
        withheld(&"a discard")
    }

    /// Takes the object out of the pool for good.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn detach(self: Box<Self>) -> Object {
        withheld(&"a detached object")
    }
}

/// The numbers of a pool. An adapter leaves those at `None` that its implementation does not tell.
///
/// # Examples
/// ```
/// use evenkeel_tck::pool::Snapshot;
///
/// let snapshot = Snapshot { size: Some(3), idle: Some(1), ..Snapshot::default() };
/// assert_eq!(snapshot.waiting, None);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Objects; where it counts creations and checks under way, these too.
    pub size: Option<usize>,
    /// Objects that nobody uses.
    pub idle: Option<usize>,
    /// Callers that wait.
    pub waiting: Option<usize>,
}

fn withheld(what: &dyn fmt::Debug) -> ! {
    unreachable!("{what:?} was asked of an adapter that withholds it")
}
