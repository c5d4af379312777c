//! The run of a stage's function for one item or batch.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use evenkeel_base::{error_chain, far_future, poll_timer, sleep_until};
use evenkeel_task::{BoxError, Panic};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::{
    stage::{Stage, Turn},
    token::{LeaseHolder, SAMPLED},
};

/// The reason for which a function did not return.
#[derive(Debug)]
pub(crate) enum Interrupted {
    Panicked(Panic),
    TimedOut(Duration),
    /// The lease of the item, or those of all items, were lost: the work was dropped.
    Lost,
}

pin_project! {
    /// Polls the function of a stage: catches its panics, measures, and ends it when its time or its lease is over.
    pub(crate) struct Work<'a, L, Fut> {
        #[pin]
        future: Fut,
        stage: &'a Stage,
        leases: L,
        // When the first poll was pending.
        pending_since: Option<Instant>,
        // Most functions end without a timer.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<'a, L, Fut> Work<'a, L, Fut> {
    pub(crate) const fn new(stage: &'a Stage, leases: L, future: Fut) -> Self {
        Self { future, stage, leases, pending_since: None, timer: None }
    }
}

impl<L: LeaseHolder, Fut: Future> Future for Work<'_, L, Fut> {
    type Output = Result<Fut::Output, Interrupted>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.leases.is_lost() {
            return Poll::Ready(Err(Interrupted::Lost));
        }
        let sampled = (this.pending_since.is_none() && this.leases.is_sampled()).then(Instant::now);
        let polled = Panic::catch(|| this.future.as_mut().poll(cx));
        if let Some(start) = sampled {
            let scaled = start.elapsed().saturating_mul(SAMPLED);
            this.stage.worked(scaled);
        }
        let output = match polled {
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(Interrupted::Panicked(panic)),
            Ok(Poll::Pending) => {
                let since = match *this.pending_since {
                    Some(since) => since,
                    None => {
                        this.leases.watch(cx);
                        // A lease that was lost in between had nobody to wake.
                        if this.leases.is_lost() {
                            return Poll::Ready(Err(Interrupted::Lost));
                        }
                        *this.pending_since.insert(Instant::now())
                    }
                };
                let Some(timeout) = this.stage.timeout() else { return Poll::Pending };
                let timer = this.timer.get_or_insert_with(|| {
                    let end = since.checked_add(timeout);
                    Box::pin(sleep_until(end.unwrap_or_else(|| far_future(since))))
                });
                if poll_timer(timer.as_mut(), cx).is_pending() {
                    return Poll::Pending;
                }
                Err(Interrupted::TimedOut(timeout))
            }
        };
        if let Some(since) = *this.pending_since {
            this.stage.worked(since.elapsed());
        }
        Poll::Ready(output)
    }
}

/// Ends the turn of a function. A failure has its reason; there is none if the leases were lost.
#[inline]
pub(crate) fn judge<T, E: Into<BoxError>>(
    turn: Turn<'_>,
    stage: &Stage,
    result: Result<Result<T, E>, Interrupted>,
) -> Result<T, Option<String>> {
    match result {
        Ok(Ok(output)) => {
            turn.done();
            Ok(output)
        }
        Ok(Err(error)) => Err(failed(stage, Ok(error.into()))),
        Err(interrupted) => Err(failed(stage, Err(interrupted))),
    }
}

#[cold]
fn failed(stage: &Stage, failure: Result<BoxError, Interrupted>) -> Option<String> {
    let problem = match failure {
        Ok(error) => error_chain(&*error),
        Err(Interrupted::Panicked(panic)) => panic.to_string(),
        Err(Interrupted::TimedOut(timeout)) => format!("timed out after {timeout:?}"),
        Err(Interrupted::Lost) => return None,
    };
    Some(stage.failed(&problem))
}
