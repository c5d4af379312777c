//! What follows the clock of a world, and what it waits for: an age by the wall clock, and a call that blocks a thread.

use std::{
    thread,
    time::{Duration, SystemTime},
};

use evenkeel_testkit::{World, assert_took};
use tokio::{
    task::spawn_blocking,
    time::{Instant, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);

/// The wall clock, read once; from there on it is tokio's, which a test moves.
struct WallClock(SystemTime, Instant);

impl WallClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn start() -> Self {
        Self(SystemTime::now(), Instant::now())
    }

    fn now(&self) -> SystemTime {
        self.0 + self.1.elapsed()
    }
}

#[test]
fn an_entry_of_a_cache_grows_old() {
    World::run(async |_| {
        let clock = WallClock::start();
        let stored = clock.now();
        sleep(HOUR).await;
        assert_eq!(clock.now().duration_since(stored).unwrap(), HOUR);
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a call that blocks")]
fn the_clock_stands_still_while_a_thread_is_blocked() {
    World::run(async |_| {
        let call = spawn_blocking(|| thread::sleep(Duration::from_millis(20)));
        assert!(assert_took!(timeout(HOUR, call), Duration::ZERO).is_ok(), "an hour passed first");
    });
}
