//! The future that runs one task or clean-up in the run's group and records how it ends.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use evenkeel_task::{CatchPanic, Panic, Stop, Stopping, catch_panic};

use crate::{
    Outcome,
    run::Run,
    work::{PollFlag, Start, Work},
};

/// Runs the work, and records its end in the run exactly once; never fails itself.
pub(crate) struct TaskFuture {
    // `None` once the work has ended and its end is recorded.
    work: Option<CatchPanic<Work>>,
    index: usize,
    run: Arc<Run>,
    stop: Stop,
    // `None` once the signal has come.
    draining: Option<Pin<Box<Stopping>>>,
    aborting: Pin<Box<Stopping>>,
    polling: PollFlag,
}

impl TaskFuture {
    pub(crate) fn new(start: Start, stop: Stop, index: usize, run: Arc<Run>, polling: PollFlag) -> Self {
        let (draining, aborting) = (Some(Box::pin(stop.draining())), Box::pin(stop.aborting()));
        Self { work: Some(catch_panic(start(stop.clone()))), index, run, stop, draining, aborting, polling }
    }

    /// Polls the task's own stop signals, which the work may have given itself, and returns whether it is aborted.
    fn poll_signals(&mut self, cx: &mut Context<'_>) -> bool {
        let drains = self.draining.as_mut().is_some_and(|signal| signal.as_mut().poll(cx).is_ready());
        let aborts = self.aborting.as_mut().poll(cx).is_ready();
        if drains {
            self.draining = None;
        }
        if drains || aborts {
            self.run.on_task_signal(self.index);
        }
        aborts
    }

    fn abort(&mut self) {
        if let Some(work) = self.work.take() {
            self.polling.set(true);
            let outcome = Panic::catch(|| drop(work)).map_or_else(Outcome::Panicked, |()| Outcome::Aborted);
            self.polling.set(false);
            self.run.record_end(self.index, outcome);
        }
    }
}

impl Future for TaskFuture {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        // The abort goes first: work that is both ready and aborted is not polled again.
        if this.poll_signals(cx) {
            this.abort();
            return Poll::Ready(());
        }
        let Some(work) = &mut this.work else { return Poll::Ready(()) };
        // `catch_panic` returns a panic of the work as a value, so the flag is always cleared.
        this.polling.set(true);
        let polled = Pin::new(work).poll(cx);
        this.polling.set(false);
        let Poll::Ready(output) = polled else { return Poll::Pending };
        let outcome = match output {
            Ok(Ok(())) => Outcome::Finished,
            Ok(Err(error)) => Outcome::Failed(error),
            Err(panic) => Outcome::Panicked(panic),
        };
        this.work = None;
        // The work may have drained its own `Stop` in this very poll, which no later poll would see.
        if this.stop.is_draining() {
            this.run.on_task_signal(this.index);
        }
        this.run.record_end(this.index, outcome);
        Poll::Ready(())
    }
}

impl Drop for TaskFuture {
    fn drop(&mut self) {
        self.abort();
    }
}
