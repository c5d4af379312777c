//! Permits: the right to run, and the report how the work went.

use std::fmt;

use super::{
    adaptive::WorkResult,
    held::{Held, LimiterRef},
    state::Grant,
};
#[cfg(feature = "inspect")]
use super::{held::CoreRef, hold::Hold};
use crate::sync::edges::CallPlace;

/// The right to run something; dropping it lets the next one run.
///
/// It goes back however the work ends: with a result, with a panic, or by being dropped. To an
/// [adaptive](crate::ConcurrencyLimiter::adaptive) limiter it reports how the work went, by [`success`](Self::success) or
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
    held: Held<'a>,
}

impl<'a> Permit<'a> {
    /// Makes a permit of what the state has granted to a call from this place.
    #[inline]
    pub(super) fn new(limiter: LimiterRef<'a>, grant: Grant, call: CallPlace) -> Self {
        Self { held: Held::new(limiter, grant, call) }
    }

    #[cfg(feature = "inspect")]
    #[inline]
    pub(super) fn of(core: CoreRef<'a>, hold: Hold) -> Self {
        Self { held: Held::of(core, hold) }
    }

    /// The weight that it uses.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.held.weight()
    }

    /// Returns it after work that went well; the duration of the work tells how busy the other side is.
    pub fn success(self) {
        self.held.report(WorkResult::Success);
    }

    /// Returns it after work that met an overload of the other side: a time-out, or a refusal.
    pub fn overload(self) {
        self.held.report(WorkResult::Overload);
    }

    /// Returns it after work whose result says nothing about the other side. The same as dropping it.
    pub fn ignore(self) {}
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("weight", &self.held.weight()).finish_non_exhaustive()
    }
}
