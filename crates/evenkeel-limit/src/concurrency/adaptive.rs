//! Limits that follow what the other side can take.

use tokio::time::{Duration, Instant};

/// How work that had a permit went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Success,
    Overload,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    pub(super) started: Instant,
    pub(super) now: Instant,
    /// What was in use when it started, with it.
    pub(super) in_use: u64,
}

/// How the limit of a [`ConcurrencyLimiter`](crate::ConcurrencyLimiter) follows what its permits report.
///
/// Both ways shrink it by a tenth when a permit reports an overload, once for all those that ran at that time. They
/// grow it only while at least half of it is in use: what was not asked for was not tried.
///
/// - [`aimd`](Self::aimd) grows by one for as many successes as the limit is. It needs overloads to find the limit:
///   time-outs, or refusals of the other side.
/// - [`gradient`](Self::gradient) finds it by the time that the work takes, before anything is refused. With *n* at
///   once, each of which takes *t*, and *t0* if nobody waits on the other side, that can do *n t0 / t* at once (Little's
///   law). *t* is the median of ten successes, so that a single one moves nothing. While *t* is within 5 % of
///   *t0* the limit grows by up to a quarter; else it becomes what the other side can do, and half a square root of
///   that, to have something to measure; but it does no more than halve at once. *t0* is the shortest median; each 30
///   medians the limit is halved for one, which becomes the new *t0*. What took no time at all is not counted.
///
/// # Examples
///
/// ```
/// use evenkeel_limit::{Adaptive, ConcurrencyLimiter};
///
/// static LIMITER: ConcurrencyLimiter = ConcurrencyLimiter::adaptive(Adaptive::gradient(1, 500).initial(50));
/// assert_eq!(LIMITER.snapshot().limit, 50);
/// ```
#[derive(Clone, Debug)]
pub struct Adaptive {
    min: u32,
    max: u32,
    limit: f64,
    /// What started before does not count: it says something about another limit.
    since: Option<Instant>,
    gradient: Option<Gradient>,
}

/// The samples of which a median is taken.
const WINDOW: usize = 10;
/// After so many medians the time without queueing is measured anew.
const PROBE: u32 = 30;
/// A time that is longer by this is one of queueing.
const TOLERANCE: f64 = 1.05;

#[derive(Clone, Debug)]
struct Gradient {
    /// Times in seconds, and what was in use.
    window: [(f64, f64); WINDOW],
    len: usize,
    unloaded: Option<f64>,
    medians: u32,
    /// The limit to go back to after a probe.
    probed: Option<f64>,
}

impl Adaptive {
    /// Additive increase, multiplicative decrease, from `min` to `max`; it starts with `min`.
    ///
    /// # Panics
    ///
    /// If `min` is zero or above `max`.
    #[must_use]
    #[track_caller]
    pub const fn aimd(min: u32, max: u32) -> Self {
        assert!(0 < min && min <= max, "a limit from zero, or from more than to");
        Self { min, max, limit: min as f64, since: None, gradient: None }
    }

    /// By the time that the work takes, from `min` to `max`; it starts with `min`.
    ///
    /// # Panics
    ///
    /// If `min` is zero or above `max`.
    #[must_use]
    #[track_caller]
    pub const fn gradient(min: u32, max: u32) -> Self {
        let gradient =
            Gradient { window: [(0.0, 0.0); WINDOW], len: 0, unloaded: None, medians: 0, probed: None };
        Self { gradient: Some(gradient), ..Self::aimd(min, max) }
    }

    /// Starts with this limit.
    ///
    /// # Panics
    ///
    /// If it is not from `min` to `max`.
    #[must_use]
    #[track_caller]
    pub const fn initial(mut self, limit: u32) -> Self {
        assert!(self.min <= limit && limit <= self.max, "an initial limit out of bounds");
        self.limit = limit as f64;
        self
    }

    pub(super) const fn limit(&self) -> u32 {
        self.limit as u32
    }

    pub(super) fn ceiling(&self) -> u32 {
        self.max
    }

    pub(super) fn set(&mut self, limit: u32) -> u32 {
        self.give_up_probe();
        self.go_to(limit.into())
    }

    /// The limit after this sample.
    pub(super) fn update(&mut self, sample: Sample) -> u32 {
        if self.since.is_some_and(|since| sample.started < since) {
            return self.limit();
        }
        let half_used = sample.in_use as f64 * 2.0 >= self.limit;
        match (sample.outcome, &mut self.gradient) {
            (Outcome::Overload, _) => {
                self.since = Some(sample.now);
                self.give_up_probe();
                self.go_to(self.limit * 0.9)
            }
            (Outcome::Success, Some(gradient)) => {
                let (time, probed) = (sample.now.duration_since(sample.started), gradient.probed.is_some());
                let Some(next) = gradient.next(time, sample.in_use as f64, self.limit) else {
                    return self.limit();
                };
                if gradient.probed.is_some() {
                    self.since = Some(sample.now);
                }
                // What a probe has taken comes back, whether it is used or not.
                let grows = next > self.limit && !probed;
                if grows && !half_used { self.limit() } else { self.go_to(next) }
            }
            (Outcome::Success, None) if half_used => self.go_to(self.limit + 1.0 / self.limit),
            (Outcome::Success, None) => self.limit(),
        }
    }

    /// Stays where it is, instead of going back to where it came from.
    fn give_up_probe(&mut self) {
        if let Some(gradient) = &mut self.gradient {
            gradient.probed = None;
        }
    }

    fn go_to(&mut self, limit: f64) -> u32 {
        self.limit = limit.clamp(self.min.into(), self.max.into());
        self.limit()
    }
}

impl Gradient {
    /// The next limit, once there are samples enough.
    fn next(&mut self, time: Duration, in_use: f64, limit: f64) -> Option<f64> {
        // In paused time work may take none at all, and whatever came next would be infinitely slower.
        if time.is_zero() {
            return None;
        }
        self.window[self.len] = (time.as_secs_f64(), in_use);
        self.len = (self.len + 1) % WINDOW;
        if self.len > 0 {
            return None;
        }
        self.window.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (time, in_use) = self.window[WINDOW / 2];
        self.medians += 1;
        if let Some(limit) = self.probed.take() {
            self.unloaded = Some(time);
            return Some(limit);
        }
        let unloaded = self.unloaded.map_or(time, |unloaded| unloaded.min(time));
        self.unloaded = Some(unloaded);
        if self.medians >= PROBE {
            self.medians = 0;
            self.probed = Some(limit);
            return Some(limit / 2.0);
        }
        if time <= unloaded * TOLERANCE {
            return Some(limit.max(in_use * 1.25));
        }
        let capacity = in_use * unloaded / time;
        Some((capacity + capacity.sqrt() / 2.0).max(limit / 2.0))
    }
}
