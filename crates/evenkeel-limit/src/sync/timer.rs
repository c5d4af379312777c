//! A timer of a runtime.

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
    /// Calls `waker` in `wait` from now; `None` if the runtime has been shut down.
    ///
    /// It may call `waker` before it returns, on this thread: so does tokio when the timer fires meanwhile on another.
    /// No lock may be held that the waker takes.
    ///
    /// # Panics
    ///
    /// If the waker does.
    pub(crate) fn start(runtime: &Handle, wait: Duration, waker: &Waker) -> Option<Self> {
        let _entered = runtime.enter();
        // Once a runtime has been shut down its timers elapse at once, and panic if polled.
        let is_gone = || started(Duration::MAX).is_elapsed();
        let mut sleep = started(wait);
        if sleep.is_elapsed() && is_gone() {
            return None;
        }
        // Without regard to the budget of the task, which would call the waker as well.
        let poll = || pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(waker));
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(_fired_if_ready) => Some(Self(sleep)),
            // It was shut down meanwhile: that is no matter of the one who starts a timer for others.
            Err(_) if is_gone() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    pub(crate) fn has_fired(&self) -> bool {
        self.0.is_elapsed()
    }
}

/// A timer of the current runtime that is running before it is polled.
fn started(wait: Duration) -> Pin<Box<Sleep>> {
    let mut sleep = Box::pin(sleep(wait));
    let deadline = sleep.deadline();
    sleep.as_mut().reset(deadline);
    sleep
}
