//! The way past the lock, while nobody waits.

use std::sync::atomic::{
    AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};

use tokio::time::{Duration, Instant};

use crate::{bucket::Bucket, denied::Denied};

/// The low bit of the word: the lane is shut, and the bucket behind the lock counts.
const SHUT: u64 = 1;
/// The next bits count grants, which are settled behind the lock before they overflow.
const GRANT: u64 = 1 << 1;
const GRANTS: u64 = (1 << SHIFT) - GRANT;
/// Where the parts begin.
const SHIFT: u32 = 11;

/// The most parts that a burst or a debt may have: far from wrapping.
const MOST: u64 = 1 << 50;
/// The most parts in a nanosecond, so that the parts come round in hours and not between two steps of a thread.
const FASTEST: u64 = 1 << 20;

/// For how many nanoseconds it stays open, and how far a clock can go back without being noticed.
const HORIZON: u64 = 1_000_000;

/// A bucket in one word.
///
/// It counts in parts of a permit, of which each nanosecond earns a whole number, and is as exact as the one behind
/// the lock. The word has the parts at which the bucket is full, modulo 2^53, and changes by one atomic step.
///
/// Its terms are written while it is shut, and read as under a seqlock: a word that is still the same afterwards
/// has not been shut in between. From one opening to the next the parts only grow, so that no old word comes back.
///
/// Numbers that do not fit, clocks that go back, and all else is left to the lock. So is the first request of each
/// millisecond, by which it is known behind the lock how late it is.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Lane {
    word: AtomicU64,
    /// When it was opened, in nanoseconds since `anchor`.
    opened: AtomicU64,
    /// Parts in a nanosecond, in a permit, and in the burst.
    speed: AtomicU64,
    cost: AtomicU64,
    depth: AtomicU64,
    /// The parts that are earned when it is opened.
    origin: AtomicU64,
    refused: AtomicU64,
    /// Single permits that are granted without a look at the clock, and reckoned as granted when they are settled:
    /// too late, and so never too many. There are none while it is open.
    credits: AtomicI64,
    anchor: Instant,
}

/// What was done while it was open.
pub(crate) struct Settlement {
    pub(crate) granted: u64,
    /// The parts from its opening until it is full.
    pub(crate) missing: u64,
}

impl Lane {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            word: AtomicU64::new(SHUT),
            opened: zero(),
            speed: zero(),
            cost: zero(),
            depth: zero(),
            origin: zero(),
            refused: zero(),
            credits: AtomicI64::new(0),
            anchor: Instant::now(),
        }
    }

    /// Takes permits, or says why not; None if that is to be found out behind the lock.
    #[inline]
    pub(crate) fn take(&self, permits: u32) -> Option<Result<(), Denied>> {
        if permits == 1 && self.credits.load(Relaxed) > 0 && self.credits.fetch_sub(1, Acquire) > 0 {
            return Some(Ok(()));
        }
        let mut word = self.word.load(Acquire);
        if word & SHUT != 0 {
            return None;
        }
        let now = self.nanos(Instant::now())?;
        while word & SHUT == 0 && word & GRANTS != GRANTS {
            let elapsed = now.wrapping_sub(self.opened.load(Relaxed));
            let speed = self.speed.load(Relaxed);
            let wanted = u64::from(permits).saturating_mul(self.cost.load(Relaxed));
            let depth = self.depth.load(Relaxed);
            if elapsed > HORIZON || wanted > depth {
                return None;
            }
            let earned = self.origin.load(Relaxed).wrapping_add(elapsed.wrapping_mul(speed)) << SHIFT;
            // Parts that are missing now, none if it is full.
            let missing = ((word & !(GRANTS | SHUT)).wrapping_sub(earned) as i64 >> SHIFT).max(0) as u64;
            fence(Acquire);
            if let Some(lacking) = (missing + wanted).checked_sub(depth).filter(|&lacking| lacking > 0) {
                if self.word.load(Relaxed) == word {
                    let nanos = if speed == 1 { lacking } else { lacking.div_ceil(speed) };
                    return Some(Err(Denied::busy(Duration::from_nanos(nanos))));
                }
                word = self.word.load(Acquire);
                continue;
            }
            let full_at = earned.wrapping_add((missing + wanted) << SHIFT);
            let next = full_at | ((word & GRANTS) + GRANT);
            match self.word.compare_exchange_weak(word, next, Acquire, Acquire) {
                Ok(_) => return Some(Ok(())),
                Err(changed) => word = changed,
            }
        }
        None
    }

    pub(crate) fn count_refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// How many were refused here.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// Gives credits. Only for whom has the lock, and if it is shut.
    pub(crate) fn lend(&self, credits: u32) {
        self.credits.store(credits.into(), Release);
    }

    /// Takes the credits back that have not been used. Only for whom has the lock.
    pub(crate) fn recall(&self) -> u32 {
        self.credits.swap(0, Acquire).max(0) as u32
    }

    /// Opens it for a bucket, if its numbers fit. Only for whom has the lock.
    pub(crate) fn open(&self, bucket: &Bucket) {
        let Some(opened) = self.nanos(bucket.now()) else { return };
        let Some(speed) = bucket.parts().filter(|parts| parts.speed <= FASTEST) else { return };
        let depth = u128::from(speed.cost) * u128::from(bucket.burst());
        if depth > u128::from(MOST) || speed.missing > MOST {
            return;
        }
        // One further than it ever was.
        let origin = (self.word.load(Relaxed) >> SHIFT) + 1;
        self.opened.store(opened, Relaxed);
        self.speed.store(speed.speed, Relaxed);
        self.cost.store(speed.cost, Relaxed);
        self.depth.store(depth as u64, Relaxed);
        self.origin.store(origin, Relaxed);
        self.word.store(origin.wrapping_add(speed.missing) << SHIFT, Release);
    }

    /// Shuts it, and says what was done; None if it was not open. Only for whom has the lock.
    pub(crate) fn shut(&self) -> Option<Settlement> {
        let word = self.word.fetch_or(SHUT, Acquire);
        fence(Release);
        (word & SHUT == 0).then(|| Settlement {
            granted: (word & GRANTS) / GRANT,
            missing: (word >> SHIFT).wrapping_sub(self.origin.load(Relaxed)) & (u64::MAX >> SHIFT),
        })
    }

    /// None before the anchor.
    fn nanos(&self, instant: Instant) -> Option<u64> {
        let elapsed = instant.checked_duration_since(self.anchor)?;
        elapsed.as_secs().checked_mul(1_000_000_000)?.checked_add(elapsed.subsec_nanos().into())
    }
}
