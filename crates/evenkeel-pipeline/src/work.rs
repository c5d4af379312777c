//! The run of a stage's function for one item or batch.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use evenkeel_base::{error_chain, far_future, poll_timer, sleep_until};
use evenkeel_task::{BoxError, Panic};
use tokio::time::{Instant, Sleep};

use crate::{
    edges::Hold,
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

/// Runs a function under its leases: catches its panics, measures, and ends it when its time or its lease is over.
pub(crate) async fn work<L: LeaseHolder, Fut: Future>(
    stage: &Stage,
    mut leases: L,
    call: impl FnOnce() -> Fut,
) -> Result<Fut::Output, Interrupted> {
    let mut future = pin!(None);
    let mut call = Some(call);
    let first = poll_fn(|cx| Poll::Ready(poll_first(stage, &mut leases, future.as_mut(), &mut call, cx)));
    match first.await {
        Poll::Ready(result) => return result,
        Poll::Pending => {}
    }
    Pending::new(future, stage, leases).await
}

/// Calls a function, and polls its future for the first time. Most end here, which needs no timer, no waker and mostly no
/// clock; the others are [`Pending`].
#[inline]
pub(crate) fn poll_first<L: LeaseHolder, Fut: Future>(
    stage: &Stage,
    leases: &mut L,
    mut future: Pin<&mut Option<Fut>>,
    call: &mut Option<impl FnOnce() -> Fut>,
    cx: &mut Context<'_>,
) -> Poll<Result<Fut::Output, Interrupted>> {
    if leases.is_lost() {
        return Poll::Ready(Err(Interrupted::Lost));
    }
    let start = leases.is_sampled().then(Instant::now);
    let polled = Panic::catch(|| {
        // The function may do something before its future is polled.
        if let Some(call) = call.take() {
            future.set(Some(call()));
        }
        poll_and_drop(future.as_mut(), cx)
    });
    if let Some(start) = start {
        stage.worked(start.elapsed().saturating_mul(SAMPLED));
    }
    match polled {
        Ok(polled) => {
            if polled.is_ready() {
                stage.edges.end_at_once();
            }
            polled.map(Ok)
        }
        Err(panic) => {
            stage.edges.end_at_once();
            // Of several panics the first one says most.
            drop(Panic::catch(|| future.set(None)));
            Poll::Ready(Err(Interrupted::Panicked(panic)))
        }
    }
}

/// Polls a future, and drops it when it has ended: before others may take its turn.
#[inline]
fn poll_and_drop<Fut: Future>(mut future: Pin<&mut Option<Fut>>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
    let Some(running) = future.as_mut().as_pin_mut() else { return Poll::Pending };
    let output = ready!(running.poll(cx));
    future.set(None);
    Poll::Ready(output)
}

/// The work of a function that did not end at its first poll.
pub(crate) struct Pending<'a, 'f, L, Fut> {
    future: Pin<&'f mut Option<Fut>>,
    stage: &'a Stage,
    leases: L,
    /// When the first poll was pending.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    hold: Hold<'a>,
}

// Nothing is pinned in it.
impl<L, Fut> Unpin for Pending<'_, '_, L, Fut> {}

impl<'a, 'f, L: LeaseHolder, Fut: Future> Pending<'a, 'f, L, Fut> {
    pub(crate) const fn new(future: Pin<&'f mut Option<Fut>>, stage: &'a Stage, leases: L) -> Self {
        Self { future, stage, leases, since: None, timer: None, hold: Hold::none() }
    }

    fn poll_work(&mut self, since: Instant, cx: &mut Context<'_>) -> Poll<Result<Fut::Output, Interrupted>> {
        if self.leases.is_lost() {
            return Poll::Ready(Err(Interrupted::Lost));
        }
        let polled = Panic::catch(|| poll_and_drop(self.future.as_mut(), cx));
        let output = match polled {
            Ok(Poll::Ready(output)) => Ok(output),
            Err(panic) => Err(Interrupted::Panicked(panic)),
            Ok(Poll::Pending) => Err(Interrupted::TimedOut(ready!(self.poll_timeout(since, cx)))),
        };
        let now = Instant::now();
        self.stage.worked(now - since);
        self.hold.end(now);
        Poll::Ready(output)
    }

    /// Waits for the end of the time, and returns it.
    fn poll_timeout(&mut self, since: Instant, cx: &mut Context<'_>) -> Poll<Duration> {
        let Some(timeout) = self.stage.timeout() else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| {
            let end = since.checked_add(timeout);
            Box::pin(sleep_until(end.unwrap_or_else(|| far_future(since))))
        });
        poll_timer(timer.as_mut(), cx).map(|()| timeout)
    }
}

impl<L: LeaseHolder, Fut: Future> Future for Pending<'_, '_, L, Fut> {
    type Output = Result<Fut::Output, Interrupted>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = match this.since {
            Some(since) => this.poll_work(since, cx),
            None => {
                let since = *this.since.insert(Instant::now());
                this.hold.begin(&this.stage.edges, since);
                this.leases.watch(cx);
                // A lease that was lost in between had nobody to wake.
                if this.leases.is_lost() {
                    Poll::Ready(Err(Interrupted::Lost))
                } else {
                    this.poll_timeout(since, cx).map(|timeout| Err(Interrupted::TimedOut(timeout)))
                }
            }
        };
        if polled.is_ready() {
            this.future.set(None);
        }
        polled
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
