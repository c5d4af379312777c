//! One test's own runtime, and what is checked when it ends.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

pub use self::builder::Builder;
use self::idle::Idle;
pub(crate) use self::{
    builder::WALL_LIMIT,
    runtime::{execute, live_tasks},
    seed::Seed,
};

mod builder;
mod idle;
mod runtime;
mod seed;

/// How long what is left to run may take to end.
const DRAIN: Duration = Duration::from_secs(60 * 60);

/// A fresh, paused, current-thread runtime for one test, and the handle to it.
///
/// Its clock stands still while anything can run, and then jumps to the next timer: sleeping costs no real
/// time, and durations are exact. `tokio::spawn` and `tokio::task::spawn_local` both work.
///
/// When the body of the test has ended, what is left gets an hour of virtual time; then the world checks
/// that no task is left alive, and that no task panicked. A world whose tasks all wait, with no timer set,
/// is a deadlock: it panics at once. One that takes 60 s of real time panics too, or, if its thread is
/// blocked, aborts the process with a message. [`Builder`] changes these limits.
///
/// # Why not just use `#[tokio::test(start_paused = true)]`?
///
/// It has the same clock and the same scheduler, and no checks: a test passes while its tasks leak, while
/// they panic unseen, and it hangs for ever where two of them wait for each other.
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{World, assert_took};
/// use std::time::Duration;
/// use tokio::time::{sleep, timeout};
///
/// World::run(async |world| {
///     let slow = sleep(Duration::from_secs(3600));
///     let result = assert_took!(timeout(Duration::from_secs(2), slow), Duration::from_secs(2));
///     assert!(result.is_err());
///     assert_eq!(world.elapsed(), Duration::from_secs(2));
/// });
/// ```
#[derive(Clone, Debug)]
pub struct World {
    start: Instant,
    seed: Arc<Seed>,
    idle: Arc<Idle>,
}

impl World {
    /// Runs `body` in a fresh world, and gives its output.
    ///
    /// # Panics
    ///
    /// If `body` does, and
    /// - if a task is still alive an hour of virtual time after the end of `body`,
    /// - if a task panicked, even if it was joined: see [`Builder::allow_panics`],
    /// - if all tasks wait and no timer is set,
    /// - if 60 s of real time were not enough,
    /// - if called inside another runtime.
    #[track_caller]
    pub fn run<F, Fut>(body: F) -> Fut::Output
    where
        F: FnOnce(World) -> Fut,
        Fut: Future,
    {
        Self::builder().run(body)
    }

    /// A world with limits of its own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The number from which the test takes all that is random in it.
    ///
    /// It is a fresh one in each run, unless the environment variable `EVENKEEL_SEED` or [`Builder::seed`]
    /// sets it. A test that has asked for it and then fails prints it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.get()
    }

    /// The virtual time since the world began.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits until no other task can run, and only timers and I/O remain; the clock stands still.
    ///
    /// # Cancel safety
    ///
    /// It has no effect but the wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::World;
    /// use std::time::Duration;
    /// use tokio::{sync::mpsc, time::sleep};
    ///
    /// World::run(async |world| {
    ///     let (tx, rx) = mpsc::channel(100);
    ///     tokio::spawn(async move {
    ///         for _ in 0..10 {
    ///             tx.send(()).await.unwrap();
    ///             tokio::task::yield_now().await;
    ///         }
    ///         sleep(Duration::from_secs(1)).await;
    ///     });
    ///     world.settle().await;
    ///     assert_eq!((rx.len(), world.elapsed()), (10, Duration::ZERO));
    /// });
    /// ```
    pub async fn settle(&self) {
        self.idle.settle().await;
    }

    /// Lets what is left to run come to its end.
    pub(crate) async fn drain(&self) {
        sleep(DRAIN).await;
        self.settle().await;
    }
}
