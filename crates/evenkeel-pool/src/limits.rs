//! The settings of a pool.

use std::time::Duration;

/// The order in which idle objects are lent.
///
/// # Examples
///
/// ```
/// # include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/counters.rs.in"));
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use evenkeel_pool::Pool;
/// use evenkeel_pool::Order;
///
/// let pool = Pool::builder(Counters).max(2).order(Order::Fifo).build()?;
/// let (mut first, second) = (pool.get().await?, pool.get().await?);
/// *first = 1;
/// drop(first);
/// drop(second);
/// assert_eq!(*pool.get().await?, 1, "the one that was returned first");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// The object that was used last is lent first, so that a quiet pool can let the others go.
    #[default]
    Lifo,
    /// The object that was idle for the longest time is lent first, so that all are used alike.
    Fifo,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) order: Order,
    pub(crate) max_creating: usize,
    pub(crate) validate_after: Duration,
    pub(crate) detects_deadlocks: bool,
    pub(crate) min_idle: usize,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) hold_warning: Option<Duration>,
    pub(crate) acquire_timeout: Duration,
    pub(crate) create_timeout: Duration,
    pub(crate) check_timeout: Duration,
}

impl Limits {
    /// Returns whether the pool has a task for its upkeep.
    pub(crate) fn needs_upkeep(&self) -> bool {
        let Self { idle_timeout, max_lifetime, hold_warning, min_idle, .. } = self;
        *min_idle > 0 || [idle_timeout, max_lifetime, hold_warning].iter().any(|limit| limit.is_some())
    }

    /// Returns whether the time of a return is needed.
    pub(crate) fn times_returns(&self) -> bool {
        !self.validate_after.is_zero() || self.idle_timeout.is_some() || self.max_lifetime.is_some()
    }
}
