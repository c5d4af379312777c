//! Exponential backoff with its builder.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use super::{Backoff, default};

/// Delays that grow by a factor, each drawn from around its interval, until too much time has passed.
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::{Backoff, ExponentialBackoffBuilder};
/// use std::time::Duration;
///
/// let mut steady = ExponentialBackoffBuilder::new().with_randomization_factor(0.0).build();
/// assert_eq!(steady.next_backoff(), Some(Duration::from_millis(500)));
/// assert_eq!(steady.next_backoff(), Some(Duration::from_millis(750)));
/// ```
#[derive(Clone, Debug)]
pub struct ExponentialBackoff {
    /// The interval of the next delay.
    pub current_interval: Duration,
    /// The first interval.
    pub initial_interval: Duration,
    /// The share of the interval by which a delay may be shorter or longer, 0 to 1.
    pub randomization_factor: f64,
    /// The growth from one interval to the next, at least 1.
    pub multiplier: f64,
    /// The longest delay.
    pub max_interval: Duration,
    /// When it began: when it was made, or reset.
    pub start_time: Instant,
    /// After this time there is no other delay; none sets no bound.
    pub max_elapsed_time: Option<Duration>,
}

impl Default for ExponentialBackoff {
    fn default() -> Self {
        let initial = Duration::from_millis(default::INITIAL_INTERVAL_MILLIS);
        Self {
            current_interval: initial,
            initial_interval: initial,
            randomization_factor: default::RANDOMIZATION_FACTOR,
            multiplier: default::MULTIPLIER,
            max_interval: Duration::from_millis(default::MAX_INTERVAL_MILLIS),
            start_time: Instant::now(),
            max_elapsed_time: Some(Duration::from_millis(default::MAX_ELAPSED_TIME_MILLIS)),
        }
    }
}

impl ExponentialBackoff {
    /// The time since it was made, or reset.
    #[must_use]
    pub fn get_elapsed_time(&self) -> Duration {
        self.start_time.elapsed()
    }

    fn drawn(&self, interval: Duration) -> Duration {
        let factor = self.randomization_factor;
        if factor == 0.0 {
            return interval;
        }
        // Not a number is not in the range, either.
        let factor = if (0.0..=1.0).contains(&factor) { factor } else { 1.0 };
        // 53 random bits make an even share of 0 to 1.
        let share = (RandomState::new().build_hasher().finish() >> 11) as f64 / (1_u64 << 53) as f64;
        let shortest = times(interval, 1.0 - factor, self.max_interval);
        let spread = times(interval, 1.0 + factor, self.max_interval).saturating_sub(shortest);
        shortest + times(spread, share, spread)
    }
}

impl Backoff for ExponentialBackoff {
    fn reset(&mut self) {
        self.current_interval = self.initial_interval;
        self.start_time = Instant::now();
    }

    fn next_backoff(&mut self) -> Option<Duration> {
        let elapsed = self.get_elapsed_time();
        let interval = self.current_interval.min(self.max_interval);
        let delay = self.drawn(interval);
        if self.max_elapsed_time.is_some_and(|max| elapsed.saturating_add(delay) > max) {
            return None;
        }
        self.current_interval = times(interval, self.multiplier.max(1.0), self.max_interval);
        Some(delay)
    }
}

/// A duration times a factor that is not negative, at most `longest`.
fn times(duration: Duration, factor: f64, longest: Duration) -> Duration {
    let product = Duration::try_from_secs_f64(duration.as_secs_f64() * factor);
    product.map_or(longest, |product| product.min(longest))
}

/// Builds an [`ExponentialBackoff`].
///
/// # Examples
/// ```
/// use evenkeel_retry::compat::backoff::ExponentialBackoffBuilder;
/// use std::time::Duration;
///
/// let backoff = ExponentialBackoffBuilder::new().with_max_elapsed_time(Some(Duration::from_secs(60))).build();
/// assert_eq!(backoff.max_elapsed_time, Some(Duration::from_secs(60)));
/// ```
#[derive(Clone, Debug, Default)]
pub struct ExponentialBackoffBuilder {
    built: ExponentialBackoff,
}

impl ExponentialBackoffBuilder {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the first interval.
    pub const fn with_initial_interval(&mut self, initial_interval: Duration) -> &mut Self {
        self.built.initial_interval = initial_interval;
        self
    }

    /// Sets the share of the interval by which a delay may be shorter or longer.
    pub const fn with_randomization_factor(&mut self, randomization_factor: f64) -> &mut Self {
        self.built.randomization_factor = randomization_factor;
        self
    }

    /// Sets the growth from one interval to the next.
    pub const fn with_multiplier(&mut self, multiplier: f64) -> &mut Self {
        self.built.multiplier = multiplier;
        self
    }

    /// Sets the longest delay.
    pub const fn with_max_interval(&mut self, max_interval: Duration) -> &mut Self {
        self.built.max_interval = max_interval;
        self
    }

    /// Sets the time after which there is no other delay.
    pub const fn with_max_elapsed_time(&mut self, max_elapsed_time: Option<Duration>) -> &mut Self {
        self.built.max_elapsed_time = max_elapsed_time;
        self
    }

    /// The backoff, beginning now.
    #[must_use]
    pub fn build(&self) -> ExponentialBackoff {
        let mut built = self.built.clone();
        built.reset();
        built
    }
}
