//! A quantile of the latencies of recent calls, without a lock.
//!
//! # How it works
//!
//! A ring of the last [`CAPACITY`] latencies, which is copied and sorted after every [`INTERVAL`] calls; readers only load the
//! quantile that was found. A writer takes its place with one `fetch_add`, so two writers do not meet in one place before
//! the ring has gone around.
//!
//! Race: a sort sees some places before and some after concurrent writes. The quantile is an estimate either way, and every
//! value in the ring is a latency that was measured. `Relaxed` is enough, since no other memory is published with them.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const CAPACITY: usize = 256;
/// The number of calls after which the quantile is computed again.
const INTERVAL: usize = 32;

/// Estimates a quantile of the latencies of recent calls.
pub(crate) struct LatencyQuantile {
    percent: u8,
    until_known: Duration,
    // Made at first use, so that it can be part of a `static` and yet be shared by clones.
    shared: OnceLock<Arc<Shared>>,
}

struct Shared {
    recorded: AtomicUsize,
    /// Microseconds; the newest replaces the oldest.
    ring: [AtomicU32; CAPACITY],
    /// In microseconds; zero until it is known.
    quantile: AtomicU32,
}

impl LatencyQuantile {
    pub(crate) const fn new(percent: u8, until_known: Duration) -> Self {
        Self { percent, until_known, shared: OnceLock::new() }
    }

    pub(crate) fn quantile(&self) -> Duration {
        match self.shared().quantile.load(Relaxed) {
            0 => self.until_known,
            micros => Duration::from_micros(micros.into()),
        }
    }

    pub(crate) fn record(&self, latency: Duration) {
        let shared = self.shared();
        let place = shared.recorded.fetch_add(1, Relaxed);
        let micros = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX).max(1);
        shared.ring[place % CAPACITY].store(micros, Relaxed);
        if place % INTERVAL == INTERVAL - 1 {
            let mut seen = shared.ring.each_ref().map(|micros| micros.load(Relaxed));
            seen.sort_unstable();
            // Unused places hold zero, and are sorted to the front.
            let used = &seen[seen.partition_point(|micros| *micros == 0)..];
            let rank = (used.len() * usize::from(self.percent)).div_ceil(100);
            shared.quantile.store(used[rank.saturating_sub(1)], Relaxed);
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.get_or_init(|| {
            let ring = std::array::from_fn(|_| AtomicU32::new(0));
            Arc::new(Shared { recorded: AtomicUsize::new(0), ring, quantile: AtomicU32::new(0) })
        })
    }
}

impl Clone for LatencyQuantile {
    fn clone(&self) -> Self {
        let shared = OnceLock::from(self.shared().clone());
        Self { percent: self.percent, until_known: self.until_known, shared }
    }
}

impl fmt::Debug for LatencyQuantile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LatencyQuantile")
            .field("percent", &self.percent)
            .field("quantile", &self.quantile())
            .finish_non_exhaustive()
    }
}
