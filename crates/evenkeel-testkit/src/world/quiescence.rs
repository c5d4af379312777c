//! Detects that nothing has run for a while of real time: the condition of `Clock::Quiet`.
//!
//! # How it works
//!
//! A runtime does not say whether it ran anything between two parks. But it publishes its busy time whenever it polls
//! its driver, and with an event interval of one it does so after each task. So [`Progress`], the busy time and the
//! number of root polls, stays equal from the end of one park to the beginning of the next only if no task ran.
//!
//! The required time is counted in naps, as long as they were requested and not as long as they took: on a busy
//! machine naps take longer, and so do the pauses of the peers whose answers the world waits for. Naps grow, so that
//! a short pause is noticed early and a long one costs few wake-ups.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::lock;
use tokio::runtime::Handle;

/// The shortest and the longest nap; in between, a nap is as long as all naps before it.
const NAPS: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// Measures for how long a runtime has been quiet.
#[derive(Debug)]
pub(super) struct Quiescence {
    length: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The naps since the runtime ran anything.
    napped: Duration,
    /// The progress at the end of the last park.
    progress: Option<Progress>,
}

/// A measure of the work of a runtime: equal values mean that nothing ran in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Progress {
    busy: Duration,
    root_polls: u64,
}

impl Progress {
    /// Reads the progress of the current runtime.
    fn now(root_polls: u64) -> Self {
        Progress { busy: Handle::current().metrics().worker_total_busy_duration(0), root_polls }
    }
}

impl Quiescence {
    pub(super) fn new(length: Duration) -> Self {
        Quiescence { length, state: Mutex::default() }
    }

    pub(super) fn unparked(&self, root_polls: u64) {
        lock(&self.state).progress = Some(Progress::now(root_polls));
    }

    /// Returns how long to nap before the next look, or `None` if the runtime has been quiet for long enough.
    pub(super) fn next_nap(&self, root_polls: u64) -> Option<Duration> {
        let mut state = lock(&self.state);
        if state.progress != Some(Progress::now(root_polls)) {
            state.napped = Duration::ZERO;
        }
        let missing = self.length.saturating_sub(state.napped);
        let nap = state.napped.clamp(NAPS.0, NAPS.1).min(missing);
        state.napped += nap;
        (!nap.is_zero()).then_some(nap)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{runtime::Builder, task::yield_now};

    use super::Quiescence;

    /// Adds up all naps until the runtime counts as quiet.
    fn missing(quiet: &Quiescence, root_polls: u64) -> Duration {
        let mut missing = Duration::ZERO;
        while let Some(nap) = quiet.next_nap(root_polls) {
            missing += nap;
            quiet.unparked(root_polls);
        }
        missing
    }

    #[test]
    fn naps_add_up_and_whatever_runs_begins_them_anew() {
        const LENGTH: Duration = Duration::from_micros(7250);
        let runtime = Builder::new_current_thread().event_interval(1).build().expect("a runtime");
        runtime.block_on(async {
            let quiet = Quiescence::new(LENGTH);
            assert_eq!(missing(&quiet, 0), LENGTH);
            assert_eq!(missing(&quiet, 0), Duration::ZERO);
            assert_eq!(missing(&quiet, 1), LENGTH, "the root was polled");
            tokio::spawn(async {});
            yield_now().await;
            assert_eq!(missing(&quiet, 1), LENGTH, "a task ran");
            let naps = [
                quiet.next_nap(2),
                {
                    quiet.unparked(2);
                    quiet.next_nap(2)
                },
                {
                    quiet.unparked(2);
                    quiet.next_nap(2)
                },
            ];
            assert_eq!(naps, [50, 50, 100].map(|us| Some(Duration::from_micros(us))));
        });
    }
}
