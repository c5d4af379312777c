//! The fast path: a token bucket in one atomic word, for requests that take no lock.
//!
//! # How it works
//!
//! The bucket of the state is lent to the fast path while nobody waits. It counts in units, of which each nanosecond earns
//! a whole number, and is as exact as the bucket behind the lock. The word holds
//!
//! ```text
//! 63                                     11 10            1  0
//! ┌────────────────────────────────────────┬───────────────┬───┐
//! │ units at which the bucket is full      │ grants        │ C │   C: closed
//! └────────────────────────────────────────┴───────────────┴───┘
//! ```
//!
//! A grant moves the first field ahead by the cost of its permits, and adds one to the second, in one compare-exchange.
//! All other fields are written under the lock while the word is closed ([`FastPath::open`]). Readers treat them as under a
//! seqlock: they read the word, then the fields, and the compare-exchange fails if the word has changed.
//!
//! Invariants:
//! - From one opening to the next the units only grow. So no old word comes back, and a compare-exchange never succeeds
//!   with fields of an earlier opening (the ABA problem).
//! - The grants are counted in the word itself, so that [`FastPath::close`] takes over each grant exactly once.
//! - A request looks at the clock before it reads the word in [`FastPath::take_at`]. So it may grant by an instant that has
//!   passed, which is no more than the limit allows. It must not refuse by one: if the word has changed since the clock
//!   was read, it looks again.
//! - It is open for a millisecond after it was opened; the next request goes through the lock, so that the state knows
//!   how late it is. It is also closed for rates and bursts that do not fit the fields, and after 1023 grants.
//!
//! *Credits* are another fast path, in place of this one, for a limiter that is built with
//! [`fast`](crate::RateLimiter::fast): single permits that are granted without a look at the clock. They are spent when
//! they are settled, later than they were granted, and so never too many.

use tokio::time::{Duration, Instant};

use super::loom::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::{algorithm::bucket::Bucket, error::Denied};

/// The low bit of the word: closed, and the bucket behind the lock counts.
const CLOSED: u64 = 1;
/// One grant; its bits count those that are not settled yet.
const GRANT: u64 = 1 << 1;
const GRANTS: u64 = (1 << SHIFT) - GRANT;
/// The bits below the units.
const SHIFT: u32 = 11;

/// The most units of a burst or a debt: far from wrapping.
const MOST: u64 = 1 << 50;
/// The most units of a nanosecond. The units wrap around in seconds then, and not between two steps of a thread.
const FASTEST: u64 = 1 << 20;

/// The nanoseconds for which it stays open, and which a clock can go back without being noticed.
const HORIZON: u64 = 1_000_000;

#[derive(Debug)]
pub(crate) struct FastPath {
    busy: Busy,
    /// The time of the opening, in nanoseconds since `anchor`.
    opened: AtomicU64,
    /// The units of a nanosecond, of a permit, and of the burst, each shifted as the units of the word are.
    speed: AtomicU64,
    cost: AtomicU64,
    depth: AtomicU64,
    /// The units earned at `anchor`, had it been open since.
    origin: AtomicU64,
    /// The credits that are left; none while the word is open.
    credits: AtomicI64,
    /// Whether somebody waited when the lock was last released.
    has_waiters: AtomicBool,
    anchor: Instant,
}

/// The fields that every request writes, apart from those that it only reads, so that the readers do not wait for each
/// other's writes. Processors fetch cache lines of 64 bytes in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Busy {
    word: AtomicU64,
    refused: AtomicU64,
}

/// The result of a request.
pub(crate) enum TryAcquire {
    Granted,
    /// `lacking` units are missing, of which each nanosecond earns `speed`.
    Refused {
        lacking: u64,
        speed: u64,
    },
    /// The state behind the lock has to answer.
    Closed,
}

impl TryAcquire {
    pub(crate) fn denied(lacking: u64, speed: u64) -> Denied {
        let nanos = if speed == 1 << SHIFT { lacking >> SHIFT } else { lacking.div_ceil(speed) };
        Denied::busy(Duration::from_nanos(nanos))
    }
}

/// The use of the fast path while it was open.
pub(crate) struct Usage {
    pub(crate) granted: u64,
    /// The units from its opening until the bucket is full.
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

    /// Takes permits now or not at all, for the slow paths.
    #[inline(never)]
    pub(crate) fn take(&self, permits: u32) -> TryAcquire {
        if permits == 1 && self.take_credit() { TryAcquire::Granted } else { self.take_by_clock(permits) }
    }

    /// Does the same without a look at the credits.
    #[inline(always)]
    pub(crate) fn take_by_clock(&self, permits: u32) -> TryAcquire {
        self.take_with_clock(|| self.nanos(Instant::now()), permits)
    }

