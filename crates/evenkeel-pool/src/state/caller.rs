//! A caller at one poll of its future: all that it brings to the queue, and the next step that it is told.

use std::{sync::Arc, task::Waker};

use tokio::{
    runtime::{Handle, Id},
    time::Instant,
};

use super::{
    queue::{Position, Served, Waiter},
    shared::Shared,
    slot::{NewSlot, SlottedObject},
    slots::Place,
    tasks::TaskKey,
    timers::TimerStart,
};
use crate::{Manager, Panic};

/// A caller at one poll of its future.
pub(crate) struct Caller<'a, M: Manager> {
    pub(crate) shared: &'a Arc<Shared<M>>,
    pub(crate) place: Place,
    pub(crate) waker: &'a Waker,
    /// Its own deadline, if it has one.
    pub(crate) deadline: Option<Instant>,
    pub(super) prepared: Option<Prepared>,
    /// The runtime in which a caller is polled that waits.
    pub(super) runtime: Option<Id>,
    /// Its position, if it was in the queue in this poll or before.
    pub(crate) position: &'a mut Option<Position>,
    /// The time, if that of the caller is up in the poll in which it begins to wait: no timer watches it.
    pub(crate) late: Option<Instant>,
    /// The timer that it has to start, as the first waiter of its runtime.
    pub(crate) timer: Option<TimerStart>,
}

/// All that a caller brings to wait. It is made, and dropped if it is not needed, without the lock.
pub(crate) struct Prepared {
    pub(super) waker: Waker,
    pub(super) runtime: Id,
    pub(super) now: Instant,
    pub(super) task: Option<TaskKey>,
}

impl<'a, M: Manager> Caller<'a, M> {
    pub(crate) fn new(
        shared: &'a Arc<Shared<M>>,
        place: Place,
        deadline: Option<Instant>,
        position: &'a mut Option<Position>,
        waker: &'a Waker,
    ) -> Self {
        Self {
            shared,
            place,
            waker,
            deadline,
            prepared: None,
            runtime: None,
            position,
            late: None,
            timer: None,
        }
    }

    /// Asks for the runtime, to which the future may have been moved since its last poll.
    pub(crate) fn find_runtime(&mut self) {
        self.runtime = Handle::try_current().ok().map(|runtime| runtime.id());
    }

    /// Makes ready to wait.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[inline]
    pub(crate) fn prepare(&mut self) {
        let runtime = Handle::current().id();
        let (waker, task) = (self.waker.clone(), self.shared.current_task());
        self.prepared = Some(Prepared { waker, runtime, now: Instant::now(), task });
    }

    pub(super) fn begin_wait(&mut self, now: Instant, waiter: &Waiter<M>) {
        self.late = (waiter.deadline(self.shared.limits.acquire_timeout) <= now).then_some(now);
    }
}

impl<M: Manager> Drop for Caller<'_, M> {
    fn drop(&mut self) {
        // It has an object, and leaves its checks to other waiters.
        if let Some(Position { number, has_checks: true, .. }) = *self.position {
            self.shared.update(|state| state.slots.detach_checks(number));
        }
        // A waker that panicked kept it from starting the timer on which others rely by now.
        if let Some(timer) = self.timer.take() {
            drop(Panic::catch(|| self.shared.start_timer(timer)));
        }
    }
}

/// The next step of a caller.
pub(crate) enum CheckoutStep<M: Manager> {
    /// Prepare to wait, and ask again.
    Prepare,
    /// Check this object, which was idle.
    Check(SlottedObject<M>),
    /// Spawn a creation in this slot, and wait.
    Create(NewSlot<M>),
    Wait,
    Done(Served<M>),
}
