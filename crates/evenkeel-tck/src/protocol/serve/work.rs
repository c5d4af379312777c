//! A future of the implementation that the suite makes, starts and cancels by messages.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use tokio::task::{AbortHandle, spawn_local};

type Pending = Pin<Box<dyn Future<Output = ()>>>;

/// It is taken out of its slot to be polled, and dropped there.
pub(super) struct Work {
    slot: Rc<RefCell<Option<Pending>>>,
    task: Option<AbortHandle>,
    is_polled_at_once: bool,
}

impl Work {
    /// A future that tells its own end; not polled yet.
    pub(super) fn new(future: impl Future<Output = ()> + 'static) -> Self {
        let future: Pending = Box::pin(future);
        Self { slot: Rc::new(RefCell::new(Some(future))), task: None, is_polled_at_once: false }
    }

    /// It is polled for the first time when it is started, before anything else that can run.
    pub(super) fn polled_at_once(mut self) -> Self {
        self.is_polled_at_once = true;
        self
    }

    pub(super) fn start(&mut self) {
        let mut run = Run { slot: self.slot.clone() };
        if self.is_polled_at_once {
            // Its task polls it again, and is woken then.
            let _ = Pin::new(&mut run).poll(&mut Context::from_waker(Waker::noop()));
        }
        self.task = Some(spawn_local(run).abort_handle());
    }

    /// Starts it in the task of others.
    pub(super) fn start_on(&self, runner: &CallerTask) {
        runner.add(Run { slot: self.slot.clone() });
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

/// One task that runs all that a task of the suite awaits: a deadlock is found by the tasks that wait and hold.
pub(super) struct CallerTask {
    shared: Rc<RefCell<Shared>>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    runs: Vec<Run>,
    waker: Option<Waker>,
}

impl CallerTask {
    pub(super) fn new() -> Self {
        let shared: Rc<RefCell<Shared>> = Rc::default();
        let seen = shared.clone();
        let task = spawn_local(poll_fn(move |cx| {
            let waker = cx.waker().clone();
            let old = seen.borrow_mut().waker.replace(waker);
            drop(old);
            let mut runs = std::mem::take(&mut seen.borrow_mut().runs);
            runs.retain_mut(|run| Pin::new(run).poll(cx).is_pending());
            seen.borrow_mut().runs.append(&mut runs);
            Poll::<()>::Pending
        }));
        Self { shared, task: task.abort_handle() }
    }

    fn add(&self, run: Run) {
        let waker = {
            let mut shared = self.shared.borrow_mut();
            shared.runs.push(run);
            shared.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for CallerTask {
    fn drop(&mut self) {
        self.task.abort();
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
