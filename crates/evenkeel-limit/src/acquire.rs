//! Waiting for permits.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{task::coop::poll_proceed, time::Instant};

use crate::{denied::Denied, limiter::RateLimiter, queue::Key, turnstile::Request};

/// The future of [`RateLimiter::acquire`]: one permit.
///
/// # Cancel safety
///
/// Dropping it leaves the limiter as if it had never come, as said [there](RateLimiter::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Acquire, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(100);
/// let permit: Acquire<'_> = limiter.acquire();
/// permit.await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Acquire<'a>(Turn<&'a RateLimiter>);

/// The future of [`RateLimiter::acquire_many`]: several permits at once.
///
/// # Cancel safety
///
/// Dropping it leaves the limiter as if it had never come, as said [there](RateLimiter::acquire).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{AcquireMany, RateLimiter};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let limiter = RateLimiter::per_second(100);
/// let permits: AcquireMany<'_> = limiter.acquire_many(30);
/// assert!(permits.await.is_ok());
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct AcquireMany<'a>(Turn<&'a RateLimiter>);

impl<'a> Acquire<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter) -> Self {
        Self(Turn::new(limiter, Request { permits: 1, deadline: None, bounded: false }))
    }
}

impl<'a> AcquireMany<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter, permits: u32) -> Self {
        Self(Turn::new(limiter, Request { permits, deadline: None, bounded: true }))
    }

    /// Waits no longer than until `deadline`: if the turn comes later it is refused, as soon as that is known.
    ///
    /// That is at the first poll. A limiter that becomes slower while it waits refuses it then. Permits that
    /// are there are granted, whatever the deadline is.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{RateLimiter, Reason};
    /// use tokio::time::{Duration, Instant};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let limiter = RateLimiter::per_second(10).start_empty();
    /// let deadline = Instant::now() + Duration::from_millis(500);
    ///
    /// let denied = limiter.acquire_many(6).by(deadline).await.unwrap_err();
    /// assert_eq!(denied.reason, Reason::Deadline);
    /// assert_eq!(denied.retry_after, Some(Duration::from_millis(600)));
    /// assert!(limiter.acquire_many(5).by(deadline).await.is_ok());
    /// # }
    /// ```
    pub fn by(mut self, deadline: Instant) -> Self {
        self.0.request.deadline = Some(deadline);
        self
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = ready!(self.0.poll(cx));
        assert!(turn.is_ok(), "`acquire` of a limiter that is closed; `acquire_many(1)` is refused instead");
        Poll::Ready(())
    }
}

impl Future for AcquireMany<'_> {
    type Output = Result<(), Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// One request, on its way through the turnstile.
#[derive(Debug)]
pub(crate) struct Turn<L: Deref<Target = RateLimiter>> {
    pub(crate) limiter: L,
    pub(crate) request: Request,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Outside,
    Queued(Key),
    Done,
}

impl<L: Deref<Target = RateLimiter>> Turn<L> {
    pub(crate) fn new(limiter: L, request: Request) -> Self {
        Self { limiter, request, stage: Stage::Outside }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        let turnstile = self.limiter.turnstile();
        let poll = match self.stage {
            Stage::Outside => {
                // A loop over permits that are there has to let other tasks run.
                let proceed = ready!(poll_proceed(cx));
                match turnstile.enter(self.request, cx.waker()) {
                    Ok(Some(key)) => {
                        self.stage = Stage::Queued(key);
                        Poll::Pending
                    }
                    entered => {
                        proceed.made_progress();
                        Poll::Ready(entered.map(|_| ()))
                    }
                }
            }
            Stage::Queued(key) => turnstile.poll(key, cx.waker()),
            Stage::Done => panic!("polled after it was ready"),
        };
        if poll.is_ready() {
            self.stage = Stage::Done;
        }
        poll
    }
}

impl<L: Deref<Target = RateLimiter>> Drop for Turn<L> {
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.limiter.turnstile().leave(key);
        }
    }
}
