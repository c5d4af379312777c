//! Delays: how they grow, where they end, and the jitter that is drawn from them.

use std::time::Duration;

use crate::{InvalidPolicy, config_error::valid};

/// The delays before retry 1, 2, 3, …: a pure function of the retry's number and a seed.
///
/// A backoff has a *ceiling*, which never shrinks from one retry to the next and never exceeds the cap, and a
/// [`Jitter`], which draws each delay from a range that ends at the ceiling. So no delay is ever above the cap,
/// and clients that have reached the cap do not all come back at the same moment.
///
/// It is `Copy` data in integer nanoseconds, built by `const` functions; times above 584 years count as 584 years.
///
/// | constructor | ceiling of retry n | jitter unless set |
/// |---|---|---|
/// | [`none`](Self::none) | 0 | none |
/// | [`fixed`](Self::fixed) | `delay` | none |
/// | [`linear`](Self::linear) | `initial * n` | full |
/// | [`exponential`](Self::exponential) | `initial * ratio^(n-1)` | full |
/// | [`fibonacci`](Self::fibonacci) | `initial * F(n)`, F = 1, 1, 2, 3, 5, … | full |
/// | [`steps`](Self::steps) | the n-th of a list, then its last for ever | none |
///
/// # Examples
/// ```
/// use evenkeel_retry::{Backoff, Jitter};
/// use std::time::Duration;
///
/// const BACKOFF: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
///
/// let ceilings: Vec<u128> = (1..=5).map(|n| BACKOFF.ceiling(n).as_millis()).collect();
/// assert_eq!(ceilings, [100, 200, 400, 800, 1000]);
/// assert!(BACKOFF.delay(5, 42) <= Duration::from_secs(1));
/// assert_eq!(BACKOFF.jitter(Jitter::None).delay(2, 42), Duration::from_millis(200));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize), serde(try_from = "crate::serde::BackoffData"))]
pub struct Backoff {
    pub(crate) growth: Growth,
    pub(crate) cap: u64,
    pub(crate) jitter: Jitter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Growth {
    Linear { initial: u64 },
    Exponential { initial: u64, ratio: (u32, u32) },
    Fibonacci { initial: u64 },
    Steps(&'static [Duration]),
}

/// The range below the ceiling from which a delay is drawn, uniformly.
///
/// The idea and the names full and equal are those of Marc Brooker, "Exponential Backoff And Jitter" (AWS
/// Architecture Blog, 2015). No jitter reaches above the ceiling, so the cap holds for every draw.
///
/// # Examples
/// ```
/// use evenkeel_retry::{Backoff, Jitter};
/// use std::time::Duration;
///
/// let steady = Backoff::fixed(Duration::from_secs(10)).jitter(Jitter::Percent(20));
/// let delay = steady.delay(1, 7);
/// assert!(delay >= Duration::from_secs(8) && delay <= Duration::from_secs(10));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Jitter {
    /// Always the ceiling itself.
    None,
    /// From zero to the ceiling: the best spread for many clients.
    Full,
    /// From half the ceiling to the ceiling.
    Equal,
    /// The ceiling less at most this many percent of it, 0 to 100.
    Percent(u8),
}

impl Backoff {
    /// Returns a backoff without any wait.
    #[must_use]
    pub const fn none() -> Self {
        Self::fixed(Duration::ZERO)
    }

    /// Returns the same delay before every retry, without jitter.
    #[must_use]
    pub const fn fixed(delay: Duration) -> Self {
        let nanos = saturating_nanos(delay);
        Self { growth: Growth::Linear { initial: nanos }, cap: nanos, jitter: Jitter::None }
    }

    /// Returns a delay that grows by `initial` with every retry, up to `cap`.
    ///
    /// # Panics
    /// If `initial` is longer than `cap`; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn linear(initial: Duration, cap: Duration) -> Self {
        valid!(Self::try_linear(initial, cap))
    }

    /// Like [`linear`](Self::linear), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: `initial` is longer than `cap`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy};
    /// # use std::time::Duration;
    /// let (initial, cap) = (Duration::from_secs(9), Duration::from_secs(1));
    /// assert_eq!(Backoff::try_linear(initial, cap).unwrap_err(), InvalidPolicy::InitialAboveCap);
    /// ```
    pub const fn try_linear(initial: Duration, cap: Duration) -> Result<Self, InvalidPolicy> {
        let initial = saturating_nanos(initial);
        Self::growing(initial, Growth::Linear { initial }, cap)
    }

