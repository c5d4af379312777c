//! The arithmetic of a shared bucket, in whole numbers that a Redis script can compute exactly.

use std::time::Duration;

use super::store::{Take, Taken};
use crate::rate::Rate;

/// The maximum of a full bucket's parts. Numbers up to twice this are exact in a `double`, the number type of Redis's Lua.
const MAX_DEPTH: u128 = 1 << 52;

/// A rate and a burst: a bucket earns `speed` parts in a microsecond, and a permit costs `cost` parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) burst: u32,
    pub(super) speed: u64,
    pub(super) cost: u64,
}

impl Quota {
    /// Returns the exact numbers if they fit; else a permit costs up to 3 parts in a million more than it should.
    ///
    /// # Panics
    ///
    /// If it takes more than 70 years to fill the bucket.
    #[track_caller]
    pub(super) fn new(rate: Rate, burst: u32) -> Self {
        let (permits, nanos) = (u128::from(rate.permits()) * 1000, u128::from(rate.nanos()));
        let divisor = gcd(permits, nanos);
        let (exact_speed, exact_cost) = (permits / divisor, nanos / divisor);
        let mut speed = exact_speed;
        loop {
            assert!(speed > 0, "a burst of {burst} at {rate} takes more than 70 years to fill");
            let cost = (exact_cost * speed).div_ceil(exact_speed);
            if u128::from(burst) * cost <= MAX_DEPTH {
                return Self { burst, speed: speed as u64, cost: cost as u64 };
            }
            speed /= 2;
        }
    }

    /// The parts of a full bucket.
    pub(super) fn depth(self) -> u64 {
        u64::from(self.burst) * self.cost
    }

    /// The time in which an empty bucket fills.
    pub(super) fn fill(self) -> Duration {
        Duration::from_micros(self.depth().div_ceil(self.speed))
    }

    /// The time until a bucket that is full in `full_in` has `permits`. Permits beyond the burst are taken one after the
    /// other.
    pub(super) fn wait(self, full_in: Duration, permits: u64) -> Duration {
        let (cost, speed, burst) = (u128::from(self.cost), u128::from(self.speed), u128::from(self.burst));
        let micros = |parts: u128| Duration::from_micros(u64::try_from(parts).unwrap_or(u64::MAX));
        match burst.checked_sub(permits.into()) {
            Some(spare) => full_in.saturating_sub(micros(spare * cost / speed)),
            None => full_in.saturating_add(micros(((u128::from(permits) - burst) * cost).div_ceil(speed))),
        }
    }
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// The maximum of missing parts: the largest number up to which all are exact in a `double`.
const MAX_MISSING: u128 = 1 << 53;

/// A bucket in a store: the parts that were missing, and when. A full bucket is not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct StoredBucket {
    /// The parts that were missing at `since`, of which `cost` are a permit.
    pub(super) missing: u64,
    pub(super) cost: u64,
    /// Microseconds of the store's clock.
    pub(super) since: u64,
    /// When the bucket is full at the rate of the last caller, and may be forgotten.
    pub(super) full_at: u64,
}

impl StoredBucket {
    /// Does the same as the script `take.lua`.
    pub(super) fn take(&mut self, take: &Take<'_>, now: u64) -> Taken {
        let [speed, cost, depth] = [take.speed, take.cost, take.depth].map(u128::from);
        let [returned, least, most] = [take.returned, take.least, take.most].map(u128::from);
        let missing = self.missing_at(now, take);
        let missing = missing.saturating_sub(returned * cost);
        let available = depth.saturating_sub(missing) / cost;
        let granted = if available < least { 0 } else { available.min(most) };
        let missing = missing + granted * cost;
        let micros = missing.div_ceil(speed);
        let full_at = now.saturating_add(micros as u64);
        *self = match missing {
            0 => Self::default(),
            _ => Self { missing: missing as u64, cost: take.cost, since: now, full_at },
        };
        let full_in = micros.min(depth.div_ceil(speed)) as u64;
        Taken { granted: granted as u32, full_in: Duration::from_micros(full_in) }
    }

    /// The parts that are missing now, at the caller's price of `take.cost` for a permit.
    ///
    /// The time since the bucket was stored earns at the caller's rate, whatever the rate was then.
    fn missing_at(&self, now: u64, take: &Take<'_>) -> u128 {
        let missing = self.missing_in(take.cost.into());
        let passed = u128::from(now.abs_diff(self.since)) * u128::from(take.speed);
        if now >= self.since {
            // More parts than a full bucket has may be missing: callers with a larger burst may have taken them.
            missing.saturating_sub(passed)
        } else {
            // The clock has gone back: no part is earned twice, and no more parts than a full bucket has are missing.
            (missing + passed).min(take.depth.into())
        }
    }

    /// The missing permits in parts, at `cost` parts for a permit, rounded up.
    fn missing_in(&self, cost: u128) -> u128 {
        let (missing, per) = (u128::from(self.missing), u128::from(self.cost));
        if per == cost || per == 0 {
            return missing;
        }
        let part = missing % per * cost;
        // The script cannot divide a larger product exactly.
        let inexact = u128::from(part >= MAX_MISSING);
        (missing / per * cost + part.div_ceil(per) + inexact).min(MAX_MISSING)
    }
}

#[cfg(test)]
mod tests;
