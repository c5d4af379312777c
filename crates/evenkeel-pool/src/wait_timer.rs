//! The task that wakes the waiters of a pool whose time is up.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use crate::{
    GetError, Manager, Panic,
    state::{Shared, TimerStart},
};

impl<M: Manager> Shared<M> {
    /// Starts the timer of the runtime in which it is called.
    ///
    /// # Panics
    ///
    /// If the runtime has no timers, or was shut down.
    #[cold]
    pub(crate) fn start_timer(self: &Arc<Self>, start: TimerStart) {
        let timer = RunningTimer { shared: Arc::downgrade(self), start: start.clone() };
        // In a runtime without timers it panics here.
        drop(tokio::time::sleep(Duration::ZERO));
        self.spawn_until_closed(timer.run());
        let is_running = self.read(|state| state.has_timer(&start));
        assert!(is_running, "a caller waits for an object of a pool in a runtime that is being shutdown");
    }
}

/// The work of the task; if its runtime drops that, the timer is removed. It does not keep the pool alive.
struct RunningTimer<M: Manager> {
    shared: Weak<Shared<M>>,
    start: TimerStart,
}

impl<M: Manager> RunningTimer<M> {
    async fn run(self) {
        while let Some(due) = self.next() {
            if timeout_at(due, self.start.0.notified()).await.is_err()
                && let Some(shared) = self.shared.upgrade()
                // A waker that panics is foreign code that failed; the others have been woken.
                && let Err(panic) = Panic::catch(|| shared.expire_due(Instant::now()))
            {
                shared.fail(GetError::Panic(panic));
            }
        }
    }

    fn next(&self) -> Option<Instant> {
        let shared = self.shared.upgrade()?;
        shared.look(|state| state.next_due(&self.start, Instant::now()))
    }
}

impl<M: Manager> Drop for RunningTimer<M> {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.look(|state| state.remove_timer(&self.start));
        }
    }
}