    #[inline]
    pub(super) fn take_credit(&self) -> bool {
        self.credits.load(Relaxed) > 0 && self.credits.fetch_sub(1, Acquire) > 0
    }

    /// Does the same by this clock.
    ///
    /// The clock is read after the word shows that it is open, so that others have little time to change the word.
    #[inline(always)]
    pub(super) fn take_with_clock(&self, clock: impl Fn() -> Option<u64>, permits: u32) -> TryAcquire {
        loop {
            let before = self.busy.word.load(Acquire);
            if before & CLOSED != 0 {
                return TryAcquire::Closed;
            }
            let Some(now) = clock() else { return TryAcquire::Closed };
            let taken = self.take_at(now, permits);
            // If others have taken permits since `now`, more may have been earned as well: a refusal does not hold then.
            if !matches!(taken, TryAcquire::Refused { .. }) || self.busy.word.load(Relaxed) == before {
                return taken;
            }
        }
    }

    #[inline(always)]
    fn take_at(&self, now: u64, permits: u32) -> TryAcquire {
        let mut word = self.busy.word.load(Acquire);
        while word & CLOSED == 0 && word & GRANTS != GRANTS {
            let (speed, cost) = (self.speed.load(Relaxed), self.cost.load(Relaxed));
            let depth = self.depth.load(Relaxed);
            // One permit is never more than the burst.
            let (wanted, fits) = match permits {
                1 => (cost, true),
                _ => {
                    let wanted = u64::from(permits).saturating_mul(cost);
                    (wanted, wanted <= depth)
                }
            };
            if now.wrapping_sub(self.opened.load(Relaxed)) > HORIZON || !fits {
                break;
            }
            let earned = self.origin.load(Relaxed).wrapping_add(now.wrapping_mul(speed));
            // The units that are missing now, none if it is full.
            let missing = ((word & !(GRANTS | CLOSED)).wrapping_sub(earned) as i64).max(0) as u64;
            // The fields were read before this word is compared below. If one of them was of a later opening, the word has
            // changed and the exchange fails.
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

    /// Returns the number of refusals that were counted here.
    pub(crate) fn refused(&self) -> u64 {
        self.busy.refused.load(Relaxed)
    }

    /// Returns whether a request that comes now is likely to have to wait.
    pub(crate) fn has_waiters(&self) -> bool {
        self.has_waiters.load(Relaxed)
    }

    /// Requires the lock.
    pub(crate) fn set_has_waiters(&self, has_waiters: bool) {
        self.has_waiters.store(has_waiters, Relaxed);
    }

    /// Lends credits. Requires the lock, and that the word is closed.
    pub(crate) fn lend(&self, credits: u32) {
        self.credits.store(credits.into(), Release);
    }

    /// Takes back the credits that have not been used. Requires the lock.
    pub(crate) fn recall(&self) -> u32 {
        self.credits.swap(0, Acquire).max(0) as u32
    }

    /// Opens it for a bucket, if its numbers fit. Requires the lock.
    pub(crate) fn open(&self, bucket: &Bucket) {
        let Some(opened) = self.nanos(bucket.now()) else { return };
        let Some(units) = bucket.units().filter(|units| units.speed <= FASTEST) else { return };
        let depth = u128::from(units.cost) * u128::from(bucket.burst());
        if depth > u128::from(MOST) || units.missing > MOST {
            return;
        }
        // One unit further than the word ever was, so that no old word comes back.
        let earned = ((self.busy.word.load(Relaxed) >> SHIFT) + 1) << SHIFT;
        let per_nano = units.speed << SHIFT;
        self.opened.store(opened, Relaxed);
        self.speed.store(per_nano, Relaxed);
        self.cost.store(units.cost << SHIFT, Relaxed);
        self.depth.store((depth as u64) << SHIFT, Relaxed);
        self.origin.store(earned.wrapping_sub(opened.wrapping_mul(per_nano)), Relaxed);
        self.busy.word.store(earned.wrapping_add(units.missing << SHIFT), Release);
    }

    /// Closes it, and returns its usage; `None` if it was closed. Requires the lock.
    pub(crate) fn close(&self) -> Option<Usage> {
        let word = self.busy.word.fetch_or(CLOSED, Acquire);
        // No field that the next opening writes is seen before the word is closed.
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

    /// Returns an instant in nanoseconds since the anchor; `None` before it.
    pub(super) fn nanos(&self, instant: Instant) -> Option<u64> {
        let elapsed = instant.checked_duration_since(self.anchor)?;
        Some(elapsed.as_secs().wrapping_mul(1_000_000_000).wrapping_add(elapsed.subsec_nanos().into()))
    }
}
