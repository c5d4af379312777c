use std::{any::Any, fmt, pin::Pin, time::Duration};

use tokio::time::Instant;

use super::{Denied, Rate};

/// A configured implementation, which many may ask at once.
///
/// It has only to have what the adapter [supports](super::Adapter::supports): the rules never call the rest.
///
/// # Examples
/// As in [`Adapter`](super::Adapter).
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
    fn acquire(&self, request: Request) -> Turn {
        withheld(&request)
    }

    /// Waits for permits for something whose cost is known afterwards only: the implementation's own future, not yet
    /// polled.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn reserve(&self, permits: u32) -> Reserve<'_> {
        withheld(&format_args!("a reservation of {permits}"))
    }

    /// Changes the limiter while it is in use.
    ///
    /// # Panics
    /// Unless it is implemented.
    fn change(&self, change: Change) {
        withheld(&change)
    }

    /// For how many keys it keeps a state.
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

/// The future of a request that waits.
pub type Turn = Pin<Box<dyn Future<Output = Result<Permit, Denied>> + Send>>;

/// The future of a request for permits that are settled afterwards.
pub type Reserve<'a> = Pin<Box<dyn Future<Output = Result<Box<dyn Reservation + 'a>, Denied>> + 'a>>;

/// Permits that were granted for something whose cost is known afterwards only; those of one that is dropped instead of
/// settled were not used.
///
/// # Examples
/// ```
/// use evenkeel_tck::limit::Reservation;
/// use std::cell::Cell;
///
/// struct Reserved<'a>(&'a Cell<u32>);
///
/// impl Reservation for Reserved<'_> {
///     fn settle(self: Box<Self>, used: u32) {
///         self.0.set(used);
///     }
/// }
///
/// let used = Cell::new(0);
/// Box::new(Reserved(&used)).settle(7);
/// assert_eq!(used.get(), 7);
/// ```
pub trait Reservation {
    /// Tells how many permits were used, which may be less or more than were granted.
    fn settle(self: Box<Self>, used: u32);
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// So many permits; more than one only where [`Capability::Weights`](super::Capability::Weights) is supported.
    pub permits: u32,
    /// Those of this key; for a limiter [of keys](super::Settings::keyed), and for no other.
    pub key: Option<u32>,
    /// It waits until then and no longer; only where [`Capability::Deadline`](super::Capability::Deadline) is
    /// supported.
    pub deadline: Option<Instant>,
}

/// What was granted: the right to do something, given back when this is dropped if it is one to run.
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

/// What can be changed of a limiter that is in use; only where the capability for it is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The rate.
    Rate(Rate),
    /// How many permits there can be at once.
    Burst(u32),
    /// How much may run at once.
    Limit(u32),
    /// So many permits are given back.
    Refund(u32),
    /// Nothing is granted for so long.
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
    /// Holds what the implementation gave.
    pub fn new(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
