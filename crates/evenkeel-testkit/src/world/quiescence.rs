//! When nothing has run for a while of real time.

use std::{sync::Mutex, time::Duration};

use evenkeel_base::lock;
use tokio::runtime::Handle;

/// The runtime asks for news after a part of the time that it has waited, but at least and at most so often.
const NAPS: (Duration, Duration) = (Duration::from_micros(50), Duration::from_millis(1));

/// Knows for how long a runtime has been quiet.
///
/// A runtime does not say whether it ran anything between two parks. But it publishes the time for which it
/// was busy whenever it polls its driver, and with an event interval of one it does so after each task. So
/// that number stands still from the end of one park to the begin of the next only if no task ran.
///
/// The time is that for which the runtime meant to nap, not that which passed meanwhile: on a busy machine
/// its naps are longer, as are the pauses of those for whose answer it waits.
#[derive(Debug)]
pub(super) struct Quiescence {
    length: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    napped: Duration,
    /// What had been done at the end of the last park.
    done: Option<Done>,
}

/// All that the runtime has done so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Done {
    busy: Duration,
    root_polls: u64,
}

impl Done {
    /// Asks the present runtime.
    fn now(root_polls: u64) -> Self {
        Done { busy: Handle::current().metrics().worker_total_busy_duration(0), root_polls }
    }
}

impl Quiescence {
    pub(super) fn new(length: Duration) -> Self {
        Quiescence { length, state: Mutex::default() }
    }

    pub(super) fn unparked(&self, root_polls: u64) {
        lock(&self.state).done = Some(Done::now(root_polls));
    }

    /// How long to nap before the next look; nothing, if it has been quiet for long enough.
    pub(super) fn nap(&self, root_polls: u64) -> Option<Duration> {
        let mut state = lock(&self.state);
        if state.done != Some(Done::now(root_polls)) {
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

    /// How long it is still to be quiet.
    fn missing(quiet: &Quiescence, root_polls: u64) -> Duration {
        let mut missing = Duration::ZERO;
        while let Some(nap) = quiet.nap(root_polls) {
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
                quiet.nap(2),
                {
                    quiet.unparked(2);
                    quiet.nap(2)
                },
                {
                    quiet.unparked(2);
                    quiet.nap(2)
                },
            ];
            assert_eq!(naps, [50, 50, 100].map(|us| Some(Duration::from_micros(us))));
        });
    }
}
