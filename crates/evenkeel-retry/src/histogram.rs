//! Latencies of recent calls, and a quantile of them, without a lock.
//!
//! Not a histogram with fixed buckets: a ring of the last [`WINDOW`] latencies, which is sorted after every [`EVERY`]
//! calls. Writers take their place with one `fetch_add`, so two writers never meet in one place before the ring has gone
//! around. A reader that sorts meanwhile sees some latencies of the round before: the quantile is an estimate either way.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

const WINDOW: usize = 256;
/// The number of calls after which the quantile is computed again.
const EVERY: usize = 32;

/// Estimates a quantile of the latencies of recent calls.
pub(crate) struct Latencies {
    percent: u8,
    until_known: Duration,
    // Made at first use, so that it can be part of a `static` and yet be shared by clones.
    shared: OnceLock<Arc<Shared>>,
}

struct Shared {
    recorded: AtomicUsize,
    /// Microseconds; the newest replaces the oldest.
    window: [AtomicU32; WINDOW],
    /// In microseconds; zero until it is known.
    quantile: AtomicU32,
}

impl Latencies {
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
        shared.window[place % WINDOW].store(micros, Relaxed);
        if place % EVERY == EVERY - 1 {
            let mut seen = shared.window.each_ref().map(|micros| micros.load(Relaxed));
            seen.sort_unstable();
            // Unused places hold zero, and are sorted to the front.
            let used = &seen[seen.partition_point(|micros| *micros == 0)..];
            let rank = (used.len() * usize::from(self.percent)).div_ceil(100);
            shared.quantile.store(used[rank.saturating_sub(1)], Relaxed);
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.shared.get_or_init(|| {
            let window = std::array::from_fn(|_| AtomicU32::new(0));
            Arc::new(Shared { recorded: AtomicUsize::new(0), window, quantile: AtomicU32::new(0) })
        })
    }
}

impl Clone for Latencies {
    fn clone(&self) -> Self {
        let shared = OnceLock::from(self.shared().clone());
        Self { percent: self.percent, until_known: self.until_known, shared }
    }
}

impl fmt::Debug for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latencies")
            .field("percent", &self.percent)
            .field("quantile", &self.quantile())
            .finish_non_exhaustive()
    }
}
