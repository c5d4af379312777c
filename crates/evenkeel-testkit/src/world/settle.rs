//! When a world has nothing to run but timers.

use std::{
    future::poll_fn,
    sync::Mutex,
    task::{Poll, Waker},
};

use evenkeel_base::lock;

/// Told by the runtime each time that it has nothing to run.
#[derive(Debug, Default)]
pub(super) struct SettleWaiters {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often the runtime had nothing to run.
    times: u64,
    settling: Vec<Waker>,
}

impl SettleWaiters {
    /// The runtime is about to park.
    pub(super) fn reached(&self) {
        let mut state = lock(&self.state);
        state.times += 1;
        let settling = std::mem::take(&mut state.settling);
        drop(state);
        settling.into_iter().for_each(Waker::wake);
    }

    pub(super) async fn settle(&self) {
        let begun = lock(&self.state).times;
        poll_fn(|cx| {
            // Not under the lock: it may run anything.
            let waker = cx.waker().clone();
            let mut state = lock(&self.state);
            if state.times > begun {
                return Poll::Ready(());
            }
            state.settling.push(waker);
            Poll::Pending
        })
        .await;
    }
}
