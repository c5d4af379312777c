//! `skips_clock`: the clock, read less often where holds follow each other within moments.
//!
//! Reading the clock is dear beside a hold that takes no time. Two readings of a thread between which the holds are less than
//! a [`MOMENT`] apart begin a burst: the next [`UNREAD`] holds begin without a reading, and a look gives them a time. A clock
//! that stands still is paused, and is always read.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

/// The holds in a row that begin without a reading of the clock.
const UNREAD: u8 = 32;

/// Holds that are closer than this on the average are a burst.
const MOMENT: Duration = Duration::from_micros(20);

thread_local! {
    // The last reading of this thread, and the holds that may still begin without another one.
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    static LEFT: Cell<u8> = const { Cell::new(0) };
    // Whether such holds came since the last reading.
    static WAS_BURST: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the next hold of this thread begins without a reading of the clock, as it is in a burst.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn skips_clock() -> bool {
    LEFT.with(|left| match left.get() {
        0 => false,
        holds => {
            left.set(holds - 1);
            true
        }
    })
}

/// Returns the time, for a hold that begins with a reading.
#[doc(hidden)]
#[inline(never)]
#[must_use]
pub fn read_clock() -> Instant {
    let now = Instant::now();
    let holds = if WAS_BURST.get() { 1 + u32::from(UNREAD - LEFT.get()) } else { 1 };
    let is_burst = LAST.replace(Some(now)).is_some_and(|last| now > last && now - last < MOMENT * holds);
    WAS_BURST.set(is_burst);
    LEFT.set(if is_burst { UNREAD } else { 0 });
    now
}

/// Returns whether holds are a burst, of which so many began between two readings, in nanoseconds.
#[doc(hidden)]
#[inline]
#[must_use]
pub fn is_burst(last: u64, now: u64, holds: u64) -> bool {
    now > last && now - last < MOMENT.as_nanos() as u64 * holds
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Returns the numbers of the holds that begin with a reading, of those that are so far apart.
    async fn readings(holds: u32, apart: Duration) -> Vec<u32> {
        let mut readings = Vec::new();
        for hold in 0..holds {
            advance(apart).await;
            if !skips_clock() {
                assert_eq!(read_clock(), Instant::now());
                readings.push(hold);
            }
        }
        readings
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_begins_and_ends() {
        assert_eq!(readings(100, MOMENT / 2).await, [0, 1, 34, 67]);
        // It ends with the next reading, by which the holds were further apart than a moment.
        assert_eq!(readings(36, 2 * MOMENT).await, [0, 33, 34, 35]);
        assert_eq!(readings(5, Duration::ZERO).await, [0, 1, 2, 3, 4], "a paused clock");
    }
}
