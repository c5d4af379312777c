//! The right to run.

use std::{fmt, ops::Deref, sync::Arc};

use tokio::time::Instant;

use super::{
    adaptive::{Outcome, Sample},
    limiter::ConcurrencyLimiter,
    slots::Grant,
};

/// A limiter that is borrowed or shared.
#[derive(Clone)]
pub(super) enum Handle<'a> {
    Borrowed(&'a ConcurrencyLimiter),
    Owned(Arc<ConcurrencyLimiter>),
}

impl Deref for Handle<'_> {
    type Target = ConcurrencyLimiter;

    fn deref(&self) -> &ConcurrencyLimiter {
        match self {
            Self::Borrowed(limiter) => limiter,
            Self::Owned(limiter) => limiter,
        }
    }
}

/// The right to run something; when it is dropped, the next one may.
///
/// It goes back however the work ends: with a result, with a panic, or by being dropped. To an
/// [adaptive](ConcurrencyLimiter::adaptive) limiter it reports how the work went, by [`success`](Self::success) or
/// [`overload`](Self::overload); dropped, it reports nothing.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{ConcurrencyLimiter, Permit};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let limiter = ConcurrencyLimiter::new(1);
/// let permit: Permit<'_> = limiter.acquire().await?;
/// assert!(limiter.try_acquire().is_err());
/// drop(permit);
/// assert!(limiter.try_acquire().is_ok());
/// # Ok(())
/// # }
/// ```
#[must_use = "it goes back when it is dropped"]
pub struct Permit<'a> {
    limiter: Handle<'a>,
    weight: u32,
    /// When it was granted and what was in use then, if that is to be measured.
    measured: Option<(Instant, u64)>,
    outcome: Option<Outcome>,
}

impl<'a> Permit<'a> {
    pub(super) fn new(limiter: Handle<'a>, grant: Grant) -> Self {
        let measured = grant.measured.map(|in_use| (Instant::now(), in_use));
        Self { limiter, weight: grant.weight, measured, outcome: None }
    }

    /// The weight that is in use by it.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Gives it back: the work went well, and its time tells how busy the other side is.
    pub fn success(mut self) {
        self.outcome = Some(Outcome::Success);
    }

    /// Gives it back: the other side was overloaded. It timed out, or refused.
    pub fn overload(mut self) {
        self.outcome = Some(Outcome::Overload);
    }

    /// Gives it back: how the work went says nothing about the other side. The same as dropping it.
    pub fn ignore(self) {}
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let sample = self.outcome.zip(self.measured).map(|(outcome, (started, in_use))| {
            let now = Instant::now();
            Sample { outcome, started, now, in_use }
        });
        self.limiter.slots().release(self.weight, sample);
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("weight", &self.weight).finish_non_exhaustive()
    }
}
