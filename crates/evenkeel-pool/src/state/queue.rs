//! The waiters of a pool, as they stand in the queue.

use std::{task::Waker, time::Duration};

use evenkeel_base::{LinkedQueue, far_future};
use tokio::{runtime::Id, time::Instant};

use super::{slot::SlottedObject, slots::Place, tasks::TaskKey};
use crate::{GetError, Manager};

pub(super) type WaitQueue<M> = LinkedQueue<Waiter<M>>;

pub(super) struct Waiter<M: Manager> {
    pub(super) place: Place,
    pub(super) state: WaiterState<M>,
    /// Whether tasks may check objects that it took.
    pub(super) has_checks: bool,
    /// Its number in the order of arrival.
    pub(super) number: u64,
    pub(super) since: Instant,
    /// A deadline of its own, instead of the time limit of the pool.
    pub(super) own_deadline: Option<Instant>,
    /// The runtime in which it was polled last.
    pub(super) runtime: Id,
    /// Its task, if that is needed.
    pub(super) task: Option<TaskKey>,
}

pub(super) enum WaiterState<M: Manager> {
    Waiting(Waker),
    /// Woken, and not polled since.
    Called,
    /// Out of the queue. In a box, as most waiters are called, and their memory is moved.
    Served(Box<Served<M>>),
    /// Out of the queue: its time is up.
    Expired,
}

/// An object, or the reason why there is none.
pub(crate) type Served<M> = Result<SlottedObject<M>, GetError<<M as Manager>::Error>>;

/// The position of a caller in the queue, to which it goes back if the object with which it left is no good.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    pub(super) number: u64,
    pub(super) since: Instant,
    /// The number of waiters when it came.
    pub(super) ahead: usize,
    /// Whether it left while tasks may check objects that it took.
    pub(crate) has_checks: bool,
}

impl<M: Manager> Waiter<M> {
    /// Returns its deadline in a pool with this time limit.
    pub(super) fn deadline(&self, acquire_timeout: Duration) -> Instant {
        let common = || self.since.checked_add(acquire_timeout).unwrap_or_else(|| far_future(self.since));
        self.own_deadline.unwrap_or_else(common)
    }
}
