//! One task or clean-up: given, then running.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use evenkeel_task::{BoxError, CatchPanic, IntoResult, Panic, Stop, Stopping, catch_panic};

use crate::Outcome;
use crate::run::Run;

type Work = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// Work that has not yet been started.
pub(crate) type Start = Box<dyn FnOnce(Stop) -> Work + Send>;

pub(crate) fn task<F, Fut>(task: F) -> Start
where
    F: FnOnce(Stop) -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    // The closure is called in the block, so that its panic is one of the task.
    Box::new(move |stop| Box::pin(async move { task(stop).await.into_result() }))
}

pub(crate) fn clean_up<F, Fut>(clean_up: F) -> Start
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output: IntoResult> + Send + 'static,
{
    Box::new(move |_stop| Box::pin(async move { clean_up().await.into_result() }))
}

/// Work that runs. It tells the run how it ended, and never fails itself.
pub(crate) struct Running {
    // Gone when the work has ended and has been reported.
    work: Option<CatchPanic<Work>>,
    index: usize,
    run: Arc<Run>,
    stop: Stop,
    // Gone when the signal has come.
    draining: Option<Pin<Box<Stopping>>>,
    aborting: Pin<Box<Stopping>>,
    busy: Busy,
}

/// Whether the work has its thread, so that others see which one does not give it back.
///
/// It guards nothing: who reads it wants to know about work that has had its thread for seconds.
#[derive(Clone, Default)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }
}

impl Running {
    pub(crate) fn new(start: Start, stop: Stop, index: usize, run: Arc<Run>, busy: Busy) -> Self {
        let (draining, aborting) = (Some(Box::pin(stop.draining())), Box::pin(stop.aborting()));
        Self { work: Some(catch_panic(start(stop.clone()))), index, run, stop, draining, aborting, busy }
    }

    /// Listens to its own signal, which the work may have given itself, and says whether it is an abort.
    fn hears_abort(&mut self, cx: &mut Context<'_>) -> bool {
        let drains = self.draining.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready());
        let aborts = self.aborting.as_mut().poll(cx).is_ready();
        if drains {
            self.draining = None;
        }
        if drains || aborts {
            self.run.heard(self.index);
        }
        aborts
    }

    fn cut(&mut self) {
        if let Some(work) = self.work.take() {
            self.busy.set(true);
            let outcome = Panic::catch(|| drop(work)).map_or_else(Outcome::Panicked, |()| Outcome::Aborted);
            self.busy.set(false);
            self.run.ended(self.index, outcome);
        }
    }
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.hears_abort(cx) {
            self.cut();
            return Poll::Ready(());
        }
        let Self { work, busy, .. } = &mut *self;
        let Some(work) = work else { return Poll::Ready(()) };
        // A panic of the work does not come past `catch_panic`.
        busy.set(true);
        let polled = Pin::new(work).poll(cx);
        busy.set(false);
        let Poll::Ready(output) = polled else { return Poll::Pending };
        let outcome = match output {
            Ok(Ok(())) => Outcome::Finished,
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) => Outcome::Panicked(panic),
        };
        self.work = None;
        if self.stop.is_draining() {
            self.run.heard(self.index);
        }
        self.run.ended(self.index, outcome);
        Poll::Ready(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cut();
    }
}
