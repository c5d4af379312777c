//! Permits of several limits, or none.
//!
//! A request waits in one queue after the other, always in the same order, so that no two requests wait for each other.
//! Permits that it has already are in [`Taken`], and go back when that is dropped.

use std::{cmp::Reverse, fmt, future::Future, ptr};

use crate::{
    concurrency::{ConcurrencyLimiter, Permit},
    error::Denied,
    rate_limiter::{
        RateLimiter,
        reservation::{Reservation, Spent},
    },
    sync::edges::CallPlace,
};

/// Permits asked of one limiter, for [`all_of`].
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Demand, RateLimiter, try_all_of};
///
/// let (requests, bytes) = (RateLimiter::per_second(10), RateLimiter::per_second(1000));
/// let demands: [Demand<'_>; 2] = [requests.demand(1), bytes.demand(640)];
/// assert!(try_all_of(demands).is_ok());
/// assert_eq!((requests.snapshot().available, bytes.snapshot().available), (9, 360));
/// ```
#[derive(Clone, Copy)]
pub struct Demand<'a>(Limit<'a>, u32);

#[derive(Clone, Copy)]
enum Limit<'a> {
    Concurrency(&'a ConcurrencyLimiter),
    Rate(&'a RateLimiter),
}

impl RateLimiter {
    /// Returns a demand for `permits` of this limiter, for [`all_of`].
    #[must_use]
    pub fn demand(&self, permits: u32) -> Demand<'_> {
        Demand(Limit::Rate(self), permits)
    }
}

impl ConcurrencyLimiter {
    /// Returns a demand for a permit of this weight, for [`all_of`].
    #[must_use]
    pub fn demand(&self, weight: u32) -> Demand<'_> {
        Demand(Limit::Concurrency(self), weight)
    }
}

/// Waits until all the limits grant their permits.
///
/// It waits in their queues one after the other, whatever the order of `demands` is: first for the concurrency limits, in
/// an order that is the same for all callers, so that no two of them wait for each other; then for the rates, the one with
/// the longest wait first, so that permits are hardly held while it waits for others. If one of them denies its permits,
/// the others get theirs back, up to their burst.
///
/// So permits to run are held while it waits for the rates. Where one of these is for some requests only, such as the rate
/// of a slow host, ask for the permit to run afterwards, or such requests hold the permits that all others need. A caller
/// that holds a permit already, and waits for another of the same limiter, may wait for itself.
///
/// **Of several concurrency limits it may hold one while it waits for another**, in an order that is not that of the demands
/// and not known before. Where one is for some requests only, such as the slots of a host, acquire that permit first, and the
/// common one then, each by its own `acquire`: else one slow host holds all common slots. See
/// [`KeyedConcurrency`](crate::KeyedConcurrency).
///
/// For a limit of a key there is [`Keyed::limiter`](crate::Keyed::limiter).
///
/// # Errors
///
/// The first error of [`RateLimiter::acquire_many`] or [`ConcurrencyLimiter::acquire_many`].
///
/// # Panics
///
/// When polled, if it has to wait for a rate outside of a tokio runtime with timers. Nothing is taken then.
///
/// # Cancel safety
///
/// Dropping the future puts all its permits back, and leaves the queue: the limiters are as if it had never been polled,
/// but for permits that did not fit under a burst meanwhile.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{ConcurrencyLimiter, RateLimiter, all_of};
///
/// static PER_SECOND: RateLimiter = RateLimiter::per_second(10);
/// static PER_DAY: RateLimiter = RateLimiter::new(evenkeel_limit::Rate::per(5000, std::time::Duration::from_secs(86_400)));
/// static AT_ONCE: ConcurrencyLimiter = ConcurrencyLimiter::new(4);
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), evenkeel_limit::Denied> {
/// let held = all_of([PER_SECOND.demand(1), PER_DAY.demand(1), AT_ONCE.demand(1)]).await?;
/// // the call
/// drop(held); // the permit of the concurrency limit goes back; those of the rates are spent
/// # Ok(())
/// # }
/// ```
#[cfg_attr(feature = "inspect", track_caller)]
pub fn all_of<'a>(
    demands: impl IntoIterator<Item = Demand<'a>>,
) -> impl Future<Output = Result<AllPermits<'a>, Denied>> {
    let call = CallPlace::here();
    async move {
        let mut taken = Taken::default();
        for Demand(limit, permits) in sorted(demands) {
            match limit {
                Limit::Concurrency(limiter) => {
                    taken.permits.push(limiter.acquire_many_from(permits, call).await?);
                }
                Limit::Rate(limiter) => taken.reservations.push(limiter.reserve_from(permits, call).await?),
            }
        }
        Ok(taken.into_all())
    }
}

