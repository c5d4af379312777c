//! The clock of a rule: virtual and exact, or real, on which a second of the rule takes a time of its own.

use std::time::Duration;

use tokio::{task_local, time::sleep};

task_local! {
    static CLOCK: Clock;
}

/// The time by which an event of a real clock may be late: servers, disks and schedulers take theirs.
const LATE: Duration = Duration::from_millis(200);

/// The time that all need for what is due on a real clock.
const SETTLES: Duration = Duration::from_millis(50);

const SECOND: u128 = Duration::from_secs(1).as_nanos();

#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The real time of a second; `None` for virtual time.
    second: Option<Duration>,
    /// The factor of all real times.
    slower: u32,
}

impl Clock {
    pub(crate) const VIRTUAL: Self = Self { second: None, slower: 1 };

    /// A clock on which a second takes this time, and which is slower by a factor.
    pub(crate) fn real(second: Duration, slower: u32) -> Self {
        Self { second: Some(second * slower), slower }
    }

    /// The clock of the rule that is run by this task.
    pub(crate) fn current() -> Self {
        CLOCK.try_get().unwrap_or(Self::VIRTUAL)
    }

    /// Runs a rule on this clock.
    pub(crate) async fn run<T>(self, rule: impl Future<Output = T>) -> T {
        CLOCK.scope(self, rule).await
    }

    pub(crate) const fn is_real(self) -> bool {
        self.second.is_some()
    }

    /// The time that this takes.
    pub(crate) fn takes(self, time: Duration) -> Duration {
        let real = |second: Duration| scaled(time, second.as_nanos(), SECOND);
        self.second.map_or(time, real)
    }

    /// The time of the rule that has passed.
    pub(crate) fn tells(self, real: Duration) -> Duration {
        self.second.map_or(real, |second| scaled(real, SECOND, second.as_nanos()))
    }

    pub(crate) async fn sleep(self, time: Duration) {
        sleep(self.takes(time)).await;
    }

    /// The latest time of an event that is due at this one.
    pub(crate) fn latest(self, at: Duration) -> Duration {
        if self.is_real() { at + at / 20 + self.tells(LATE * self.slower) } else { at }
    }

    /// Waits for what is due now; in virtual time it is for the caller to yield.
    pub(crate) async fn settle(self) {
        if self.is_real() {
            sleep(SETTLES * self.slower).await;
        }
    }
}

fn scaled(time: Duration, by: u128, of: u128) -> Duration {
    let nanos = time.as_nanos().saturating_mul(by) / of;
    Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
}
