//! The limit of real time: one thread for all worlds of the process.
//!
//! # How it works
//!
//! [`arm`] registers a world with its deadline. The thread sleeps until the earliest deadline. When one has passed, it
//! sets the world's `expired` flag and wakes its root future, which panics; and it gives the world a grace period. If
//! that passes, too, the world's thread is blocked, and the process is aborted with a message. Wakers are called
//! without the lock. A new deadline wakes the thread only if it is earlier than the one for which it sleeps: most
//! worlds end long before.

use std::{
    io::Write,
    sync::{
        Arc, Condvar, Mutex, Once, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
    thread,
    time::{Duration, Instant},
};

use evenkeel_base::lock;

use crate::wall_clock;

/// The time that an expired world gets to panic before the process is aborted.
///
/// On a busy machine its thread may not be scheduled at once.
const GRACE: Duration = Duration::from_secs(2);

/// Longer limits are capped: they mean no limit.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

static WATCHDOG: Watchdog =
    Watchdog { state: Mutex::new(State { watched: Vec::new(), wakes_at: None }), changed: Condvar::new() };

/// Fails the world if the guard still lives after `limit` of real time.
pub(crate) fn arm(limit: Duration) -> WatchGuard {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::Builder::new()
            .name("evenkeel-watchdog".to_owned())
            .spawn(|| WATCHDOG.run())
            .expect("the system can start the watchdog thread");
    });
    let world = Arc::new(Watched {
        limit,
        thread: thread::current().name().unwrap_or("unnamed").to_owned(),
        expired: AtomicBool::new(false),
        root: Mutex::new(None),
    });
    let due = wall_clock::now() + limit.min(YEAR);
    let mut state = lock(&WATCHDOG.state);
    state.watched.push((due, world.clone()));
    if state.wakes_at.is_none_or(|wakes_at| due < wakes_at) {
        state.wakes_at = Some(due);
        WATCHDOG.changed.notify_one();
    }
    WatchGuard(world)
}

/// A world, or a sequence of worlds, with a limit; dropping it removes the limit.
#[derive(Debug)]
pub(crate) struct WatchGuard(Arc<Watched>);

impl WatchGuard {
    /// Sets the waker to call at the limit: that of the root future of the current world.
    pub(crate) fn set_root(&self, root: Waker) {
        let old = lock(&self.0.root).replace(Arc::new(root));
        drop(old);
    }

    /// The limit, if it has passed.
    pub(crate) fn expired(&self) -> Option<Duration> {
        self.0.expired.load(Ordering::Acquire).then_some(self.0.limit)
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        lock(&WATCHDOG.state).watched.retain(|(_, world)| !Arc::ptr_eq(world, &self.0));
    }
}

#[derive(Debug)]
struct Watched {
    limit: Duration,
    thread: String,
    expired: AtomicBool,
    root: Mutex<Option<Arc<Waker>>>,
}

impl Watched {
    /// Asks the world to panic; the second time, aborts the process.
    fn expire(&self) {
        if self.expired.swap(true, Ordering::AcqRel) {
            // Directly to the stream: output of the print macros may be captured, and lost.
            let _ = writeln!(
                std::io::stderr(),
                "\nthe world of test '{}' is not over after {:?} of real time, and its thread is blocked: something \
                 in it never comes to its next await. Aborting the process.",
                self.thread,
                self.limit,
            );
            std::process::abort();
        }
        let root = lock(&self.root).clone();
        if let Some(root) = root {
            root.wake_by_ref();
        }
    }
}

#[derive(Debug)]
struct Watchdog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    watched: Vec<(Instant, Arc<Watched>)>,
    wakes_at: Option<Instant>,
}

impl Watchdog {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = wall_clock::now();
            let mut over = Vec::new();
            for (due, world) in state.watched.iter_mut().filter(|(due, _)| *due <= now) {
                over.push(world.clone());
                *due = now + GRACE;
            }
            if !over.is_empty() {
                // Without the lock: it calls wakers.
                drop(state);
                over.iter().for_each(|world| world.expire());
                state = lock(&self.state);
            }
            // Under the same lock as the wait: `arm` sees for how long this thread sleeps.
            state.wakes_at = state.watched.iter().map(|(due, _)| *due).min();
            state = match state.wakes_at {
                Some(due) => {
                    let waited = self.changed.wait_timeout(state, due - now);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
