//! Rates: permits per time.

use std::{error::Error, fmt, time::Duration};

/// A number of permits per time, kept exactly as it is written.
///
/// All constructors but [`try_per`](Rate::try_per) panic if the number or the time is zero, or the time is
/// longer than 584 years (`u64::MAX` nanoseconds); in a `const` or a `static` that is an error of the
/// compiler. "No limit" is not a rate, it is [`RateLimiter::unlimited`](crate::RateLimiter::unlimited).
///
/// Two rates are equal if number and time are: 60 per minute and 1 per second are equally fast, but a limiter
/// built from them has another default burst.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::Rate;
/// use std::time::Duration;
///
/// const API: Rate = Rate::per_second(100);
/// const REPORTS: Rate = Rate::per_hour(5000);
/// const MAILS: Rate = Rate::per(10, Duration::from_secs(90));
/// const PINGS: Rate = Rate::every(Duration::from_millis(250));
///
/// assert_eq!(API.to_string(), "100 per 1s");
/// assert_eq!(REPORTS.to_string(), "5000 per 3600s");
/// assert_eq!(MAILS.to_string(), "10 per 90s");
/// assert_eq!(PINGS.to_string(), "1 per 250ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    permits: u32,
    nanos: u64,
}

impl Rate {
    /// Returns a rate of `permits` per second; a fraction of one is a rate of a longer time, as [`per_minute`](Self::per_minute)
    /// or [`every`](Self::every).
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub const fn per_second(permits: u32) -> Self {
        Self::per(permits, Duration::from_secs(1))
    }

    /// Returns a rate of `permits` per minute.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub const fn per_minute(permits: u32) -> Self {
        Self::per(permits, Duration::from_secs(60))
    }

    /// Returns a rate of `permits` per hour.
    ///
    /// # Panics
    ///
    /// If `permits` is zero.
    #[must_use]
    #[track_caller]
    pub const fn per_hour(permits: u32) -> Self {
        Self::per(permits, Duration::from_secs(3600))
    }

    /// Returns a rate of `permits` per `time`.
    ///
    /// # Panics
    ///
    /// If `permits` or `time` is zero, or `time` is longer than 584 years.
    #[must_use]
    #[track_caller]
    pub const fn per(permits: u32, time: Duration) -> Self {
        match Self::try_per(permits, time) {
            Ok(rate) => rate,
            Err(invalid) => panic!("{}", invalid.reason()),
        }
    }

    /// Returns a rate of one permit per `time`.
    ///
    /// # Panics
    ///
    /// If `time` is zero or longer than 584 years.
    #[must_use]
    #[track_caller]
    pub const fn every(time: Duration) -> Self {
        Self::per(1, time)
    }

    /// Returns a rate of `permits` per `time`, from numbers that are known at run time only.
    ///
    /// # Errors
    ///
    /// If `permits` or `time` is zero, or `time` is longer than 584 years.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_limit::{InvalidRate, Rate};
    /// use std::time::Duration;
    ///
    /// let minute = Duration::from_secs(60);
    /// assert_eq!(Rate::try_per(30, minute), Ok(Rate::per(30, minute)));
    /// assert_eq!(Rate::try_per(0, minute), Err(InvalidRate::ZeroPermits));
    /// ```
    pub const fn try_per(permits: u32, time: Duration) -> Result<Self, InvalidRate> {
        if permits == 0 {
            return Err(InvalidRate::ZeroPermits);
        }
        match time.as_nanos() {
            0 => Err(InvalidRate::ZeroTime),
            nanos if nanos > u64::MAX as u128 => Err(InvalidRate::TimeTooLong),
            nanos => Ok(Self { permits, nanos: nanos as u64 }),
        }
    }

    pub(crate) const fn permits(self) -> u32 {
        self.permits
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.nanos
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {:?}", self.permits, Duration::from_nanos(self.nanos))
    }
}

/// The reason for which a number and a time are no [`Rate`].
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{InvalidRate, Rate};
/// use std::time::Duration;
///
/// let invalid = Rate::try_per(10, Duration::ZERO).unwrap_err();
/// assert_eq!(invalid, InvalidRate::ZeroTime);
/// assert_eq!(invalid.to_string(), "rate per a time of zero");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidRate {
    /// No permits at all: work would wait for ever.
    ZeroPermits,
    /// No time at all: that would be no limit.
    ZeroTime,
    /// A time longer than 584 years, `u64::MAX` nanoseconds.
    TimeTooLong,
}

impl InvalidRate {
    const fn reason(self) -> &'static str {
        match self {
            Self::ZeroPermits => "rate of zero permits",
            Self::ZeroTime => "rate per a time of zero",
            Self::TimeTooLong => "rate per a time longer than 584 years",
        }
    }
}

impl fmt::Display for InvalidRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl Error for InvalidRate {}
