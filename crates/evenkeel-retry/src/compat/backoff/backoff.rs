//! The trait of all backoffs, and the simplest of them.

use std::time::Duration;

/// A source of delays.
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::Backoff;
/// use std::time::Duration;
///
/// /// A fixed number of retries.
/// struct Times(u32);
///
/// impl Backoff for Times {
///     fn next_backoff(&mut self) -> Option<Duration> {
///         self.0 = self.0.checked_sub(1)?;
///         Some(Duration::from_secs(1))
///     }
/// }
/// let mut backoff = Times(2);
/// assert_eq!(std::iter::from_fn(|| backoff.next_backoff()).count(), 2);
/// ```
pub trait Backoff {
    /// Starts again from the first delay.
    fn reset(&mut self) {}

    /// The next delay; none if there is to be no other attempt.
    fn next_backoff(&mut self) -> Option<Duration>;
}

impl<B: Backoff + ?Sized> Backoff for Box<B> {
    fn reset(&mut self) {
        (**self).reset();
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        (**self).next_backoff()
    }
}

/// No delay, for ever.
///
/// # Examples
/// ```
/// # use evenkeel_retry::compat::backoff::{Backoff, backoff::Zero};
/// assert!(Zero {}.next_backoff().unwrap().is_zero());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Zero {}

impl Backoff for Zero {
    fn next_backoff(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

/// No other attempt.
///
/// # Examples
/// ```
/// # use evenkeel_retry::compat::backoff::{Backoff, backoff::Stop};
/// assert_eq!(Stop {}.next_backoff(), None);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop {}

impl Backoff for Stop {
    fn next_backoff(&mut self) -> Option<Duration> {
        None
    }
}

/// The same delay, for ever.
///
/// # Examples
/// ```
/// # use evenkeel_retry::compat::backoff::{Backoff, backoff::Constant};
/// # use std::time::Duration;
/// let a_second = Duration::from_secs(1);
/// assert_eq!(Constant::new(a_second).next_backoff(), Some(a_second));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Constant {
    interval: Duration,
}

impl Constant {
    /// This delay.
    #[must_use]
    pub const fn new(interval: Duration) -> Self {
        Self { interval }
    }
}

impl Backoff for Constant {
    fn next_backoff(&mut self) -> Option<Duration> {
        Some(self.interval)
    }
}
