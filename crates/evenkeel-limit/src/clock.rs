//! The clock of a limiter; behind the feature `quanta` the processor's counter, which no other file reads.
//!
//! # How it works
//!
//! tokio's clock is the time of every limiter. [`Clock::Cpu`] reads it as well, at least once in each [`HORIZON`], and the
//! [`Counter`] measures what has passed since then. So its drift does not add up, and turns, timers, deadlines and pauses
//! are those of tokio's clock, whichever is chosen.
//!
//! # The error
//!
//! The time that is assumed differs from tokio's by less than the error of the counter in a horizon, some 10 ns, and the time
//! between the readings of both clocks, [`MAX_GAP`] at most: if the thread was interrupted between them, the counter is not
//! used until the next reading. Let that be `e`. A bucket takes the assumed time for the charge of a full bucket, which
//! must not be too early, and to see what has been earned, which must not be too late. So in a stretch of time it grants no
//! more than an exact one in a stretch that is longer by `2 e`. Errors do not add up, since each reading ends them.

/// The clock that a limiter reads at each request, for [`RateLimiter::clock`](crate::RateLimiter::clock) and
/// [`Keyed::clock`](crate::Keyed::clock).
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Clock, RateLimiter};
///
/// static LIMITER: RateLimiter = RateLimiter::per_second(1000).clock(Clock::Cpu);
/// assert!(LIMITER.try_acquire().is_ok());
/// ```
#[cfg(feature = "quanta")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Clock {
    /// tokio's clock, which obeys paused time. To read it takes 20 to 30 ns where the system needs no call of the kernel
    /// for it, and several hundred where it does.
    #[default]
    Tokio,
    /// The processor's counter between two readings of tokio's clock, which come once in a millisecond.
    ///
    /// - It is read in some 7 ns, also in a virtual machine whose own clock is a call of the kernel. A processor without a
    ///   steady counter falls back to the clock of the operating system.
    /// - **It does not obey paused time.** A test that pauses tokio's clock sees permits that are earned in real time, and
    ///   `try_acquire` may miss for a millisecond of real time what an `advance` has earned. Leave it off in such tests.
    /// - The first use in the process calibrates the counter, and spins meanwhile: some 10 ms, and 200 at most.
    /// - In a stretch of time no more is granted than by tokio's clock in one that is longer by some 50 ns: the time between
    ///   the readings of both clocks, which is 10 µs at most, and what the counter errs by in a millisecond. Permits come as
    ///   much too late. Its drift ends with each reading of tokio's clock, so that no error adds up.
    /// - Waiting, deadlines and pauses go by tokio's clock alone, and have exact turns.
    Cpu,
}

/// The nanoseconds for which the counter measures, until tokio's clock is read again; and for which the fast path is open.
pub(crate) const HORIZON: u64 = 1_000_000;

pub(crate) use self::counter::Counter;

/// The most nanoseconds between the readings of both clocks.
#[cfg(feature = "quanta")]
const MAX_GAP: u64 = 10_000;

#[cfg(feature = "quanta")]
mod counter {
    use quanta::Clock;
    use tokio::time::Instant;

    use super::{HORIZON, MAX_GAP};

    /// The binary digits of a fraction of a nanosecond.
    const FRACTION: u32 = 32;

    /// A counter of the processor, in ticks of its own.
    #[derive(Clone, Debug)]
    pub(crate) struct Counter {
        clock: Clock,
        /// The nanoseconds of a tick, in 2^-32.
        tick: u64,
        /// The ticks of a horizon.
        horizon: u64,
    }

    impl Counter {
        /// Returns the counter if it is asked for; calibrates it at the first call of the process.
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads another clock, where asked to"
        )]
        pub(crate) fn if_asked(asked: bool) -> Option<Self> {
            asked.then(|| Self::new(Clock::new()))
        }

        fn new(clock: Clock) -> Self {
            let tick = clock.delta_as_nanos(0, 1 << FRACTION).max(1);
            Self { clock, tick, horizon: (HORIZON << FRACTION) / tick }
        }

        /// Reads the ticks.
        #[inline(always)]
        pub(crate) fn ticks(&self) -> u64 {
            self.clock.raw()
        }

        /// Returns the nanoseconds from one reading to another; `None` beyond the horizon, and if that was before it.
        #[inline(always)]
        pub(crate) fn nanos(&self, from: u64, to: u64) -> Option<u64> {
            let ticks = to.wrapping_sub(from);
            (ticks <= self.horizon).then(|| (ticks * self.tick) >> FRACTION)
        }

        /// Reads tokio's clock, and the ticks of that time; these are `None` if the thread was interrupted between the two.
        pub(crate) fn read(&self) -> (Instant, Option<u64>) {
            let before = self.ticks();
            let now = Instant::now();
            let gap = self.ticks().wrapping_sub(before);
            let is_short = self.nanos(0, gap).is_some_and(|nanos| nanos <= MAX_GAP);
            (now, is_short.then(|| before.wrapping_add(gap / 2)))
        }

        /// Returns a counter of nanoseconds that is moved by hand.
        #[cfg(test)]
        pub(crate) fn mock() -> (Self, std::sync::Arc<quanta::Mock>) {
            let (clock, mock) = Clock::mock();
            (Self::new(clock), mock)
        }
    }
}

#[cfg(not(feature = "quanta"))]
mod counter {
    use tokio::time::Instant;

    /// There is none.
    #[derive(Clone, Debug)]
    pub(crate) enum Counter {}

    impl Counter {
        pub(crate) fn if_asked(_asked: bool) -> Option<Self> {
            None
        }

        pub(crate) fn ticks(&self) -> u64 {
            match *self {}
        }

        pub(crate) fn nanos(&self, _from: u64, _to: u64) -> Option<u64> {
            match *self {}
        }

        pub(crate) fn read(&self) -> (Instant, Option<u64>) {
            match *self {}
        }
    }
}

#[cfg(all(test, feature = "quanta"))]
mod tests;
