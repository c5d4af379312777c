//! Real time, for limits and reports: the wall clock, and the CPU time of a thread.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "limits and reports of real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Blocks this thread.
#[expect(clippy::disallowed_methods, reason = "other threads need real time")]
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}

/// The CPU time of this thread; `None` on systems that do not report it.
#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux", target_vendor = "apple"))]
#[must_use]
pub fn thread_cpu_time() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux", target_vendor = "apple")))]
#[must_use]
pub fn thread_cpu_time() -> Option<Duration> {
    None
}