    /// Returns a delay that doubles with every retry, up to `cap`; see [`ratio`](Self::ratio) for other growth.
    ///
    /// # Panics
    /// If `initial` is longer than `cap`; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn exponential(initial: Duration, cap: Duration) -> Self {
        valid!(Self::try_exponential(initial, cap))
    }

    /// Like [`exponential`](Self::exponential), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: `initial` is longer than `cap`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy};
    /// # use std::time::Duration;
    /// let (initial, cap) = (Duration::from_secs(9), Duration::from_secs(1));
    /// assert_eq!(Backoff::try_exponential(initial, cap).unwrap_err(), InvalidPolicy::InitialAboveCap);
    /// ```
    pub const fn try_exponential(initial: Duration, cap: Duration) -> Result<Self, InvalidPolicy> {
        let initial = saturating_nanos(initial);
        Self::growing(initial, Growth::Exponential { initial, ratio: (2, 1) }, cap)
    }

    /// Returns a delay that grows as the Fibonacci numbers do (by a factor of about 1.62), up to `cap`.
    ///
    /// # Panics
    /// If `initial` is longer than `cap`; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn fibonacci(initial: Duration, cap: Duration) -> Self {
        valid!(Self::try_fibonacci(initial, cap))
    }

    /// Like [`fibonacci`](Self::fibonacci), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: `initial` is longer than `cap`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy};
    /// # use std::time::Duration;
    /// let (initial, cap) = (Duration::from_secs(9), Duration::from_secs(1));
    /// assert_eq!(Backoff::try_fibonacci(initial, cap).unwrap_err(), InvalidPolicy::InitialAboveCap);
    /// ```
    pub const fn try_fibonacci(initial: Duration, cap: Duration) -> Result<Self, InvalidPolicy> {
        let initial = saturating_nanos(initial);
        Self::growing(initial, Growth::Fibonacci { initial }, cap)
    }

    const fn growing(initial: u64, growth: Growth, cap: Duration) -> Result<Self, InvalidPolicy> {
        let cap = saturating_nanos(cap);
        if initial > cap {
            Err(InvalidPolicy::InitialAboveCap)
        } else {
            Ok(Self { growth, cap, jitter: Jitter::Full })
        }
    }

    /// Returns the delays of a list, without jitter; its last delay repeats for ever.
    ///
    /// Unlike in the other kinds, the ceiling follows the list, down as well as up.
    ///
    /// # Panics
    /// If the list is empty; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn steps(steps: &'static [Duration]) -> Self {
        if steps.is_empty() {
            panic!("a backoff needs at least one step");
        }
        Self { growth: Growth::Steps(steps), cap: u64::MAX, jitter: Jitter::None }
    }

    /// Sets the growth of an exponential backoff to `numerator / denominator` for each retry, each time rounded up
    /// to a whole nanosecond; other kinds have no ratio.
    ///
    /// # Panics
    /// If the backoff is not exponential, or if the ratio is not 1 and below 1.001 (it would hardly grow);
    /// at compile time in a `const` or `static`.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::Backoff;
    /// # use std::time::Duration;
    /// let gentle = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10)).ratio(3, 2);
    /// assert_eq!(gentle.ceiling(3), Duration::from_millis(225));
    /// ```
    #[must_use]
    #[track_caller]
    pub const fn ratio(self, numerator: u32, denominator: u32) -> Self {
        valid!(self.try_ratio(numerator, denominator))
    }

    /// Like [`ratio`](Self::ratio), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: the backoff is not exponential, or the ratio is not 1 and below 1.001.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy};
    /// # use std::time::Duration;
    /// let backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(10));
    /// assert_eq!(backoff.try_ratio(1, 2).unwrap_err(), InvalidPolicy::Ratio);
    /// ```
    pub const fn try_ratio(mut self, numerator: u32, denominator: u32) -> Result<Self, InvalidPolicy> {
        let grows = numerator as u64 * 1000 >= denominator as u64 * 1001;
        if denominator == 0 || (numerator != denominator && !grows) {
            return Err(InvalidPolicy::Ratio);
        }
        match &mut self.growth {
            Growth::Exponential { ratio, .. } => *ratio = (numerator, denominator),
            _ => return Err(InvalidPolicy::NoRatio),
        }
        Ok(self)
    }

    /// Sets the jitter.
    ///
    /// # Panics
    /// If a percentage is above 100; at compile time in a `const` or `static`.
    #[must_use]
    #[track_caller]
    pub const fn jitter(self, jitter: Jitter) -> Self {
        valid!(self.try_jitter(jitter))
    }

    /// Like [`jitter`](Self::jitter), for a configuration that is read at run time.
    ///
    /// # Errors
    /// [`InvalidPolicy`]: a percentage is above 100.
    ///
    /// # Examples
    /// ```
    /// # use evenkeel_retry::{Backoff, InvalidPolicy, Jitter};
    /// # use std::time::Duration;
    /// let backoff = Backoff::fixed(Duration::from_secs(1));
    /// assert_eq!(backoff.try_jitter(Jitter::Percent(101)).unwrap_err(), InvalidPolicy::Jitter);
    /// ```
    pub const fn try_jitter(mut self, jitter: Jitter) -> Result<Self, InvalidPolicy> {
        match jitter {
            Jitter::Percent(percent) if percent > 100 => return Err(InvalidPolicy::Jitter),
            _ => self.jitter = jitter,
        }
        Ok(self)
    }

    /// Returns the longest delay before retry `n`, counted from 1; retry 0 is taken for retry 1.
    #[must_use]
    pub const fn ceiling(&self, n: u32) -> Duration {
        Duration::from_nanos(self.ceiling_nanos(n))
    }

    /// Returns the delay before retry `n`, counted from 1, drawn with this seed: the same for the same arguments.
    #[must_use]
    pub const fn delay(&self, n: u32, seed: u64) -> Duration {
        let ceiling = self.ceiling_nanos(n);
        let spread = match self.jitter {
            Jitter::None => 0,
            Jitter::Full => ceiling,
            Jitter::Equal => ceiling / 2,
            Jitter::Percent(percent) => (ceiling as u128 * percent as u128 / 100) as u64,
        };
        // A multiply maps 64 random bits to 0..=spread without the cost or the bias of a remainder.
        let drawn = (random(seed, n) as u128 * (spread as u128 + 1)) >> 64;
        Duration::from_nanos(ceiling - drawn as u64)
    }

    const fn ceiling_nanos(&self, n: u32) -> u64 {
        let n = if n == 0 { 1 } else { n };
        let ceiling = match self.growth {
            Growth::Linear { initial } => initial.saturating_mul(n as u64),
            Growth::Exponential { initial, ratio: (2, 1) } => match 1_u64.checked_shl(n - 1) {
                Some(factor) => initial.saturating_mul(factor),
                None if initial == 0 => 0,
                None => u64::MAX,
            },
            Growth::Exponential { initial, ratio } => grown(initial, ratio, n - 1, self.cap),
            Growth::Fibonacci { initial } => fibonacci(initial, n),
            Growth::Steps(steps) => {
                let last = steps.len() - 1;
                saturating_nanos(steps[if (n as usize) <= last { n as usize - 1 } else { last }])
            }
        };
        if ceiling < self.cap { ceiling } else { self.cap }
    }
}

