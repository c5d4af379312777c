//! What happens in a world when its runtime has nothing to run.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
    time::Duration,
};

use evenkeel_base::lock;

use super::{Clock, busy_time::BusyTime, quiescence::Quiescence, settle::SettleWaiters};
use crate::wall_clock;

/// How often a runtime whose clock is held looks for news.
const NAP: Duration = Duration::from_micros(200);

/// Told by the runtime when it parks; keeps the clock from moving when it must not.
///
/// A runtime moves its paused clock when it parks. One whose root is woken while it is about to does not:
/// it only asks for news.
#[derive(Debug)]
pub(super) struct ParkHooks {
    idle: SettleWaiters,
    busy: BusyTime,
    quiet: Option<Quiescence>,
    holds: AtomicUsize,
    root: Mutex<Option<Arc<Waker>>>,
    root_polls: AtomicU64,
}

impl ParkHooks {
    pub(super) fn new(clock: Clock) -> Self {
        let quiet = match clock {
            Clock::Quiet(length) => Some(Quiescence::new(length)),
            Clock::Exact | Clock::Real => None,
        };
        ParkHooks {
            idle: SettleWaiters::default(),
            busy: BusyTime::default(),
            quiet,
            holds: AtomicUsize::new(0),
            root: Mutex::default(),
            root_polls: AtomicU64::new(0),
        }
    }

    /// The runtime has nothing to run, and is about to park.
    pub(super) fn parks(&self) {
        self.busy.ends();
        if let Some(nap) = self.quiet.as_ref().and_then(|quiet| quiet.nap(self.root_polls())) {
            return self.stay(nap);
        }
        self.idle.reached();
        if self.holds.load(Ordering::Relaxed) > 0 {
            self.stay(NAP);
        }
    }

    /// The runtime has parked.
    pub(super) fn unparked(&self) {
        if let Some(quiet) = &self.quiet {
            quiet.unparked(self.root_polls());
        }
        self.busy.begins();
    }

    /// Waits a little, and then asks for news without moving the clock.
    fn stay(&self, nap: Duration) {
        let root = lock(&self.root).clone();
        if let Some(root) = root {
            wall_clock::sleep(nap);
            root.wake_by_ref();
        }
    }

    pub(super) async fn settle(&self) {
        self.idle.settle().await;
    }

    pub(super) fn hold(self: &Arc<Self>) -> Hold {
        self.holds.fetch_add(1, Ordering::Relaxed);
        Hold(self.clone())
    }

    /// The root runs from now on until the guard is dropped.
    pub(super) fn attend(self: &Arc<Self>, root: Waker) -> Attended {
        let old = lock(&self.root).replace(Arc::new(root));
        drop(old);
        self.busy.begins();
        Attended(self.clone())
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

/// While it lives, the runtime has a root to wake.
///
/// The wakers keep the runtime alive, and the runtime its hooks: they must not stay.
#[derive(Debug)]
pub(super) struct Attended(Arc<ParkHooks>);

impl Drop for Attended {
    fn drop(&mut self) {
        self.0.busy.ends();
        let root = lock(&self.0.root).take();
        drop(root);
        self.0.idle.reached();
    }
}

/// While it lives, the clock of its world stands still: see [`World::hold`](crate::World::hold).
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

/// The waker of the body of a test, which tells its wakes from those of the root around it.
#[derive(Debug)]
pub(super) struct BodyWaker {
    woken: AtomicBool,
    root: Waker,
}

impl BodyWaker {
    pub(super) fn new(root: Waker) -> Arc<Self> {
        Arc::new(BodyWaker { woken: AtomicBool::new(true), root })
    }

    /// Whether it was woken since the last time that this was asked.
    pub(super) fn was_woken(&self) -> bool {
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
