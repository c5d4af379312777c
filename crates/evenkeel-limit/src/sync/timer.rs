//! A timer of a runtime that is started from any thread.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    task::{Context, Waker},
    time::Duration,
};

use tokio::{
    runtime::Handle,
    task::unconstrained,
    time::{Sleep, sleep},
};

/// A timer that is running, or has fired.
#[derive(Debug)]
pub(crate) struct Timer(Pin<Box<Sleep>>);

impl Timer {
    /// Starts a timer that calls `waker` in `wait` from now; returns `None` if the runtime has been shut down.
    ///
    /// It may call `waker` before it returns, on this thread, as tokio does when the timer fires meanwhile on another. The
    /// caller must not hold a lock that the waker takes.
    ///
    /// # Panics
    ///
    /// If the waker does.
    pub(crate) fn start(runtime: &Handle, wait: Duration, waker: &Waker) -> Option<Self> {
        let _entered = runtime.enter();
        // After the shutdown of a runtime its timers elapse at once, and panic if polled.
        let is_gone = || started(Duration::MAX).is_elapsed();
        let mut sleep = started(wait);
        if sleep.is_elapsed() && is_gone() {
            return None;
        }
        // Outside the cooperative budget of the task: when that is used up, the poll would call the waker as well.
        let poll = || pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(waker));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(_fired_if_ready) => Some(Self(sleep)),
            // It was shut down meanwhile. The thread that starts a timer for others must not panic for that.
            Err(_) if is_gone() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.0.is_elapsed()
    }
}

/// Returns a timer of the current runtime that is registered before it is polled.
fn started(wait: Duration) -> Pin<Box<Sleep>> {
    let mut sleep = Box::pin(sleep(wait));
    let deadline = sleep.deadline();
    sleep.as_mut().reset(deadline);
    sleep
}