/// Returns `initial * ratio^times`, each step rounded up, so that even one nanosecond grows; ends at the cap, which a
/// ratio of at least 1.001 reaches from one nanosecond in 45,000 steps.
const fn grown(initial: u64, (numerator, denominator): (u32, u32), times: u32, cap: u64) -> u64 {
    let mut value = initial as u128;
    let mut left = if numerator == denominator { 0 } else { times };
    while left > 0 && value > 0 && value < cap as u128 {
        value = (value * numerator as u128).div_ceil(denominator as u128);
        left -= 1;
    }
    if value < u64::MAX as u128 { value as u64 } else { u64::MAX }
}

/// Returns `initial * F(n)`; both sums saturate, and F(94) is above 64 bits.
const fn fibonacci(initial: u64, n: u32) -> u64 {
    let (mut current, mut next) = (1_u64, 1_u64);
    let mut left = if n > 94 { 93 } else { n - 1 };
    while left > 0 {
        (current, next) = (next, current.saturating_add(next));
        left -= 1;
    }
    initial.saturating_mul(current)
}

const fn saturating_nanos(duration: Duration) -> u64 {
    let nanos = duration.as_nanos();
    if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 }
}

/// Returns the n-th output of the generator SplitMix64 (Steele, Lea and Flood, OOPSLA 2014) for this seed.
const fn random(seed: u64, n: u32) -> u64 {
    let mut z = seed.wrapping_add((n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
