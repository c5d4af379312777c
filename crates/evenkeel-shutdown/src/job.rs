//! One task: given, then running.

use std::borrow::Cow;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use evenkeel_task::{BoxError, CatchPanic, IntoResult, Panic, Stop, catch_panic};

use crate::Outcome;
use crate::run::Run;

type Work = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// A task that has been given and not yet started.
pub(crate) struct Job {
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    start: Box<dyn FnOnce(Stop) -> Work + Send>,
}

impl Job {
    pub(crate) fn new<F, Fut>(name: Cow<'static, str>, place: &'static Location<'static>, task: F) -> Self
    where
        F: FnOnce(Stop) -> Fut + Send + 'static,
        Fut: Future<Output: IntoResult> + Send + 'static,
    {
        // The closure is called in the block, so that its panic is one of the task.
        let start = move |stop| -> Work { Box::pin(async move { task(stop).await.into_result() }) };
        Self { name, place, start: Box::new(start) }
    }

    /// The task as a future that tells `run` how it ended, and never fails itself.
    pub(crate) fn start(self, index: usize, run: Arc<Run>) -> Running {
        let work = catch_panic((self.start)(run.stop().clone()));
        Running { work: Some(work), index, run }
    }
}

/// A task that runs.
pub(crate) struct Running {
    // Gone when the task has ended and has been reported.
    work: Option<CatchPanic<Work>>,
    index: usize,
    run: Arc<Run>,
}

impl Future for Running {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(work) = &mut self.work else { return Poll::Ready(()) };
        let outcome = match ready!(Pin::new(work).poll(cx)) {
            Ok(Ok(())) => Outcome::Finished,
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) => Outcome::Panicked(panic),
        };
        self.work = None;
        self.run.ended(self.index, outcome);
        Poll::Ready(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let outcome = Panic::catch(|| drop(work)).map_or_else(Outcome::Panicked, |()| Outcome::Aborted);
            self.run.ended(self.index, outcome);
        }
    }
}
