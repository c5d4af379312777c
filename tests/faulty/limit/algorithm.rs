//! The permits of a limiter: a token bucket, a sliding window, or a semaphore.

use std::time::Duration;

use evenkeel_tck::limit::{Limit, Rate, Settings};
use tokio::time::Instant;

use super::Fault;

pub(super) enum Algorithm {
    Bucket(Bucket),
    Window(Window),
    Semaphore(Semaphore),
}

impl Algorithm {
    pub(super) fn new(fault: Fault, settings: &Settings) -> Self {
        match settings.limit {
            Limit::Sliding(rate) if fault != Fault::WindowIsABucket => {
                Self::Window(Window { fault, rate, taken: Vec::new() })
            }
            Limit::Sliding(rate) => Self::Bucket(Bucket::new(fault, rate, rate.permits, false)),
            Limit::Bucket { rate, burst } => {
                Self::Bucket(Bucket::new(fault, rate, burst, settings.starts_empty))
            }
            Limit::Concurrency(limit) => Self::Semaphore(Semaphore { fault, limit, in_use: 0 }),
            _ => unreachable!("a limit of another kind"),
        }
    }

    /// Returns whether this number of permits is there now.
    pub(super) fn has(&mut self, now: Instant, permits: u32) -> bool {
        match self {
            Self::Bucket(bucket) => bucket.has(now, permits),
            Self::Window(window) => window.counted(now) + permits <= window.rate.permits,
            Self::Semaphore(semaphore) => semaphore.has(permits),
        }
    }

    pub(super) fn take(&mut self, now: Instant, permits: u32) {
        match self {
            Self::Bucket(bucket) => bucket.level -= bucket.of(permits),
            Self::Window(window) => window.taken.push((now, permits)),
            Self::Semaphore(semaphore) => semaphore.in_use += permits,
        }
    }

    /// Tells whether the queue has waiters.
    pub(super) fn is_awaited(&mut self, is_awaited: bool) {
        if let Self::Bucket(bucket) = self {
            bucket.is_awaited = is_awaited;
        }
    }

    /// Returns whether the request exceeds the maximum of permits.
    pub(super) fn never_has(&self, permits: u32) -> bool {
        permits
            > match self {
                Self::Bucket(bucket) if bucket.fault == Fault::WaitsForWhatNeverFits => u32::MAX,
                Self::Bucket(bucket) if bucket.is_unlimited() => u32::MAX,
                Self::Bucket(bucket) => bucket.burst,
                Self::Window(window) => window.rate.permits,
                Self::Semaphore(Semaphore {
                    fault: Fault::WaitsForTheImpossible | Fault::ZeroLetsAllRun,
                    ..
                }) => u32::MAX,
                Self::Semaphore(semaphore) => semaphore.limit,
            }
    }

    /// The time until this number of permits is there; unknown for permits that holders return.
    pub(super) fn wait(&mut self, now: Instant, permits: u32) -> Option<Duration> {
        match self {
            Self::Bucket(bucket) => bucket.wait(now, permits),
            Self::Window(window) => window.wait(now, permits),
            Self::Semaphore(_) => None,
        }
    }
}

/// Counts in parts of a permit, of which each nanosecond earns a whole number.
pub(super) struct Bucket {
    fault: Fault,
    pub(super) rate: Rate,
    pub(super) burst: u32,
    level: i128,
    /// The time up to which permits are counted; in the future during a penalty.
    counted: Instant,
    /// The queue has waiters: permits above the burst go to them.
    is_awaited: bool,
}

impl Bucket {
    fn new(fault: Fault, rate: Rate, burst: u32, starts_empty: bool) -> Self {
        let burst = match fault {
            Fault::GrantsOneMore => burst + 1,
            Fault::BurstIsTheRate => rate.permits,
            Fault::OverflowsBursts => {
                let nanos = rate.per.as_nanos() as u64;
                (nanos.wrapping_mul(burst.into()) / nanos) as u32
            }
            _ => burst,
        };
        let mut bucket = Self { fault, rate, burst, level: 0, counted: Instant::now(), is_awaited: false };
        if !starts_empty || fault == Fault::BeginsFull {
            bucket.level = bucket.of(burst);
        }
        bucket
    }

    fn of(&self, permits: u32) -> i128 {
        i128::from(permits) * self.rate.per.as_nanos() as i128
    }

    fn is_unlimited(&self) -> bool {
        self.fault == Fault::ZeroIsNoLimit && self.rate.permits == 0
    }

    fn has(&mut self, now: Instant, permits: u32) -> bool {
        self.count(now);
        self.is_unlimited() || self.counted <= now && self.level >= self.of(permits)
    }

    pub(super) fn is_full(&mut self, now: Instant) -> bool {
        self.count(now);
        self.level >= self.of(self.burst)
    }

    /// Adds the permits that were earned until now.
    pub(super) fn count(&mut self, now: Instant) {
        let time = now.saturating_duration_since(self.counted);
        let (nanos, permit) = (time.as_nanos() as i128, self.of(1));
        let exact = nanos * i128::from(self.rate.permits);
        let earned = match self.fault {
            Fault::CountsInWindows if time < self.rate.per => return,
            Fault::CountsInWindows => self.of(self.burst),
            Fault::EarnsInLumps if exact < self.of(self.burst) => return,
            Fault::ForgetsFractions => exact - exact % (permit / 1_000_000).max(1),
            Fault::RoundsToNanoseconds => nanos * permit / (permit / i128::from(self.rate.permits)).max(1),
            Fault::CountsInFloats => (time.as_secs_f32() * self.rate.permits as f32) as i128 * permit,
            _ => exact,
        };
        self.counted = self.counted.max(now);
        self.level += earned;
        match self.fault {
            Fault::HasNoBrim => {}
            // As if it counted by ticks since it was made.
            Fault::SavesAFraction => self.level = self.level.min(self.of(self.burst) + permit * 9 / 10),
            _ if self.is_awaited => {}
            _ => self.level = self.level.min(self.of(self.burst)),
        }
    }

