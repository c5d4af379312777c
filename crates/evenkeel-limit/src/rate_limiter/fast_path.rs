//! The way past the lock, while nobody waits.

use tokio::time::{Duration, Instant};

use super::loom::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::{algorithm::bucket::Bucket, error::Denied};

/// The low bit of the word: the fast_path is shut, and the bucket behind the lock counts.
const CLOSED: u64 = 1;
/// The next bits count grants, which are settled behind the lock before they overflow.
const GRANT: u64 = 1 << 1;
const GRANTS: u64 = (1 << SHIFT) - GRANT;
/// Where the parts begin.
const SHIFT: u32 = 11;

/// The most parts that a burst or a debt may have: far from wrapping.
const MOST: u64 = 1 << 50;
/// The most parts in a nanosecond, so that the parts come round in seconds and not between two steps of a thread.
const FASTEST: u64 = 1 << 20;

/// For how many nanoseconds it stays open, and how far a clock can go back without being noticed.
const HORIZON: u64 = 1_000_000;

/// A bucket in one word.
///
/// It counts in parts of a permit, of which each nanosecond earns a whole number, and is as exact as the one behind
/// the lock. The word has the parts at which the bucket is full, modulo 2^53, and changes by one atomic step.
///
/// Its config are written while it is shut, and read as under a seqlock: a word that is still the same afterwards
/// has not been shut in between. From one opening to the next the parts only grow, so that no old word comes back.
///
/// Numbers that do not fit, clocks that go back, and all else is left to the lock. So is the first request of each
/// millisecond, by which it is known behind the lock how late it is.
#[derive(Debug)]
pub(crate) struct FastPath {
    busy: Busy,
    /// When it was opened, in nanoseconds since `anchor`.
    opened: AtomicU64,
    /// Parts in a nanosecond, in a permit, and in the burst; all of them shifted as they are in the word.
    speed: AtomicU64,
    cost: AtomicU64,
    depth: AtomicU64,
    /// The parts that were earned at `anchor`, if it had been open since.
    origin: AtomicU64,
    /// Single permits that are granted without a look at the clock, and reckoned as granted when they are settled:
    /// too late, and so never too many. There are none while it is open.
    credits: AtomicI64,
    /// Whether others wait, as of the last time that the lock was held.
    has_waiters: AtomicBool,
    anchor: Instant,
}

/// What every request writes, apart from what all only read: so the readers do not wait for each other's writes.
/// Processors fetch lines of 64 bytes in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Busy {
    word: AtomicU64,
    refused: AtomicU64,
}

/// What becomes of a request.
pub(crate) enum TryAcquire {
    Granted,
    /// So many parts are lacking, of which each nanosecond earns some.
    Refused {
        lacking: u64,
        speed: u64,
    },
    /// That is to be found out behind the lock.
    Closed,
}

impl TryAcquire {
    pub(crate) fn denied(lacking: u64, speed: u64) -> Denied {
        let nanos = if speed == 1 << SHIFT { lacking >> SHIFT } else { lacking.div_ceil(speed) };
        Denied::busy(Duration::from_nanos(nanos))
    }
}

/// What was done while it was open.
pub(crate) struct Usage {
    pub(crate) granted: u64,
    /// The parts from its opening until it is full.
    pub(crate) missing: u64,
}

