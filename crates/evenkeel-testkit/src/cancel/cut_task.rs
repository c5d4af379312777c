//! The task around the operation under test, which counts its suspension points and cuts it short.

use std::{
    cell::{Cell, OnceCell, RefCell},
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::Pin,
    rc::Rc,
    sync::{Arc, Weak},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use tokio::{
    task::{AbortHandle, JoinHandle, spawn_local},
    time::Instant,
};

use super::report::Cut;
use crate::world::runtime::live_tasks;

/// The limit of suspension points: beyond it the operation counts as one that never completes.
const MAX_POINTS: usize = 10_000;

/// The payload of the panic that cuts an operation short.
#[derive(Debug)]
pub(super) struct CutByPanic;

/// The progress of the operation in one run.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) points: Cell<usize>,
    /// The virtual time from the first poll to the end or the cut.
    pub(super) at: Cell<Duration>,
    pub(super) completed: Cell<bool>,
    task: OnceCell<AbortHandle>,
    waker: RefCell<Weak<OperationWaker>>,
    /// A lower bound of the tasks that it has spawned.
    pub(super) spawned: Cell<usize>,
    frozen: Cell<bool>,
    /// Woken when it freezes.
    watcher: RefCell<Option<Waker>>,
}

impl Progress {
    /// Returns whether the operation is frozen; if not, wakes the caller when it is.
    pub(super) fn is_frozen(&self, cx: &Context<'_>) -> bool {
        self.watcher.replace(Some(cx.waker().clone()));
        self.frozen.get()
    }

    fn freeze(&self) {
        self.frozen.set(true);
        if let Some(watcher) = self.watcher.take() {
            watcher.wake();
        }
    }

    /// The number of clones of the operation's waker.
    pub(super) fn wakers(&self) -> usize {
        self.waker.borrow().strong_count()
    }
}

/// Spawns the operation as a task that ends when it completes or is cut.
pub(super) fn spawn<F: Future + 'static>(operation: F, cut: Cut, progress: &Rc<Progress>) -> JoinHandle<()> {
    // Without its type: what runs it is compiled once for all operations with one output.
    let operation: Pin<Box<dyn Future<Output = F::Output>>> = Box::pin(operation);
    let task = spawn_local(run_cut(operation, cut, progress.clone()));
    progress.task.set(task.abort_handle()).expect("one run has one task");
    task
}

async fn run_cut<T>(mut operation: Pin<Box<dyn Future<Output = T>>>, cut: Cut, progress: Rc<Progress>) {
    let start = Instant::now();
    let task = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
    let waker = Arc::new(OperationWaker(task));
    progress.waker.replace(Arc::downgrade(&waker));
    let waker = Waker::from(waker);

    // Only the operation's waker wakes the task, so the operation is polled only when it was woken.
    let output = poll_fn(|_| {
        let end = |output| {
            progress.at.set(start.elapsed());
            Poll::Ready(output)
        };
        if progress.frozen.get() {
            return Poll::Pending;
        }
        if cut == Cut::Woken(progress.points.get()) {
            return end(None);
        }
        let tasks = live_tasks();
        let polled = operation.as_mut().poll(&mut Context::from_waker(&waker));
        progress.spawned.set(progress.spawned.get() + live_tasks().saturating_sub(tasks));
        if let Poll::Ready(output) = polled {
            progress.completed.set(true);
            return end(Some(output));
        }
        let point = progress.points.get() + 1;
        assert!(point <= MAX_POINTS, "the operation has more than {MAX_POINTS} suspension points");
        progress.points.set(point);
        if cut == Cut::Dropped(point) {
            return end(None);
        }
        progress.at.set(start.elapsed());
        if let (true, Some(task)) = (cut == Cut::Aborted(point), progress.task.get()) {
            task.abort();
        }
        if cut == Cut::Frozen(point) {
            progress.freeze();
        }
        if cut == Cut::Unwound(point) {
            // Unwinds, and so drops the operation, without calling the panic hook.
            resume_unwind(Box::new(CutByPanic));
        }
        Poll::Pending
    })
    .await;
    // The order of an await: first the future is dropped, then its output.
    drop(operation);
    drop(output);
}

/// A waker whose clones can be counted.
#[derive(Debug)]
struct OperationWaker(Waker);

impl Wake for OperationWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_by_ref();
    }
}