/// Takes permits of all the limits now, or none at all.
///
/// # Errors
///
/// The first error of [`RateLimiter::try_acquire_many`] or [`ConcurrencyLimiter::try_acquire_many`].
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{RateLimiter, try_all_of};
///
/// let (small, large) = (RateLimiter::per_second(1), RateLimiter::per_second(100));
/// assert!(try_all_of([large.demand(1), small.demand(1)]).is_ok());
/// assert!(try_all_of([large.demand(1), small.demand(1)]).is_err());
/// assert_eq!(large.snapshot().available, 99);
/// ```
#[cfg_attr(feature = "inspect", track_caller)]
pub fn try_all_of<'a>(demands: impl IntoIterator<Item = Demand<'a>>) -> Result<AllPermits<'a>, Denied> {
    let (mut taken, call) = (Taken::default(), CallPlace::here());
    for Demand(limit, permits) in sorted(demands) {
        match limit {
            Limit::Concurrency(limiter) => taken.permits.push(limiter.try_acquire_many_from(permits, call)?),
            Limit::Rate(limiter) => {
                limiter.try_acquire_many(permits)?;
                taken.reservations.push(Reservation::new(limiter, permits));
            }
        }
    }
    Ok(taken.into_all())
}

/// Returns the demands in the order in which to wait, with one for each limiter.
fn sorted<'a>(demands: impl IntoIterator<Item = Demand<'a>>) -> Vec<Demand<'a>> {
    let mut demands: Vec<Demand<'a>> = demands.into_iter().collect();
    demands.sort_by_key(|demand| demand.0.address());
    demands.dedup_by(|more, demand| {
        let same = more.0.address() == demand.0.address();
        if same {
            demand.1 = demand.1.saturating_add(more.1);
        }
        same
    });
    demands.sort_by_cached_key(|demand| match demand.0 {
        Limit::Concurrency(_) => (0, Reverse(None)),
        Limit::Rate(limiter) => (1, Reverse(Some(limiter.core().with(|state| state.wait(demand.1))))),
    });
    demands
}

impl Limit<'_> {
    fn address(&self) -> (u8, usize) {
        match *self {
            Self::Concurrency(limiter) => (0, ptr::from_ref(limiter).addr()),
            Self::Rate(limiter) => (1, ptr::from_ref(limiter).addr()),
        }
    }
}

/// The permits that [`all_of`] has taken.
///
/// Permits of concurrency limits go back when it is dropped. Permits of rates are spent, unless they are
/// [put back](Self::refund).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{ConcurrencyLimiter, AllPermits, RateLimiter, try_all_of};
///
/// let (rate, at_once) = (RateLimiter::per_second(10), ConcurrencyLimiter::new(2));
/// let held: AllPermits<'_> = try_all_of([rate.demand(1), at_once.demand(1)])?;
/// assert_eq!((rate.snapshot().available, at_once.snapshot().in_use), (9, 1));
/// drop(held);
/// assert_eq!((rate.snapshot().available, at_once.snapshot().in_use), (9, 0));
/// # Ok::<(), evenkeel_limit::Denied>(())
/// ```
#[must_use = "permits of concurrency limits go back when it is dropped"]
pub struct AllPermits<'a> {
    permits: Vec<Permit<'a>>,
    spent: Vec<Spent<'a>>,
}

impl<'a> AllPermits<'a> {
    /// Puts all permits back, up to the bursts, since the work has not been done.
    pub fn refund(self) {
        self.spent.into_iter().for_each(Spent::refund);
    }

    /// Returns the permits of the concurrency limits, to report how the work [went](Permit::success).
    #[must_use = "they go back when they are dropped"]
    pub fn into_permits(self) -> Vec<Permit<'a>> {
        self.permits
    }
}

/// The permits so far, which go back when this is dropped before all are there.
#[derive(Default)]
struct Taken<'a> {
    permits: Vec<Permit<'a>>,
    reservations: Vec<Reservation<'a>>,
}

impl<'a> Taken<'a> {
    fn into_all(self) -> AllPermits<'a> {
        AllPermits {
            permits: self.permits,
            spent: self.reservations.into_iter().map(Reservation::spend).collect(),
        }
    }
}

impl fmt::Debug for Demand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Limit::Concurrency(limiter) => f.debug_tuple("Demand").field(limiter).field(&self.1).finish(),
            Limit::Rate(limiter) => f.debug_tuple("Demand").field(limiter).field(&self.1).finish(),
        }
    }
}

impl fmt::Debug for AllPermits<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spent: Vec<u32> = self.spent.iter().map(|spent| spent.permits).collect();
        f.debug_struct("AllPermits").field("permits", &self.permits).field("spent", &spent).finish()
    }
}
