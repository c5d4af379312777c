//! The waiters of a pool, as they stand in the queue.

use std::task::Waker;

use evenkeel_base::LinkedQueue;
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
    pub(super) deadline: Instant,
    pub(super) limit: Limit,
    /// The runtime in which it was polled last.
    pub(super) runtime: Id,
    /// Its task, if that is needed.
    pub(super) task: Option<TaskKey>,
}

/// The origin of a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// The acquire timeout of the pool.
    Common,
    /// The caller.
    Own,
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

/// The position of a caller in the wait queue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(super) key: usize,
    pub(super) number: u64,
    pub(crate) has_checks: bool,
    pub(super) ahead: usize,
    pub(super) since: Instant,
    pub(super) deadline: Instant,
}
