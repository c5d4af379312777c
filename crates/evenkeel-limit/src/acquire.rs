//! Waiting for permits.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::{denied::Denied, limiter::RateLimiter, queue::Key};

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
pub struct Acquire<'a>(Turn<'a>);

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
pub struct AcquireMany<'a>(Turn<'a>);

impl<'a> Acquire<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter) -> Self {
        Self(Turn { limiter, permits: 1, stage: Stage::Outside })
    }
}

impl<'a> AcquireMany<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter, permits: u32) -> Self {
        Self(Turn { limiter, permits, stage: Stage::Outside })
    }
}

impl Future for Acquire<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = ready!(self.0.poll(cx));
        debug_assert!(turn.is_ok(), "one permit fits into every burst");
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
struct Turn<'a> {
    limiter: &'a RateLimiter,
    permits: u32,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Outside,
    Queued(Key),
    Done,
}

impl Turn<'_> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Denied>> {
        let turnstile = self.limiter.turnstile();
        let poll = match self.stage {
            Stage::Outside => match turnstile.enter(self.permits, cx.waker()) {
                Ok(None) => Poll::Ready(Ok(())),
                Ok(Some(key)) => {
                    self.stage = Stage::Queued(key);
                    Poll::Pending
                }
                Err(denied) => Poll::Ready(Err(denied)),
            },
            Stage::Queued(key) => turnstile.poll(key, cx.waker()).map(Ok),
            Stage::Done => panic!("polled after it was ready"),
        };
        if poll.is_ready() {
            self.stage = Stage::Done;
        }
        poll
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Stage::Queued(key) = self.stage {
            self.limiter.turnstile().leave(key);
        }
    }
}
