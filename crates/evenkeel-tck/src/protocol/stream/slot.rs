//! A task of the suite that can be dropped at once: an abort takes effect in the next turn of the runtime.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use evenkeel_base::lock;
use tokio::task::{AbortHandle, spawn_local};

use crate::BoxFuture;

/// Its future is taken out while it is polled.
#[derive(Default)]
pub(super) struct Slot(Mutex<(Option<BoxFuture<'static, ()>>, Option<AbortHandle>)>);

impl Slot {
    /// Runs this beside the rule.
    pub(super) fn run(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let slot = Self::new(future);
        slot.start();
        slot
    }

    /// A task that does not run yet.
    pub(super) fn new(future: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        Arc::new(Self(Mutex::new((Some(Box::pin(future)), None))))
    }

    /// Runs it, unless it was dropped.
    pub(super) fn start(self: &Arc<Self>) {
        let task = spawn_local(Running(self.clone())).abort_handle();
        lock(&self.0).1 = Some(task);
    }

    /// Drops the future.
    pub(super) fn cut(&self) {
        let (future, task) = std::mem::take(&mut *lock(&self.0));
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
        let future = lock(&self.0.0).0.take();
        let Some(mut future) = future else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            lock(&self.0.0).0 = Some(future);
        }
        polled
    }
}
