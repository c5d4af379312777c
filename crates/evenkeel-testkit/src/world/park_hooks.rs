//! The hooks that the runtime of a world calls when it parks, and the guard that holds its clock.
//!
//! # How it works
//!
//! A current-thread runtime with a paused clock moves the clock when it parks: all tasks wait, so it jumps to the next
//! timer. `on_thread_park` runs just before. If the root future is woken there, the runtime does not move the clock:
//! it polls its driver without waiting, and runs on. That is how the clock is kept still, under [`Clock::Quiet`] and
//! while a [`Hold`] lives: sleep for a moment of real time, then wake the root ([`ParkHooks::keep_clock`]).
//!
//! A park without such a reason means that only timers and I/O remain: `World::settle` returns, and the span of
//! computing that [`BusyTime`] measures ends.
//!
//! The root's own waker is stored only while the root runs: a waker keeps the runtime alive, the runtime keeps its
//! hooks, and they would keep each other.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

use evenkeel_base::lock;
use tokio::sync::Notify;

use super::{
    busy_time::BusyTime, clock::Clock, findings::Findings, quiescence::Quiescence, recording::Recording,
};
use crate::wall_clock;

/// The real time between two looks for events while the clock is held.
const HOLD_POLL_INTERVAL: Duration = Duration::from_micros(200);

/// The state of the hooks of one runtime.
#[derive(Debug)]
pub(super) struct ParkHooks {
    /// Notified each time that the runtime is idle.
    idle: Notify,
    busy: BusyTime,
    quiescence: Option<Quiescence>,
    holds: AtomicUsize,
    root: Mutex<Option<Arc<Waker>>>,
    root_polls: AtomicU64,
    recording: Recording,
    pub(super) findings: Findings,
}

impl ParkHooks {
    pub(super) fn new(clock: Clock, recording: Recording) -> Self {
        let quiescence = match clock {
            Clock::Quiet(length) => Some(Quiescence::new(length)),
            Clock::Exact | Clock::Real => None,
        };
        ParkHooks {
            idle: Notify::new(),
            busy: BusyTime::default(),
            quiescence,
            holds: AtomicUsize::new(0),
            root: Mutex::default(),
            root_polls: AtomicU64::new(0),
            recording,
            findings: Default::default(),
        }
    }

    /// Called when the runtime has nothing to run, and is about to park.
    pub(super) fn before_park(&self) {
        self.busy.stop();
        let still_needed =
            self.quiescence.as_ref().and_then(|quiescence| quiescence.next_nap(self.root_polls()));
        if let Some(nap) = still_needed {
            return self.keep_clock(nap);
        }
        self.recording.look();
        self.idle.notify_waiters();
        if self.holds.load(Ordering::Relaxed) > 0 {
            self.keep_clock(HOLD_POLL_INTERVAL);
        }
    }

    /// Called when the runtime has parked. Where the clock has moved, nothing has run since.
    pub(super) fn after_park(&self) {
        self.findings.look();
        if let Some(quiescence) = &self.quiescence {
            quiescence.unparked(self.root_polls());
        }
        self.busy.start();
    }

    /// Sleeps for a moment, and wakes the root so that this park does not move the clock.
    fn keep_clock(&self, nap: Duration) {
        let root = lock(&self.root).clone();
        if let Some(root) = root {
            wall_clock::sleep(nap);
            root.wake_by_ref();
        }
    }

    /// Waits until the runtime is idle the next time.
    pub(super) async fn settle(&self) {
        self.idle.notified().await;
    }

    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(self.clone())
    }

    /// Stores the waker of the root until the guard is dropped.
    pub(super) fn root_starts(self: &Arc<Self>, root: Waker) -> RootGuard {
        let old = lock(&self.root).replace(Arc::new(root));
        drop(old);
        self.busy.start();
        RootGuard(self.clone())
    }

    pub(super) fn root_polled(&self) {
        self.root_polls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn root_polls(&self) -> u64 {
        self.root_polls.load(Ordering::Relaxed)
    }

    pub(super) fn max_busy(&self) -> Duration {
        self.busy.longest()
    }
}

/// Drops the waker of the root when the root ends.
#[derive(Debug)]
pub(super) struct RootGuard(Arc<ParkHooks>);

impl Drop for RootGuard {
    fn drop(&mut self) {
        self.0.busy.stop();
        let root = lock(&self.0.root).take();
        drop(root);
        self.0.idle.notify_waiters();
    }
}

/// A guard that stops the clock of its world while it lives: see [`World::hold`](crate::World::hold).
///
/// # Examples
///
/// ```
/// use evenkeel_testkit::{Hold, World, assert_took};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// World::run(async |world| {
///     let held: Hold = world.hold();
///     let sleeping = tokio::spawn(sleep(Duration::from_millis(1)));
///     world.settle().await;
///     assert!(!sleeping.is_finished());
///     drop(held);
///     assert_took!(async { sleeping.await.unwrap() }, Duration::from_millis(1));
/// });
/// ```
#[derive(Debug)]
#[must_use = "the clock moves again when it is dropped"]
pub struct Hold(Arc<ParkHooks>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.holds.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The waker of the test body: it tells wakes of the body from wakes of the root around it.
#[derive(Debug)]
pub(super) struct BodyWaker {
    woken: AtomicBool,
    root: Waker,
}

impl BodyWaker {
    pub(super) fn new(root: Waker) -> Arc<Self> {
        Arc::new(BodyWaker { woken: AtomicBool::new(true), root })
    }

    /// Returns whether it was woken since the last call.
    pub(super) fn take_woken(&self) -> bool {
        self.woken.swap(false, Ordering::AcqRel)
    }
}

impl Wake for BodyWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.root.wake_by_ref();
    }
}
