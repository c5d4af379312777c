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

/// What a store remembers of a bucket: nothing, if it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Level {
    /// When it is full, in microseconds of the store's clock, rounded up.
    pub(super) full_at: u64,
    /// The parts by which it is more than full then.
    pub(super) over: u64,
    /// Since when that is known.
    pub(super) since: u64,
}

impl Level {
    /// What the script `take.lua` does.
    pub(super) fn take(&mut self, take: &Take<'_>, now: u64) -> Taken {
        let [speed, cost, depth] = [take.speed, take.cost, take.depth].map(u128::from);
        let [returned, least, most] = [take.returned, take.least, take.most].map(u128::from);
        let missing = (u128::from(self.full_at.saturating_sub(now)) * speed).saturating_sub(self.over.into());
        // If the clock has gone back, no more than all of it. If not, others have a deeper bucket: what they took from
        // it is to be earned.
        let missing = if now < self.since { missing.min(depth) } else { missing };
        let missing = missing.saturating_sub(returned * cost);
        let there = depth.saturating_sub(missing) / cost;
        let granted = if there < least { 0 } else { there.min(most) };
        let missing = missing + granted * cost;
        let micros = missing.div_ceil(speed);
        *self = Self { full_at: now + micros as u64, over: (micros * speed - missing) as u64, since: now };
        let full_in = micros.min(depth.div_ceil(speed)) as u64;
        Taken { granted: granted as u32, full_in: Duration::from_micros(full_in) }
    }
}

#[cfg(test)]
mod tests;
