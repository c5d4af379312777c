//! The costs of a round: wall time, processor time, allocations.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

/// The cost of several operations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Sample {
    pub(crate) wall: Duration,
    /// The processor time of all threads of the process.
    pub(crate) cpu: Duration,
    /// Zero if the program does not have the counting allocator.
    pub(crate) allocations: u64,
    /// The bytes that are still allocated at the end.
    pub(crate) bytes: i64,
}

/// Runs `work` and measures it, and does nothing else while it does; its output is dropped after the measurement.
pub(crate) fn measured<T>(work: impl FnOnce() -> T) -> Sample {
    let (mut work, mut kept) = (Some(work), None);
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let (wall, cpu) = (Instant::now(), processor_time());
    worked(&mut || kept = work.take().map(|work| work()));
    let (cpu, wall) = (processor_time().saturating_sub(cpu), wall.elapsed());
    let heap = region.change();
    drop(kept);
    Sample {
        wall,
        cpu,
        allocations: (heap.allocations + heap.reallocations) as u64,
        bytes: heap.bytes_allocated as i64 - heap.bytes_deallocated as i64 + heap.bytes_reallocated as i64,
    }
}

/// Does the work: callgrind counts between the entry and the end of this function, which it finds by name.
#[inline(never)]
fn worked(work: &mut dyn FnMut()) {
    work();
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use stats_alloc::StatsAlloc;

    use super::*;

    #[global_allocator]
    static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

    #[test]
    fn work_costs_time_and_what_is_kept_costs_bytes() {
        let sample = measured(|| {
            let mut sum = 0_u64;
            for n in 0..3_000_000_u64 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(n));
            }
            // Of which no page is touched; the other tests of the process free less than half as much meanwhile.
            (sum, vec![0_u8; 1 << 30])
        });
        assert!(sample.cpu > Duration::from_micros(100) && sample.wall > Duration::from_micros(100));
        assert!(sample.allocations >= 1 && sample.bytes >= 1 << 29);
    }
}