    fn wait(&mut self, now: Instant, permits: u32) -> Option<Duration> {
        self.count(now);
        let missing = (self.of(permits) - self.level).max(0);
        let earned = i128::from(self.rate.permits);
        let nanos = (missing + earned - 1).checked_div(earned)?;
        Some(self.counted.saturating_duration_since(now) + Duration::from_nanos(nanos as u64))
    }

    /// Changes the rate, and converts the level to its parts of a permit.
    pub(super) fn set_rate(&mut self, now: Instant, rate: Rate) {
        if self.fault != Fault::CountsThePastAnew {
            self.count(now);
        }
        self.level = self.level * rate.per.as_nanos() as i128 / self.of(1);
        self.rate = rate;
    }

    pub(super) fn set_burst(&mut self, now: Instant, burst: u32) {
        self.count(now);
        let (full, is_larger) = (self.of(burst), burst > self.burst);
        match self.fault {
            Fault::FillsALargerBurst if is_larger => self.level = full,
            Fault::KeepsALargerBurst => {}
            _ => self.level = self.level.min(full),
        }
        // Otherwise the next count would drop the permits above the burst.
        self.burst = if self.fault == Fault::KeepsALargerBurst { self.burst.max(burst) } else { burst };
    }

    pub(super) fn refund(&mut self, now: Instant, permits: u32) {
        self.count(now);
        self.level += self.of(permits);
        if self.fault == Fault::RefundsBeyondTheBurst {
            self.burst = self.burst.max((self.level / self.of(1)) as u32);
        }
        self.level = self.level.min(self.of(self.burst));
    }

    pub(super) fn settle(&mut self, now: Instant, reserved: u32, used: u32) {
        self.count(now);
        let taken = match self.fault {
            Fault::TakesWhenSettled => 0,
            Fault::KeepsWhatWasNotUsed => reserved.min(used),
            _ => reserved,
        };
        self.level += self.of(taken) - self.of(used);
        match self.fault {
            Fault::SettlesBeyondTheBurst => self.burst = self.burst.max((self.level / self.of(1)) as u32),
            Fault::ForgivesWhatWasMissing => self.level = self.level.max(0),
            _ => {}
        }
        self.level = self.level.min(self.of(self.burst));
    }

    pub(super) fn pause(&mut self, now: Instant, time: Duration) {
        self.count(now);
        self.counted = now + time;
        if self.fault != Fault::BurstsAfterAPenalty {
            self.level = 0;
        }
    }

    /// Takes permits that are not there.
    pub(super) fn charge(&mut self, permits: u32) {
        self.level -= self.of(permits);
    }

    /// Forgets a part of a permit.
    pub(super) fn round_down(&mut self) {
        self.level -= self.level % self.of(1);
    }

    /// Drops all permits.
    pub(super) fn empty(&mut self) {
        self.level = self.level.min(0);
    }
}

/// Remembers each grant in the window.
pub(super) struct Window {
    fault: Fault,
    rate: Rate,
    taken: Vec<(Instant, u32)>,
}

impl Window {
    fn length(&self) -> Duration {
        let late = if self.fault == Fault::WindowIsTooLong { self.rate.per / 10 } else { Duration::ZERO };
        self.rate.per + late
    }

    /// The sum of permits taken in the window that ends now.
    fn counted(&mut self, now: Instant) -> u32 {
        let length = self.length();
        self.taken.retain(|(at, _)| *at + length > now);
        self.taken.iter().map(|(_, permits)| permits).sum()
    }

    pub(super) fn settle(&mut self, at: Instant, reserved: u32, used: u32) {
        let taken = match self.fault {
            Fault::SettlesForAnotherWindow => self.taken.last_mut(),
            _ => self.taken.iter_mut().find(|(taken, _)| *taken == at),
        };
        if let Some((_, permits)) = taken {
            *permits = (*permits + used).saturating_sub(reserved);
        }
    }

    fn wait(&mut self, now: Instant, permits: u32) -> Option<Duration> {
        let mut there = self.rate.permits.saturating_sub(self.counted(now));
        let mut wait = Duration::ZERO;
        for (at, taken) in &self.taken {
            if there >= permits {
                break;
            }
            there += taken;
            wait = *at + self.length() - now;
        }
        (there >= permits).then_some(wait)
    }
}

/// Counts the permits in use.
pub(super) struct Semaphore {
    fault: Fault,
    limit: u32,
    in_use: u32,
}

impl Semaphore {
    fn has(&self, permits: u32) -> bool {
        let limit = match self.fault {
            Fault::LetsOneMoreRun => self.limit + 1,
            Fault::LetsOneLessRun => self.limit - 1,
            Fault::ZeroLetsAllRun if self.limit == 0 => u32::MAX,
            _ => self.limit,
        };
        self.in_use + permits <= limit
    }

    pub(super) fn release(&mut self, permits: u32) {
        self.in_use = self.in_use.saturating_sub(permits);
    }

    pub(super) fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
        if self.fault == Fault::ForgetsWhoRuns {
            self.in_use = self.in_use.min(limit);
        }
    }
}
