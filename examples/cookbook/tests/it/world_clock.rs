//! The clock of a world beside the wall clock, by which a cache tells ages, and beside a call that blocks a thread.

use std::{
    fs,
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
fn the_clock_stands_still_while_a_thread_is_blocked() {
    World::run(async |_| {
        let call = spawn_blocking(|| fs::read_to_string("Cargo.toml"));
        assert!(assert_took!(timeout(HOUR, call), Duration::ZERO).is_ok(), "an hour passed first");
    });
}
