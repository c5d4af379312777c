//! The task for the upkeep of a pool.

use std::sync::{Arc, Weak};

use evenkeel_base::{FirstPanic, far_future};
use tokio::{
    runtime::Handle,
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{
    Manager, Panic, PoolEvent,
    checkout::create,
    state::{Shared, SlottedObject, State, UpkeepWork},
};

impl<M: Manager> Shared<M> {
    /// Starts the task of the pool, if it needs one that is not running, and there is a runtime.
    pub(crate) fn start_upkeep(self: &Arc<Self>) {
        if !self.limits.needs_upkeep() || Handle::try_current().is_err() {
            return;
        }
        let now = Instant::now();
        if self.look(|state| state.start_upkeep(now)) {
            let task = UpkeepTask { shared: Arc::downgrade(self), told: Arc::clone(&self.upkeep) };
            self.spawn_until_closed(task.run());
        }
    }

    /// Does what is due, and returns the time at which there is something more to do.
    fn keep_up(self: &Arc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let UpkeepWork { outdated, creations, held_long, next } =
            self.update(|state| state.keep_up(self, now));
        for slot in creations {
            self.spawn("a creation", create(slot));
        }
        for holder in held_long {
            self.tell(&PoolEvent::HeldLong { holder });
        }
        let mut panics = FirstPanic::default();
        for (idle, reason) in outdated {
            self.tell(&PoolEvent::Discarded { reason });
            panics.catch(|| drop(SlottedObject::was_idle(self, idle)));
        }
        panics.resume();
        next
    }
}

/// The work of the task. It does not keep the pool alive.
struct UpkeepTask<M: Manager> {
    shared: Weak<Shared<M>>,
    told: Arc<Notify>,
}

impl<M: Manager> UpkeepTask<M> {
    async fn run(self) {
        loop {
            let next = match self.shared.upgrade() {
                None => return,
                Some(shared) => match Panic::catch(|| shared.keep_up()) {
                    Ok(next) => next,
                    // The destructor of an object panicked; the rest is done.
                    Err(panic) => {
                        shared.fail_in_task(panic);
                        continue;
                    }
                },
            };
            let next = next.unwrap_or_else(|| far_future(Instant::now()));
            // Told or not, it looks.
            let _ = timeout_at(next, self.told.notified()).await;
        }
    }
}

impl<M: Manager> Drop for UpkeepTask<M> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.look(State::end_upkeep);
        }
    }
}