impl FastPath {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            busy: Busy { word: AtomicU64::new(CLOSED), refused: zero() },
            opened: zero(),
            speed: zero(),
            cost: zero(),
            depth: zero(),
            origin: zero(),
            credits: AtomicI64::new(0),
            has_waiters: AtomicBool::new(false),
            anchor: Instant::now(),
        }
    }

    /// Takes permits, or says why not.
    #[inline]
    pub(crate) fn take(&self, permits: u32) -> TryAcquire {
        if permits == 1 && self.take_credit() {
            return TryAcquire::Granted;
        }
        self.take_by(|| self.nanos(Instant::now()), permits)
    }

    #[inline]
    pub(super) fn take_credit(&self) -> bool {
        self.credits.load(Relaxed) > 0 && self.credits.fetch_sub(1, Acquire) > 0
    }

    /// The same by a clock, which is read before the word is: so others have little time to change that.
    ///
    /// They may have done so since the clock was read. To grant by an instant that has passed is no more than the
    /// limit allows; to refuse by one may be less, and so who is refused then looks again.
    #[inline]
    pub(super) fn take_by(&self, clock: impl Fn() -> Option<u64>, permits: u32) -> TryAcquire {
        loop {
            let before = self.busy.word.load(Acquire);
            if before & CLOSED != 0 {
                return TryAcquire::Closed;
            }
            let Some(now) = clock() else { return TryAcquire::Closed };
            let passage = self.take_at(now, permits);
            if !matches!(passage, TryAcquire::Refused { .. }) || self.busy.word.load(Relaxed) == before {
                return passage;
            }
        }
    }

    #[inline]
    fn take_at(&self, now: u64, permits: u32) -> TryAcquire {
        let mut word = self.busy.word.load(Acquire);
        while word & CLOSED == 0 && word & GRANTS != GRANTS {
            let (speed, cost) = (self.speed.load(Relaxed), self.cost.load(Relaxed));
            let depth = self.depth.load(Relaxed);
            let wanted = if permits == 1 { cost } else { u64::from(permits).saturating_mul(cost) };
            if now.wrapping_sub(self.opened.load(Relaxed)) > HORIZON || wanted > depth {
                break;
            }
            let earned = self.origin.load(Relaxed).wrapping_add(now.wrapping_mul(speed));
            // Parts that are missing now, none if it is full.
            let missing = ((word & !(GRANTS | CLOSED)).wrapping_sub(earned) as i64).max(0) as u64;
            fence(Acquire);
            if missing + wanted > depth {
                return TryAcquire::Refused { lacking: missing + wanted - depth, speed };
            }
            let full_at = earned.wrapping_add(missing + wanted);
            let next = full_at | ((word & GRANTS) + GRANT);
            match self.busy.word.compare_exchange_weak(word, next, Acquire, Acquire) {
                Ok(_) => return TryAcquire::Granted,
                Err(changed) => word = changed,
            }
        }
        TryAcquire::Closed
    }

    pub(crate) fn count_refusal(&self) {
        self.busy.refused.fetch_add(1, Relaxed);
    }

    /// How many were refused here.
    pub(crate) fn refused(&self) -> u64 {
        self.busy.refused.load(Relaxed)
    }

    /// Whether one who comes now is likely to have to wait.
    pub(crate) fn has_waiters(&self) -> bool {
        self.has_waiters.load(Relaxed)
    }

    /// Only for whom has the lock.
    pub(crate) fn set_has_waiters(&self, has_waiters: bool) {
        self.has_waiters.store(has_waiters, Relaxed);
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
        let Some(parts) = bucket.parts().filter(|parts| parts.speed <= FASTEST) else { return };
        let depth = u128::from(parts.cost) * u128::from(bucket.burst());
        if depth > u128::from(MOST) || parts.missing > MOST {
            return;
        }
        // One further than it ever was.
        let earned = ((self.busy.word.load(Relaxed) >> SHIFT) + 1) << SHIFT;
        let per_nano = parts.speed << SHIFT;
        self.opened.store(opened, Relaxed);
        self.speed.store(per_nano, Relaxed);
        self.cost.store(parts.cost << SHIFT, Relaxed);
        self.depth.store((depth as u64) << SHIFT, Relaxed);
        self.origin.store(earned.wrapping_sub(opened.wrapping_mul(per_nano)), Relaxed);
        self.busy.word.store(earned.wrapping_add(parts.missing << SHIFT), Release);
    }

    /// Shuts it, and says what was done; None if it was not open. Only for whom has the lock.
    pub(crate) fn close(&self) -> Option<Usage> {
        let word = self.busy.word.fetch_or(CLOSED, Acquire);
        fence(Release);
        (word & CLOSED == 0).then(|| {
            let opened = self.opened.load(Relaxed).wrapping_mul(self.speed.load(Relaxed));
            let earned = self.origin.load(Relaxed).wrapping_add(opened);
            Usage {
                granted: (word & GRANTS) / GRANT,
                missing: (word & !(GRANTS | CLOSED)).wrapping_sub(earned) >> SHIFT,
            }
        })
    }

    /// None before the anchor.
    pub(super) fn nanos(&self, instant: Instant) -> Option<u64> {
        let elapsed = instant.checked_duration_since(self.anchor)?;
        Some(elapsed.as_secs().wrapping_mul(1_000_000_000).wrapping_add(elapsed.subsec_nanos().into()))
    }
}
