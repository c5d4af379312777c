//! The tasks that wait until nothing else can run: `World::settle`.

use std::{
    future::poll_fn,
    sync::Mutex,
    task::{Poll, Waker},
};

use evenkeel_base::lock;

/// Wakers of pending `settle` calls, woken each time that the runtime is idle.
#[derive(Debug, Default)]
pub(super) struct SettleWaiters(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// How many times the runtime was idle.
    idle_count: u64,
    wakers: Vec<Waker>,
}

impl SettleWaiters {
    /// Wakes all waiters: the runtime has nothing to run, and is about to park.
    pub(super) fn idle(&self) {
        let mut state = lock(&self.0);
        state.idle_count += 1;
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    pub(super) async fn settle(&self) {
        let begun = lock(&self.0).idle_count;
        poll_fn(|cx| {
            // Cloned without the lock: a clone may run foreign code.
            let waker = cx.waker().clone();
            let mut state = lock(&self.0);
            if state.idle_count > begun {
                return Poll::Ready(());
            }
            state.wakers.push(waker);
            Poll::Pending
        })
        .await;
    }
}
