//! The arithmetic of a shared bucket, in whole numbers that a script of Redis can count with.

use std::time::Duration;

use super::store::{Take, Taken};
use crate::rate::Rate;

/// Numbers up to twice this are exact in a `double`, in which Redis's Lua counts.
const MOST: u128 = 1 << 52;

/// A rate and a burst. In a microsecond `speed` parts are earned, of which a permit costs so many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quota {
    pub(super) burst: u32,
    pub(super) speed: u64,
    pub(super) cost: u64,
}

impl Quota {
    /// The exact numbers, if they fit; or else a permit costs up to 3 parts in a million more than it should.
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
            if u128::from(burst) * cost <= MOST {
                return Self { burst, speed: speed as u64, cost: cost as u64 };
            }
            speed /= 2;
        }
    }

    /// The parts of a full bucket.
    pub(super) fn depth(self) -> u64 {
        u64::from(self.burst) * self.cost
    }

    /// How long an empty bucket takes to fill.
    pub(super) fn fill(self) -> Duration {
        Duration::from_micros(self.depth().div_ceil(self.speed))
    }

    /// How long it takes until there are so many permits, in a bucket that is full in `full_in`. More than the burst
    /// are taken one after the other.
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

/// More parts than this are never missing: the largest number up to which all are exact in a `double`.
const MOST_MISSING: u128 = 1 << 53;

/// The state of a bucket in a store: by how much it was not full, and when. A full bucket is not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// The parts that were missing at `since`, of which `cost` are a permit.
    pub(super) missing: u64,
    pub(super) cost: u64,
    /// Microseconds of the store's clock.
    pub(super) since: u64,
    /// When the level may be forgotten: the bucket is full, at the rate of the last caller.
    pub(super) full_at: u64,
}

impl Level {
    /// Does what the script `take.lua` does.
    pub(super) fn take(&mut self, take: &Take<'_>, now: u64) -> Taken {
        let [speed, cost, depth] = [take.speed, take.cost, take.depth].map(u128::from);
        let [returned, least, most] = [take.returned, take.least, take.most].map(u128::from);
        let missing = self.missing_at(now, take);
        let missing = missing.saturating_sub(returned * cost);
        let there = depth.saturating_sub(missing) / cost;
        let granted = if there < least { 0 } else { there.min(most) };
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

    /// The parts that are missing now, of which the caller's permits cost `take.cost`.
    ///
    /// The time since the level was stored earns at the caller's rate, whatever the rate was then.
    fn missing_at(&self, now: u64, take: &Take<'_>) -> u128 {
        let missing = self.missing_in(take.cost.into());
        let passed = u128::from(now.abs_diff(self.since)) * u128::from(take.speed);
        if now >= self.since {
            // More than all of it may be missing: others have a deeper bucket, and what they took is to be earned.
            missing.saturating_sub(passed)
        } else {
            // The clock has gone back: nothing is earned twice, and no more than all of it is missing.
            (missing + passed).min(take.depth.into())
        }
    }

    /// The missing permits in parts of a caller whose permits cost `cost` parts, rounded up.
    fn missing_in(&self, cost: u128) -> u128 {
        let (missing, per) = (u128::from(self.missing), u128::from(self.cost));
        if per == cost || per == 0 {
            return missing;
        }
        let part = missing % per * cost;
        // The script cannot divide a larger product exactly.
        let inexact = u128::from(part >= MOST_MISSING);
        (missing / per * cost + part.div_ceil(per) + inexact).min(MOST_MISSING)
    }
}

#[cfg(test)]
mod tests;
