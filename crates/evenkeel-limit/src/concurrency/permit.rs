//! Permits: the right to run, and the report how the work went.

use std::{fmt, ops::Deref, sync::Arc};

use tokio::time::Instant;

use super::{
    adaptive::{Sample, WorkResult},
    limiter::ConcurrencyLimiter,
    state::Grant,
};
#[cfg(feature = "inspect")]
use crate::sync::edges::HoldKey;

/// A limiter that is borrowed or shared.
#[derive(Clone)]
pub(super) enum LimiterRef<'a> {
    Borrowed(&'a ConcurrencyLimiter),
    Owned(Arc<ConcurrencyLimiter>),
}

impl Deref for LimiterRef<'_> {
    type Target = ConcurrencyLimiter;

    #[inline]
    fn deref(&self) -> &ConcurrencyLimiter {
        match self {
            Self::Borrowed(limiter) => limiter,
            Self::Owned(limiter) => limiter,
        }
    }
}

/// The right to run something; dropping it lets the next one run.
///
/// It goes back however the work ends: with a result, with a panic, or by being dropped. To an
/// [adaptive](ConcurrencyLimiter::adaptive) limiter it reports how the work went, by [`success`](Self::success) or
/// [`overload`](Self::overload). A permit that is dropped reports nothing.
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
    limiter: LimiterRef<'a>,
    weight: u32,
    /// Further data, which most permits do not have: their drop looks at one value.
    extra: Option<Extra>,
    result: Option<WorkResult>,
}

/// The time of the grant and the weight in use then, if the limit adapts.
#[cfg(not(feature = "inspect"))]
type Extra = (Instant, u64);

// Not larger than it is without the feature: a permit is moved more often than it is made.
#[cfg(feature = "inspect")]
#[derive(Clone, Copy)]
enum Extra {
    /// The time of the grant and the weight in use then, if the limit adapts.
    Measured(Instant, u64),
    /// The record, if the limiter has a name; it has the measurement as well.
    Recorded(HoldKey),
}

impl<'a> Permit<'a> {
    #[inline]
    pub(super) fn new(limiter: LimiterRef<'a>, grant: Grant) -> Self {
        #[cfg(not(feature = "inspect"))]
        let extra = grant.measured.map(|in_use| (Instant::now(), in_use));
        #[cfg(feature = "inspect")]
        let extra = match grant.hold.is_some() {
            true => Some(Extra::Recorded(grant.hold)),
            false => grant.measured.map(|in_use| Extra::Measured(Instant::now(), in_use)),
        };
        Self { limiter, weight: grant.weight, extra, result: None }
    }

    /// Makes a permit that has a record, and no measurement beside that.
    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn recorded(limiter: LimiterRef<'a>, weight: u32, hold: HoldKey) -> Self {
        Self { limiter, weight, extra: Some(Extra::Recorded(hold)), result: None }
    }

    /// The weight that it uses.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Returns it after work that went well; the duration of the work tells how busy the other side is.
    pub fn success(mut self) {
        self.result = Some(WorkResult::Success);
    }

    /// Returns it after work that met an overload of the other side: a time-out, or a refusal.
    pub fn overload(mut self) {
        self.result = Some(WorkResult::Overload);
    }

    // It takes no copy of the data: a permit that has a slot needs little of it.
    #[inline(never)]
    fn put_back_with_extra(&self) {
        #[cfg(feature = "inspect")]
        if let Some(Extra::Recorded(hold)) = self.extra
            && let Some(slot) = hold.as_slot()
        {
            return self.limiter.core.put_back_slot(self.weight, slot);
        }
        self.put_back_measured();
    }

    #[inline(never)]
    fn put_back_measured(&self) {
        let core = &self.limiter.core;
        match self.extra {
            None => {}
            #[cfg(not(feature = "inspect"))]
            Some((started, in_use)) => core.put_back_measured(self.weight, self.sample(started, in_use)),
            #[cfg(feature = "inspect")]
            Some(Extra::Measured(started, in_use)) => {
                core.put_back_measured(self.weight, self.sample(started, in_use));
            }
            #[cfg(feature = "inspect")]
            Some(Extra::Recorded(hold)) => {
                let sample = |started, in_use| self.sample(started, in_use);
                core.put_back_listed(self.weight, hold, sample);
            }
        }
    }

    fn sample(&self, started: Instant, in_use: u64) -> Option<Sample> {
        self.result.map(|result| Sample { result, started, now: Instant::now(), in_use })
    }

    /// Returns it after work whose result says nothing about the other side. The same as dropping it.
    pub fn ignore(self) {}
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        match self.extra {
            None => self.limiter.core.put_back(self.weight),
            Some(_) => self.put_back_with_extra(),
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("weight", &self.weight).finish_non_exhaustive()
    }
}
