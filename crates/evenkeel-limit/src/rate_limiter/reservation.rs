//! Permits that can be returned, or corrected when the cost is known.

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::Instant;

use super::{RateLimiter, acquire::AcquireInner};
use crate::{
    algorithm::{Algorithm, clock::Tokens},
    error::Denied,
    sync::edges::CallPlace,
};

impl RateLimiter {
    /// Waits for `permits` that can be returned, or corrected when the cost is known.
    ///
    /// It waits as [`acquire_many`](Self::acquire_many) does. The reservation can be [committed](Reservation::commit) or
    /// [settled](Reservation::settle); if it is dropped, its permits go back.
    ///
    /// # Errors
    ///
    /// The errors of [`acquire_many`](Self::acquire_many).
    ///
    /// # Panics
    ///
    /// When polled, if it has to wait outside of a tokio runtime with timers. Nothing is taken then.
    ///
    /// # Cancel safety
    ///
    /// That of [`acquire`](Self::acquire).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::RateLimiter;
    ///
    /// # async fn ask(_prompt: &str) -> u32 { 700 }
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), evenkeel_limit::Denied> {
    /// let tokens = RateLimiter::per_second(1000);
    /// let reservation = tokens.reserve(500).await?; // an estimate; dropped, it would go back
    /// let used = ask("how many tokens is this?").await;
    /// reservation.settle(used);
    /// assert_eq!(tokens.snapshot().available, 300);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn reserve(&self, permits: u32) -> Reserve<'_> {
        self.reserve_from(permits, CallPlace::here())
    }

    /// Does the same for a call from this place.
    pub(crate) fn reserve_from(&self, permits: u32, call: CallPlace) -> Reserve<'_> {
        Reserve(AcquireInner::new(self, permits, true, call))
    }
}

/// The future of [`RateLimiter::reserve`].
///
/// # Cancel safety
///
/// That of [`RateLimiter::acquire`].
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, Reserve};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let limiter = RateLimiter::per_second(100);
/// let permits: Reserve<'_> = limiter.reserve(30);
/// permits.await?.commit();
/// assert_eq!(limiter.snapshot().available, 70);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Reserve<'a>(AcquireInner<&'a RateLimiter>);

impl Reserve<'_> {
    /// Waits no longer than until `deadline`, as [`AcquireMany::by`](crate::AcquireMany::by) does.
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
    /// assert_eq!(limiter.reserve(6).by(deadline).await.unwrap_err().reason, Reason::Deadline);
    /// # }
    /// ```
    pub fn by(mut self, deadline: Instant) -> Self {
        self.0.request.deadline = Some(deadline);
        self
    }
}

impl<'a> Future for Reserve<'a> {
    type Output = Result<Reservation<'a>, Denied>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let decision = ready!(self.0.poll(cx));
        let (limiter, permits) = (self.0.limiter, self.0.request.permits);
        Poll::Ready(decision.map(|()| Reservation::new(limiter, permits)))
    }
}

/// Permits that were taken, and go back when the reservation is dropped: their work has not been done.
///
/// They go back up to the burst; in a [sliding](RateLimiter::sliding) window, if they still count. Return them soon: a
/// bucket that has filled up meanwhile, and was used again, has them twice.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::RateLimiter;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let limiter = RateLimiter::per_second(10);
/// drop(limiter.reserve(4).await?);
/// assert_eq!(limiter.snapshot().available, 10);
/// limiter.reserve(4).await?.commit();
/// assert_eq!(limiter.snapshot().available, 6);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the permits go back when it is dropped"]
pub struct Reservation<'a>(Spent<'a>);

impl<'a> Reservation<'a> {
    pub(crate) fn new(limiter: &'a RateLimiter, permits: u32) -> Self {
        let mark = limiter.core().with(|state| state.algorithm.as_ref().map(Algorithm::mark));
        Self(Spent { limiter, permits, mark })
    }

    /// Returns the number of permits.
    #[must_use]
    pub fn permits(&self) -> u32 {
        self.0.permits
    }

    /// Spends the permits.
    pub fn commit(self) {
        self.spend();
    }

    pub(crate) fn spend(self) -> Spent<'a> {
        let spent = self.0;
        mem::forget(self);
        spent
    }

    /// Spends the permits that were `used`, which may be less or more than were taken.
    ///
    /// The rest goes back, up to the burst. Missing permits are taken at once, and earned before anything else is granted;
    /// waiters whose turns now come after their deadlines are denied.
    pub fn settle(self, used: u32) {
        let spent = self.spend();
        if used > spent.permits {
            spent.limiter.core().change(|state| {
                if let Some(algorithm) = &mut state.algorithm {
                    algorithm.spend(used - spent.permits);
                }
            });
        } else {
            spent.give_back(spent.permits - used);
        }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        self.0.refund();
    }
}

/// Permits that were taken from a limiter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spent<'a> {
    limiter: &'a RateLimiter,
    pub(crate) permits: u32,
    /// The mark of the algorithm right after the grant; `None` if there was no limit.
    mark: Option<Tokens>,
}

impl Spent<'_> {
    pub(crate) fn refund(self) {
        self.give_back(self.permits);
    }

    /// Returns some of the permits, if they still count.
    fn give_back(self, permits: u32) {
        let Some(mark) = self.mark else { return };
        self.limiter.core().with(|state| {
            if let Some(algorithm) = &mut state.algorithm {
                algorithm.give_back(permits, mark);
            }
        });
    }
}
