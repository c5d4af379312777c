//! A limiter behind its adapter: requests, permits, reservations, rates and changes.

use std::{any::Any, fmt, time::Duration};

use tokio::time::Instant;

use super::Denied;
use crate::BoxFuture;

/// A configured implementation, shared by concurrent callers.
///
/// It has only to have what the adapter [supports](crate::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`SUITE`](super::SUITE).
pub trait Limiter: Send + Sync {
    /// Takes permits now or not at all.
    ///
    /// # Errors
    /// If they are not there.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn try_acquire(&self, request: Request) -> Result<Permit, Denied> {
        withheld(&request)
    }

    /// Waits for permits: the implementation's own future, not yet polled.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn acquire(&self, request: Request) -> BoxFuture<'static, Result<Permit, Denied>> {
        withheld(&request)
    }

    /// Reserves permits for work whose cost is known afterwards only: the implementation's own future, not yet
    /// polled.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn reserve(&self, permits: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
        withheld(&format_args!("a reservation of {permits}"))
    }

    /// Changes the limiter while it is in use.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn change(&self, change: Change) {
        withheld(&change)
    }

    /// Returns the number of keys for which it keeps a state.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn keys(&self) -> usize {
        withheld(&"the number of keys")
    }
}

fn withheld(what: &dyn fmt::Debug) -> ! {
    unreachable!("{what:?} was asked of an adapter that withholds it")
}

/// Settles permits that were granted for work whose cost is known afterwards only: it is called with the number of
/// permits that were used, which may be less or more than were granted. Dropping it means that none was used.
///
/// # Examples
/// A quota without time, which keeps a debt:
/// ```
/// use evenkeel_tck::{BoxFuture, limit::{Denied, Limiter, Settle}};
/// use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
///
/// struct Quota(AtomicI64);
///
/// impl Limiter for Quota {
///     fn reserve(&self, permits: u32) -> BoxFuture<'_, Result<Settle<'_>, Denied>> {
///         let permits = i64::from(permits);
///         Box::pin(async move {
///             self.0.fetch_update(Relaxed, Relaxed, |left| (left >= permits).then(|| left - permits))
///                 .map_err(|_| Denied::Busy(None))?;
///             let reserved = Reserved { quota: self, permits };
///             Ok(Box::new(move |used| reserved.settle(used)) as Settle<'_>)
///         })
///     }
/// }
///
/// /// Gives all its permits back when it is dropped, also after `settle` has taken the used ones.
/// struct Reserved<'a> {
///     quota: &'a Quota,
///     permits: i64,
/// }
///
/// impl Reserved<'_> {
///     fn settle(self, used: u32) {
///         self.quota.0.fetch_sub(i64::from(used), Relaxed);
///     }
/// }
///
/// impl Drop for Reserved<'_> {
///     fn drop(&mut self) {
///         self.quota.0.fetch_add(self.permits, Relaxed);
///     }
/// }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let quota = Quota(AtomicI64::new(10));
/// let settle = quota.reserve(7).await.unwrap();
/// assert_eq!(quota.0.load(Relaxed), 3);
/// settle(2);
/// drop(quota.reserve(8).await.unwrap());
/// assert_eq!(quota.0.into_inner(), 8);
/// # });
/// ```
pub type Settle<'a> = Box<dyn FnOnce(u32) + Send + 'a>;

/// A request for permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The number of permits; more than one only where [`Capability::Weights`](super::Capability::Weights) is
    /// supported.
    pub permits: u32,
    /// The key; only for a limiter [of keys](super::Settings::keyed).
    pub key: Option<u32>,
    /// The latest time until which it waits; only where [`Capability::Deadline`](super::Capability::Deadline) is
    /// supported.
    pub deadline: Option<Instant>,
}

/// Granted permits. Dropping them returns them, if they are of a limit of concurrency.
///
/// # Examples
/// ```
/// use evenkeel_tck::limit::Permit;
///
/// let guard = std::sync::Arc::new(());
/// let permit = Permit::new(guard.clone()); // of a limit of concurrency: what the implementation gave
/// drop(permit);
/// assert!(std::sync::Arc::into_inner(guard).is_some());
/// let permit = Permit::new(()); // of a rate: nothing comes back
/// # drop(permit);
/// ```
#[must_use = "it is given back when it is dropped"]
pub struct Permit {
    _held: Box<dyn Any + Send>,
}

/// Permits per time; one rule asks for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// The number of permits,
    pub permits: u32,
    /// earned in this time.
    pub per: Duration,
}

/// A change of a limiter that is in use; only where the capability for it is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The rate.
    Rate(Rate),
    /// The maximum of permits that can be there at once.
    Burst(u32),
    /// The maximum that may run at once.
    Limit(u32),
    /// This number of permits is given back.
    Refund(u32),
    /// Nothing is granted for this time.
    Penalty(Duration),
    /// It is closed.
    Close,
}

impl Request {
    pub(crate) const fn of(permits: u32) -> Self {
        Self { permits, key: None, deadline: None }
    }

    pub(crate) const fn key(mut self, key: u32) -> Self {
        self.key = Some(key);
        self
    }

    pub(crate) const fn by(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self
    }
}

impl Permit {
    /// Holds the permit of the implementation itself.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
