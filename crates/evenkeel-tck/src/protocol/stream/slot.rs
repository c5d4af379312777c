//! A task of the suite that can be dropped at once: an abort takes effect in the next turn of the runtime.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use evenkeel_base::lock;
use tokio::task::{AbortHandle, spawn_local};

use crate::BoxFuture;

pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    /// Taken out while it is polled.
    future: Option<BoxFuture<'static, ()>>,
    task: Option<AbortHandle>,
    is_cut: bool,
}

impl Slot {
    /// Runs this beside the rule.
    pub(super) fn run(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let slot = Self::new(future);
        slot.start();
        slot
    }

    /// A task that does not run yet.
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { future: Some(Box::pin(future)), ..State::default() })))
    }

    /// Runs it, unless it was dropped.
    pub(super) fn start(self: &Arc<Self>) {
        let task = spawn_local(Running(self.clone())).abort_handle();
        lock(&self.0).task = Some(task);
    }

    /// Drops the future. One that is polled is dropped behind that poll.
    pub(super) fn cut(&self) {
        let cut = State { is_cut: true, ..State::default() };
        let State { future, task, .. } = std::mem::replace(&mut *lock(&self.0), cut);
        if let Some(task) = task {
            task.abort();
        }
        drop(future);
    }
}

struct Running(Arc<Slot>);

impl Future for Running {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let future = lock(&self.0.0).future.take();
        let Some(mut future) = future else { return Poll::Ready(()) };
        if future.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let mut state = lock(&self.0.0);
        if state.is_cut {
            drop(state);
            return Poll::Ready(());
        }
        state.future = Some(future);
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::{Arc, OnceLock},
        task::Poll,
    };

    use evenkeel_testkit::World;

    use super::Slot;

    #[test]
    fn a_cut_by_its_own_future_drops_it() {
        World::run(async |world| {
            let (own, alive) = (Arc::new(OnceLock::<Arc<Slot>>::new()), Arc::new(()));
            let (seen, held) = (own.clone(), alive.clone());
            let slot = Slot::new(async move {
                poll_fn(|_| {
                    seen.get().expect("it is known").cut();
                    Poll::Ready(())
                })
                .await;
                pending::<()>().await;
                drop(held);
            });
            assert!(own.set(slot.clone()).is_ok());
            slot.start();
            world.settle().await;
            assert_eq!(Arc::strong_count(&alive), 1);
        });
    }
}
