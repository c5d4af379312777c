//! A timer of a runtime.

use std::{
    future::Future,
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
    pub(crate) fn start(runtime: &Handle, wait: Duration, waker: &Waker) -> Option<Self> {
        let _entered = runtime.enter();
        let mut sleep = started(wait);
        // Once a runtime has been shut down its timers elapse at once, and panic if polled.
        if sleep.is_elapsed() && started(Duration::MAX).is_elapsed() {
            return None;
        }
        // Without regard to the budget of the task, which would call the waker as well.
        let _fired_if_ready = pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(waker));
        Some(Self(sleep))
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
