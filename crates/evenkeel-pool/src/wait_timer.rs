//! The task that wakes the waiters of a pool whose time is up.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use evenkeel_base::FirstPanic;
use tokio::time::{Instant, timeout_at};

use crate::{
    Manager, Panic,
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
        let is_cut = Arc::new(AtomicBool::new(false));
        let shared = Arc::downgrade(self);
        let timer = RunningTimer { shared, start: start.clone(), is_cut: is_cut.clone(), has_ended: false };
        // In a runtime without timers it panics here.
        drop(tokio::time::sleep(Duration::ZERO));
        self.spawn_until_closed(timer.run());
        // It may have ended by itself: on another thread, if the waiter was called meanwhile.
        let is_in_vain = is_cut.load(Relaxed) && !self.read(|state| state.has_timer(&start));
        assert!(!is_in_vain, "a caller waits for an object of a pool in a runtime that is being shutdown");
    }
}

/// The work of the task; if its runtime drops that, the timer is removed, and those that relied on it are woken. It does not keep the pool alive.
struct RunningTimer<M: Manager> {
    shared: Weak<Shared<M>>,
    start: TimerStart,
    /// Set if it is dropped before its end.
    is_cut: Arc<AtomicBool>,
    has_ended: bool,
}

impl<M: Manager> RunningTimer<M> {
    async fn run(mut self) {
        while let Some(due) = self.next() {
            if timeout_at(due, self.start.0.notified()).await.is_err()
                && let Some(shared) = self.shared.upgrade()
                // A waker that panics is foreign code that failed; the others have been woken.
                && let Err(panic) = Panic::catch(|| shared.expire_due(Instant::now()))
            {
                shared.fail_in_task(panic);
            }
        }
        self.has_ended = true;
    }

    fn next(&self) -> Option<Instant> {
        let shared = self.shared.upgrade()?;
        shared.look(|state| state.next_due(&self.start, Instant::now()))
    }
}

impl<M: Manager> Drop for RunningTimer<M> {
    fn drop(&mut self) {
        self.is_cut.store(!self.has_ended, Relaxed);
        if let Some(shared) = self.shared.upgrade() {
            let stranded = shared.look(|state| state.remove_timer(&self.start));
            FirstPanic::default().wake(stranded);
        }
    }
}
