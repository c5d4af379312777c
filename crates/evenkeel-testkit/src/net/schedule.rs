//! When sent bytes arrive.
//!
//! A piece first waits for the wire (`bandwidth`, `slicer`), then travels (`latency`, `jitter`), then may be stalled.
//! Invariant: arrivals never decrease, so that no byte overtakes another.

use std::{cmp, time::Duration};

use tokio::time::Instant;

use super::{random::Random, toxics::Toxics};

/// Longer than any test, and short enough to be added to an instant.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// The arrival times of one direction of a connection.
#[derive(Debug)]
pub(super) struct Schedule {
    /// The instant at which the wire has carried all sent bytes.
    wire_free_at: Instant,
    /// The bytes that the wire carries without a pause: start, number, rate. Times are computed from the
    /// sum, so that rounding errors do not add up.
    run: Option<(Instant, u64, u64)>,
    /// The last arrival.
    latest: Instant,
    random: Random,
}

/// A piece of the sent bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) len: usize,
    /// Whether a read returns it without other pieces.
    pub(super) alone: bool,
    pub(super) at: Instant,
}

impl Schedule {
    pub(super) fn new(opened: Instant, random: Random) -> Self {
        Schedule { wire_free_at: opened, run: None, latest: opened, random }
    }

    /// Schedules the next piece of `len` bytes that are sent now, after `sent` others.
    pub(super) fn piece(&mut self, now: Instant, toxics: &Toxics, sent: u64, len: usize) -> Piece {
        let mut size = len;
        if let Some(slicer) = toxics.slicer {
            let spread = as_u64(slicer.variation).saturating_mul(2);
            let slice = slicer.average - slicer.variation + self.random.up_to(spread) as usize;
            size = cmp::min(size, slice.max(1));
        }
        if let Some(rate) = toxics.bandwidth {
            size = cmp::min(as_u64(size), (rate / 10).max(1)) as usize;
        }
        if let Some((stop, _)) = toxics.stall.filter(|(stop, _)| sent < *stop) {
            size = cmp::min(as_u64(size), stop - sent) as usize;
        }
        let left = self.carry(now, toxics, as_u64(size));
        Piece { len: size, alone: toxics.slicer.is_some(), at: self.arrive(left, toxics, sent) }
    }

    /// Delays all later arrivals until this instant at least.
    pub(super) fn delay_until(&mut self, until: Instant) -> Instant {
        self.latest = cmp::max(self.latest, until);
        self.latest
    }

    /// Schedules bytes that leave the wire at `left`, or the end of the stream, after `sent` bytes.
    pub(super) fn arrive(&mut self, left: Instant, toxics: &Toxics, sent: u64) -> Instant {
        let stalled = toxics.stall.filter(|(stop, _)| sent == *stop);
        let pause = stalled.map_or(Duration::ZERO, |(_, pause)| pause);
        let travel = self.travel(toxics);
        self.delay_until(later(later(left, travel), pause))
    }

    /// When these bytes have left the wire.
    fn carry(&mut self, now: Instant, toxics: &Toxics, bytes: u64) -> Instant {
        let start = cmp::max(now, self.wire_free_at);
        let mut left = start;
        match toxics.bandwidth {
            Some(rate) => {
                let run = self.run.filter(|run| run.2 == rate && start == self.wire_free_at);
                let (since, before, _) = run.unwrap_or((start, 0, rate));
                left = later(since, time_of(before + bytes, rate));
                self.run = Some((since, before + bytes, rate));
            }
            None => self.run = None,
        }
        self.wire_free_at = left;
        if let Some(slicer) = toxics.slicer.filter(|slicer| !slicer.delay.is_zero()) {
            self.wire_free_at = later(left, slicer.delay);
            self.run = None;
        }
        left
    }

    fn travel(&mut self, toxics: &Toxics) -> Duration {
        if toxics.jitter.is_zero() {
            return toxics.latency;
        }
        let jitter = u64::try_from(toxics.jitter.as_nanos()).unwrap_or(u64::MAX / 2);
        let shift = Duration::from_nanos(self.random.up_to(jitter.saturating_mul(2)));
        toxics.latency.saturating_add(shift).saturating_sub(toxics.jitter)
    }
}

/// The time that these bytes take at this rate, rounded up to a nanosecond.
fn time_of(bytes: u64, rate: u64) -> Duration {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate));
    u64::try_from(nanos).map_or(NEVER, Duration::from_nanos)
}

/// Adds a time to an instant, capped at [`NEVER`].
pub(crate) fn later(instant: Instant, by: Duration) -> Instant {
    instant.checked_add(cmp::min(by, NEVER)).unwrap_or(instant)
}

fn as_u64(bytes: usize) -> u64 {
    bytes as u64
}
