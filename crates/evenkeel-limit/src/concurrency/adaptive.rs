//! Limits that adapt to the capacity of the other side.

use tokio::time::{Duration, Instant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WorkResult {
    Success,
    Overload,
}

/// The report of a permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) result: WorkResult,
    pub(super) started: Instant,
    pub(super) now: Instant,
    /// The weight in use when the work started, with its own.
    pub(super) in_use: u64,
}

/// The way in which the limit of a [`ConcurrencyLimiter`](crate::ConcurrencyLimiter) follows the reports of its permits.
///
/// Both ways shrink the limit by a tenth when a permit reports an overload, once for all permits of that time. They grow it
/// only while at least half of it is in use: a limit that was not reached was not tested.
///
/// - [`aimd`](Self::aimd) grows by one for as many successes as the limit is. It needs overloads to find the limit:
///   time-outs, or refusals of the other side.
/// - [`gradient`](Self::gradient) finds the limit by the duration of the work, before anything is refused. If *n* run at
///   once and take *t* each, and would take *t0* without a queue on the other side, then its capacity is *n t0 / t* at
///   once (Little's law). *t* is the median of ten successes, so that a single one has no effect. While *t* is within 5 %
///   of *t0*, the limit grows by up to a quarter. Else it becomes the capacity and half its square root, which leaves
///   a queue to measure; one step at most halves it. *t0* is the shortest median; after each 30 medians the limit is
///   halved for one median, which becomes the new *t0*. Work that takes no time at all is not counted.
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
    /// Samples of work that started before are ignored: they measure an earlier limit.
    since: Option<Instant>,
    gradient: Option<Gradient>,
}

/// The samples of a median.
const SAMPLES: usize = 10;
/// The medians after which the time without a queue is measured again.
const MEDIANS_BETWEEN_PROBES: u32 = 30;
/// A time that is longer by this factor shows a queue.
const TOLERANCE: f64 = 1.05;

#[derive(Clone, Debug)]
struct Gradient {
    /// Times in seconds, and the weight in use.
    samples: [(f64, f64); SAMPLES],
    len: usize,
    /// The time without a queue, in seconds.
    unloaded: Option<f64>,
    medians: u32,
    /// During a probe: the limit to go back to.
    probed: Option<f64>,
}

impl Adaptive {
    /// Adapts by additive increase and multiplicative decrease, from `min` to `max`; it starts with `min`.
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

    /// Adapts by the duration of the work, from `min` to `max`; it starts with `min`.
    ///
    /// # Panics
    ///
    /// If `min` is zero or above `max`.
    #[must_use]
    #[track_caller]
    pub const fn gradient(min: u32, max: u32) -> Self {
        let gradient =
            Gradient { samples: [(0.0, 0.0); SAMPLES], len: 0, unloaded: None, medians: 0, probed: None };
        Self { gradient: Some(gradient), ..Self::aimd(min, max) }
    }

    /// Sets the limit at the start.
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
        self.cancel_probe();
        self.set_clamped(limit.into())
    }

    /// Returns the limit after this sample.
    pub(super) fn update(&mut self, sample: Sample) -> u32 {
        if self.since.is_some_and(|since| sample.started < since) {
            return self.limit();
        }
        let half_used = sample.in_use as f64 * 2.0 >= self.limit;
        match (sample.result, &mut self.gradient) {
            (WorkResult::Overload, _) => {
                self.since = Some(sample.now);
                self.cancel_probe();
                self.set_clamped(self.limit * 0.9)
            }
            (WorkResult::Success, Some(gradient)) => {
                let (time, probed) = (sample.now.duration_since(sample.started), gradient.probed.is_some());
                let Some(next) = gradient.next(time, sample.in_use as f64, self.limit) else {
                    return self.limit();
                };
                if gradient.probed.is_some() {
                    self.since = Some(sample.now);
                }
                // The end of a probe restores the limit, whether it is used or not.
                let grows = next > self.limit && !probed;
                if grows && !half_used { self.limit() } else { self.set_clamped(next) }
            }
            (WorkResult::Success, None) if half_used => self.set_clamped(self.limit + 1.0 / self.limit),
            (WorkResult::Success, None) => self.limit(),
        }
    }

    /// Keeps the limit of a probe, instead of restoring the previous one.
    fn cancel_probe(&mut self) {
        if let Some(gradient) = &mut self.gradient {
            gradient.probed = None;
        }
    }

    fn set_clamped(&mut self, limit: f64) -> u32 {
        self.limit = limit.clamp(self.min.into(), self.max.into());
        self.limit()
    }
}

impl Gradient {
    /// Adds a sample, and returns the next limit if there are enough of them.
    fn next(&mut self, time: Duration, in_use: f64, limit: f64) -> Option<f64> {
        // In paused time work may take no time at all, and all later work would be infinitely slower.
        if time.is_zero() {
            return None;
        }
        self.samples[self.len] = (time.as_secs_f64(), in_use);
        self.len = (self.len + 1) % SAMPLES;
        if self.len > 0 {
            return None;
        }
        self.samples.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (time, in_use) = self.samples[SAMPLES / 2];
        self.medians += 1;
        if let Some(limit) = self.probed.take() {
            self.unloaded = Some(time);
            return Some(limit);
        }
        let unloaded = self.unloaded.map_or(time, |unloaded| unloaded.min(time));
        self.unloaded = Some(unloaded);
        if self.medians >= MEDIANS_BETWEEN_PROBES {
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
