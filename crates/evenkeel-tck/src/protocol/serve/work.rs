//! A future of the implementation that the suite makes, starts and cancels by messages.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use tokio::task::{AbortHandle, spawn_local};

type Pending = Pin<Box<dyn Future<Output = ()>>>;

/// It is taken out of its slot to be polled, and dropped there.
pub(super) struct Work {
    slot: Rc<RefCell<Option<Pending>>>,
    task: Option<AbortHandle>,
}

impl Work {
    /// A future that tells its own end; not polled yet.
    pub(super) fn new(future: impl Future<Output = ()> + 'static) -> Self {
        let future: Pending = Box::pin(future);
        Self { slot: Rc::new(RefCell::new(Some(future))), task: None }
    }

    pub(super) fn start(&mut self) {
        let run = Run { slot: self.slot.clone() };
        self.task = Some(spawn_local(run).abort_handle());
    }

    /// Drops the future. Returns whether it had not ended.
    pub(super) fn cancel(&mut self) -> bool {
        let future = self.slot.take();
        let was_running = future.is_some();
        drop(future);
        if let Some(task) = &self.task {
            task.abort();
        }
        was_running
    }
}

struct Run {
    slot: Rc<RefCell<Option<Pending>>>,
}

impl Future for Run {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let future = self.slot.take();
        let Some(mut future) = future else { return Poll::Ready(()) };
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            self.slot.replace(Some(future));
        }
        polled
    }
}
