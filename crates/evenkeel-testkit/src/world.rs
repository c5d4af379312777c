//! `World`: the handle of a test to its runtime.

// file           | holds
// builder.rs     | `WorldBuilder`, `World::run`: the settings, and the checks at the end
// runtime.rs     | the runtime, the future at its root, the time to finish
// park_hooks.rs  | how the clock is kept still: `Hold`, `World::settle`; quiescence.rs, busy_time.rs measure
// recording.rs   | the recorder of its timeline, behind the feature `timeline`
// findings.rs    | the findings of evenkeel-inspect, in the file that `EVENKEEL_FINDINGS` names, behind the feature `inspect`
// current.rs     | `World::current`: the world of the thread
// clock.rs, report.rs, seed.rs, child_processes.rs | settings and messages

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use self::{
    clock::Clock,
    park_hooks::{Hold, ParkHooks},
    seed::Seed,
};
use crate::Record;

pub(crate) mod builder;
mod busy_time;
mod child_processes;
pub(crate) mod clock;
mod current;
mod findings;
pub(crate) mod park_hooks;
mod quiescence;
pub(crate) mod recording;
pub(crate) mod report;
pub(crate) mod runtime;
pub(crate) mod seed;

/// A fresh, paused, current-thread runtime for one test, and its handle.
///
/// Its clock stands still while anything can run, and then jumps to the next timer: sleeping costs no real
/// time, and durations are exact. `tokio::spawn` and `tokio::task::spawn_local` both work.
///
/// When the body of the test has ended, other tasks get an hour of virtual time to finish; then the world checks
/// that no task is alive, and that no task panicked. A world whose tasks all wait, with no timer set, is a deadlock:
/// it panics at once. One that takes 60 s of real time panics too, or, if its thread is blocked, aborts the process
/// with a message. One whose thread computes for 2 s without parking fails, too.
/// [`WorldBuilder`](crate::WorldBuilder) changes these limits, and sets another [`Clock`].
///
/// There is no method that steps to the next timer. Tokio's clock also stops where its timer wheel only sorts timers,
/// at 64 ms on the way to 100 ms, and nothing public tells such a stop from the next timer. For an exact step, `sleep`
/// until a time that the test knows, and call [`settle`](World::settle).
///
/// # Limits
///
/// - Threads with their own runtime are not part of the world: their tasks are not counted, their panics are not noted,
///   and their timers run in real time. [`Clock::Quiet`] waits for their answers.
/// - Child processes are not part of it, either. If a world fails at a deadlock or at its limit of real time while the
///   test has child processes, the message says how many, on Linux.
/// - `tokio::select!` without `biased;` takes a random branch, and the order of a `HashMap` differs in each run: no
///   [`seed`](World::seed) reaches them. A test that has to be replayed says `biased;`, and uses a `BTreeMap` or a hasher
///   with a seed. The message with the seed of a failed test says so, too.
///
/// # Why not just use `#[tokio::test(start_paused = true)]`?
///
/// It has the same clock and the same scheduler, and no checks: a test passes while its tasks leak, while
/// they panic unseen, and it hangs forever when two of them wait for each other.
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
    clock: Clock,
    seed: Arc<Seed>,
    park_hooks: Arc<ParkHooks>,
    record: Record,
    drains_until: Arc<Mutex<Option<Instant>>>,
}

impl World {
    /// The seed for everything random in the test.
    ///
    /// The random numbers of Evenkeel's crates on the thread of the world are drawn from it: the jitter of retries, of pools
    /// and of pipelines, and idempotency keys.
    ///
    /// It is fresh in each run, unless the environment variable `EVENKEEL_SEED` or
    /// [`WorldBuilder::seed`](crate::WorldBuilder::seed) sets it. A test that has used it and then fails prints it.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.seed.get()
    }

    /// The virtual time since the world started.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The record for notes of the test and its mocks, with their virtual time; it starts with the world.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Stops the clock until the guard is dropped: no timeout fires while other threads work.
    ///
    /// Tasks still run. A world that is held at the end of its body ends only after the guard is dropped.
    ///
    /// # Panics
    ///
    /// Under [`Clock::Real`], which cannot be stopped.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel_testkit::World;
    /// use std::time::Duration;
    /// use tokio::{sync::oneshot, time::timeout};
    ///
    /// World::run(async |world| {
    ///     let (answer, answered) = oneshot::channel();
    ///     std::thread::spawn(move || answer.send(42));
    ///     let held = world.hold();
    ///     let answered = timeout(Duration::from_millis(1), answered).await;
    ///     assert_eq!(answered, Ok(Ok(42)));
    ///     drop(held);
    /// });
    /// ```
    #[track_caller]
    pub fn hold(&self) -> Hold {
        assert!(self.clock != Clock::Real, "the real clock cannot be held");
        self.park_hooks.hold()
    }

    /// Waits until no other task can run, and only timers and I/O remain; the clock stands still.
    ///
    /// Under [`Clock::Quiet`] it also waits until nothing has come from outside for that long.
    ///
    /// # Cancel safety
    ///
    /// Dropping it has no effect.
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
        self.park_hooks.settle().await;
    }
}
