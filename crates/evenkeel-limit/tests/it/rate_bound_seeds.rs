//! Many short histories of every kind of limiter; every stretch of time of them is checked (P1).

use std::time::Duration;

use evenkeel_limit::{Denied, Keyed, Rate, RateLimiter};
use evenkeel_testkit::World;
use tokio::time::{Instant, advance};

/// The number of histories in one world.
const BATCH: u32 = 500;

/// Checks a history for each seed.
pub(crate) fn run(histories: u32) {
    for batch in 0..histories.div_ceil(BATCH) {
        World::run(async |_| {
            for seed in 0..BATCH {
                history(&mut Random(u64::from(batch * BATCH + seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
                    .await;
            }
        });
    }
}

/// xorshift64*: histories must be the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)) * u128::from(end)) >> 64) as u64
    }

    /// As many small numbers as large ones, from 1.
    fn magnitude(&mut self, bits: u64) -> u64 {
        let bits = self.below(bits) + 1;
        self.below(1 << bits).max(1)
    }
}

enum Limiter {
    Bucket(RateLimiter),
    Sliding(RateLimiter),
    Keyed(Keyed<u8>),
    KeyedFast(Keyed<u8>),
}

impl Limiter {
    fn try_acquire(&self, permits: u32) -> Result<(), Denied> {
        match self {
            Self::Bucket(limiter) | Self::Sliding(limiter) => limiter.try_acquire_many(permits),
            Self::Keyed(limiter) | Self::KeyedFast(limiter) => limiter.try_acquire_many(&1, permits),
        }
    }
}

async fn history(random: &mut Random) {
    let (permits, burst) = (random.magnitude(32) as u32, random.magnitude(12) as u32);
    let nanos = [1, 1_000_000, 7_000_000, 1_000_000_000, 60_000_000_000][random.below(5) as usize];
    let rate = Rate::per(permits, Duration::from_nanos(nanos));
    let limiter = match random.below(6) {
        0 | 1 => Limiter::Bucket(RateLimiter::new(rate).burst(burst)),
        2 => Limiter::Bucket(RateLimiter::new(rate).burst(burst).fast()),
        3 => Limiter::Sliding(RateLimiter::sliding(rate).burst(burst)),
        4 => Limiter::Keyed(Keyed::new(rate).burst(burst).max_keys(4)),
        _ => Limiter::KeyedFast(Keyed::new(rate).burst(burst).fast().max_keys(4)),
    };
    // The time in which a whole burst is earned, or granted again.
    let fill = if matches!(limiter, Limiter::Sliding(_)) {
        nanos
    } else {
        u64::from(burst) * nanos / u64::from(permits)
    };
    let (start, mut grants) = (Instant::now(), vec![]);
    for _ in 0..random.below(20) + 2 {
        advance(Duration::from_nanos(random.below(fill / 2 + 2))).await;
        let n = random.magnitude(12).min(burst.into()) as u32;
        for _ in 0..random.below(6) {
            if limiter.try_acquire(n).is_ok() {
                grants.push((start.elapsed().as_nanos(), u128::from(n)));
            }
        }
        if let Limiter::Keyed(keyed) | Limiter::KeyedFast(keyed) = &limiter {
            // Another key, which may take the slot of a full bucket. There is room for all.
            let _other = keyed.try_acquire(&(random.below(3) as u8 + 2));
        }
    }
    for (first, &(from, _)) in grants.iter().enumerate() {
        let mut granted = 0;
        for &(to, n) in &grants[first..] {
            granted += n;
            let above_burst = granted.saturating_sub(burst.into()) * u128::from(nanos);
            let possible = match limiter {
                Limiter::Bucket(_) => (to - from) * u128::from(permits),
                // A whole number of stretches fits in between, each with a burst.
                Limiter::Sliding(_) => {
                    (to - from) / u128::from(nanos) * u128::from(nanos) * u128::from(burst)
                }
                // Exact to the nanosecond.
                Limiter::Keyed(_) => (to - from + 1) * u128::from(permits),
                // Or to 2^-37 of the time of a burst.
                Limiter::KeyedFast(_) => (to - from + 1 + u128::from(fill >> 37)) * u128::from(permits),
            };
            assert!(above_burst <= possible, "{granted} in {} ns of {rate}, burst {burst}", to - from);
        }
    }
}
