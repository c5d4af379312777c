//! Real time, for limits and reports: that of the wall, and that for which a thread has computed.

use std::time::{Duration, Instant};

#[expect(clippy::disallowed_methods, reason = "limits and reports of real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Stops this thread.
#[expect(clippy::disallowed_methods, reason = "other threads need real time")]
pub(crate) fn sleep(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(any(target_os = "android", target_os = "freebsd", target_os = "linux", target_vendor = "apple"))]
mod thread {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};

    /// How long this thread has computed.
    pub(crate) fn computed() -> Option<Duration> {
        clock_gettime(ClockId::ThreadCPUTime).try_into().ok()
    }
}

#[cfg(not(any(target_os = "android", target_os = "freebsd", target_os = "linux", target_vendor = "apple")))]
mod thread {
    use std::time::Duration;

    /// How long this thread has computed: this system is not asked.
    pub(crate) fn computed() -> Option<Duration> {
        None
    }
}

pub(crate) use thread::computed;
