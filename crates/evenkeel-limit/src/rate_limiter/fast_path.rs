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
//! With [`Clock::Cpu`](crate::clock) the time is the counter's, from the last reading of tokio's clock on, which is when
//! the state was settled before the word was opened.
//!
//! *Credits* are another fast path, in place of this one, for a limiter that is built with
//! [`fast`](crate::RateLimiter::fast): single permits that are granted without a look at the clock. They are spent when
//! they are settled, later than they were granted, and so never too many.

use tokio::time::Instant;

use super::loom::{
    AtomicBool, AtomicI64, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use crate::{
    algorithm::bucket::Bucket,
    clock::{Counter, HORIZON},
};

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

/// No ticks: a counter takes years to get there.
const UNKNOWN: u64 = u64::MAX;

#[derive(Debug)]
pub(crate) struct FastPath {
    busy: Busy,
    /// The time of the opening, in ticks.
    opened: AtomicU64,
    /// The units of a nanosecond, of a permit, and of the burst, each shifted as the units of the word are.
    speed: AtomicU64,
    cost: AtomicU64,
    depth: AtomicU64,
    /// The units earned at the opening.
    earned: AtomicU64,
    /// The credits that are left; none while the word is open.
    credits: AtomicI64,
    /// Whether somebody waited when the lock was last released.
    has_waiters: AtomicBool,
    /// The clock if it is not tokio's. Ticks are its own then, and otherwise nanoseconds since `anchor`.
    counter: Option<Counter>,
    /// The ticks of the counter at the last reading of tokio's clock; `UNKNOWN` if they are not close.
    read_at: AtomicU64,
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

/// The result of a request, small enough for two registers.
#[derive(Clone, Copy)]
pub(crate) enum TryAcquire {
    Granted,
    /// There are as many permits in this number of nanoseconds.
    Refused(u64),
    /// The state behind the lock has to answer.
    Closed,
}

/// The use of the fast path while it was open.
pub(crate) struct Usage {
    pub(crate) granted: u64,
    /// The units from its opening until the bucket is full.
    pub(crate) missing: u64,
}

impl FastPath {
    pub(crate) fn new(counter: Option<Counter>) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            busy: Busy { word: AtomicU64::new(CLOSED), refused: zero() },
            opened: zero(),
            speed: zero(),
            cost: zero(),
            depth: zero(),
            earned: zero(),
            credits: AtomicI64::new(0),
            has_waiters: AtomicBool::new(false),
            counter,
            read_at: AtomicU64::new(UNKNOWN),
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
        // One permit is by far the most frequent number, and takes fewer steps and registers.
        if permits == 1 { self.take_one_by_clock() } else { self.take_many_by_clock(permits) }
    }

    /// Does the same for one permit.
    #[inline(always)]
    pub(crate) fn take_one_by_clock(&self) -> TryAcquire {
        match &self.counter {
            None => self.take_one_by_tokio(),
            Some(counter) => self.take_one_by_counter(counter),
        }
    }

    #[inline(never)]
    fn take_one_by_tokio(&self) -> TryAcquire {
        self.take_with_clock(|| self.nanos(Instant::now()), 1)
    }

    #[inline(never)]
    fn take_one_by_counter(&self, counter: &Counter) -> TryAcquire {
        self.take_with(|| Some(counter.ticks()), |opened, now| counter.nanos(opened, now), 1)
    }

    #[inline(never)]
    pub(crate) fn take_many_by_clock(&self, permits: u32) -> TryAcquire {
        match &self.counter {
            None => self.take_with_clock(|| self.nanos(Instant::now()), permits),
            Some(counter) => {
                self.take_with(|| Some(counter.ticks()), |opened, now| counter.nanos(opened, now), permits)
            }
        }
    }

    #[inline]
    pub(super) fn take_credit(&self) -> bool {
        self.credits.load(Relaxed) > 0 && self.credits.fetch_sub(1, Acquire) > 0
    }

    /// Does the same by a clock whose ticks are nanoseconds since the anchor.
    #[inline(always)]
    pub(super) fn take_with_clock(&self, clock: impl Fn() -> Option<u64>, permits: u32) -> TryAcquire {
        let passed = |opened, now: u64| Some(now.wrapping_sub(opened)).filter(|passed| *passed <= HORIZON);
        self.take_with(clock, passed, permits)
    }

    /// Does the same by this clock, and the nanoseconds between two of its ticks if they are within the horizon.
    ///
    /// The clock is read after the word shows that it is open, so that others have little time to change the word.
    #[inline(always)]
    fn take_with(
        &self,
        clock: impl Fn() -> Option<u64>,
        passed: impl Fn(u64, u64) -> Option<u64>,
        permits: u32,
    ) -> TryAcquire {
        loop {
            let before = self.busy.word.load(Acquire);
            if before & CLOSED != 0 {
                return TryAcquire::Closed;
            }
            let Some(now) = clock() else { return TryAcquire::Closed };
            let taken = self.take_at(now, &passed, permits);
            // If others have taken permits since `now`, more may have been earned as well: a refusal does not hold then.
            if !matches!(taken, TryAcquire::Refused(_)) || self.busy.word.load(Relaxed) == before {
                return taken;
            }
        }
    }

    #[inline(always)]
    fn take_at(&self, now: u64, passed: impl Fn(u64, u64) -> Option<u64>, permits: u32) -> TryAcquire {
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
            let Some(passed) = passed(self.opened.load(Relaxed), now).filter(|_| fits) else { break };
            let earned = self.earned.load(Relaxed).wrapping_add(passed.wrapping_mul(speed));
            // The units that are missing now, none if it is full.
            let missing = ((word & !(GRANTS | CLOSED)).wrapping_sub(earned) as i64).max(0) as u64;
            // The fields were read before this word is compared below. If one of them was of a later opening, the word has
            // changed and the exchange fails.
            fence(Acquire);
            if missing + wanted > depth {
                return TryAcquire::Refused(nanos_for(missing + wanted - depth, speed));
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

    /// Returns the credits that are left. Requires the lock.
    #[cfg(feature = "inspect")]
    pub(crate) fn credits_left(&self) -> u32 {
        self.credits.load(Relaxed).max(0) as u32
    }

    /// Reads tokio's clock, for the next opening. Requires the lock.
    #[inline(always)]
    pub(crate) fn read_clock(&self) -> Instant {
        let Some(counter) = &self.counter else { return Instant::now() };
        let (now, ticks) = counter.read();
        self.read_at.store(ticks.unwrap_or(UNKNOWN), Relaxed);
        now
    }

    /// Opens it for a bucket, if its numbers fit. Requires the lock, and that the bucket is at the time of the last
    /// [`read_clock`](Self::read_clock).
    pub(crate) fn open(&self, bucket: &Bucket) {
        let opened = match &self.counter {
            None => self.nanos(bucket.now()),
            Some(_) => Some(self.read_at.load(Relaxed)).filter(|&ticks| ticks != UNKNOWN),
        };
        let Some(opened) = opened else { return };
        let Some(units) = bucket.units().filter(|units| units.speed <= FASTEST) else { return };
        let depth = u128::from(units.cost) * u128::from(bucket.burst());
        if depth > u128::from(MOST) || units.missing > MOST {
            return;
        }
        // One unit further than the word ever was, so that no old word comes back.
        let earned = ((self.busy.word.load(Relaxed) >> SHIFT) + 1) << SHIFT;
        self.opened.store(opened, Relaxed);
        self.speed.store(units.speed << SHIFT, Relaxed);
        self.cost.store(units.cost << SHIFT, Relaxed);
        self.depth.store((depth as u64) << SHIFT, Relaxed);
        self.earned.store(earned, Relaxed);
        self.busy.word.store(earned.wrapping_add(units.missing << SHIFT), Release);
    }

    /// Closes it, and returns its usage; `None` if it was closed. Requires the lock.
    pub(crate) fn close(&self) -> Option<Usage> {
        let word = self.busy.word.fetch_or(CLOSED, Acquire);
        // No field that the next opening writes is seen before the word is closed.
        fence(Release);
        self.usage(word)
    }

    /// Returns its usage so far, and leaves it open; `None` if it is closed. Requires the lock.
    #[cfg(feature = "inspect")]
    pub(crate) fn usage_so_far(&self) -> Option<Usage> {
        self.usage(self.busy.word.load(Relaxed))
    }

    #[inline(always)]
    fn usage(&self, word: u64) -> Option<Usage> {
        (word & CLOSED == 0).then(|| {
            let earned = self.earned.load(Relaxed);
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

/// Returns the nanoseconds in which the units that are `lacking` are earned.
#[inline(always)]
fn nanos_for(lacking: u64, speed: u64) -> u64 {
    if speed == 1 << SHIFT { lacking >> SHIFT } else { lacking.div_ceil(speed) }
}
