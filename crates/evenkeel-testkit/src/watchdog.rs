//! The wall-clock limit: one thread for all worlds of the process.

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

/// How long an expired world may take to end by itself before the process is aborted.
///
/// On a busy machine it may be long before its thread runs at all.
const GRACE: Duration = Duration::from_secs(2);

/// A longer limit is none.
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

static WATCHDOG: Watchdog =
    Watchdog { state: Mutex::new(State { watched: Vec::new(), wakes_at: None }), changed: Condvar::new() };

/// Ends a world that is not over after `limit` of real time.
pub(crate) fn arm(limit: Duration) -> Watch {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        thread::Builder::new()
            .name("evenkeel-watchdog".to_owned())
            .spawn(|| WATCHDOG.patrol())
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
    // Most worlds end long before the watchdog would wake: only an earlier limit is worth a wake-up.
    if state.wakes_at.is_none_or(|wakes_at| due < wakes_at) {
        state.wakes_at = Some(due);
        WATCHDOG.changed.notify_one();
    }
    Watch(world)
}

/// A world, or a row of worlds, under the watchdog; dropping it calls the dog off.
#[derive(Debug)]
pub(crate) struct Watch(Arc<Watched>);

impl Watch {
    /// Says whom to wake when the time is up: the root future of the present world.
    pub(crate) fn attend(&self, root: Waker) {
        let old = lock(&self.0.root).replace(Arc::new(root));
        drop(old);
    }

    /// The limit, if it is past.
    pub(crate) fn expired(&self) -> Option<Duration> {
        self.0.expired.load(Ordering::Acquire).then_some(self.0.limit)
    }
}

impl Drop for Watch {
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
    /// Asks the world to fail by itself; the second time, ends the process.
    fn bark(&self) {
        if self.expired.swap(true, Ordering::AcqRel) {
            // Straight to the stream: what the print macros write on this thread may be captured and lost.
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
    fn patrol(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = wall_clock::now();
            let mut over = Vec::new();
            for (due, world) in state.watched.iter_mut().filter(|(due, _)| *due <= now) {
                over.push(world.clone());
                *due = now + GRACE;
            }
            if !over.is_empty() {
                // Not under the lock: it wakes them.
                drop(state);
                over.iter().for_each(|world| world.bark());
                state = lock(&self.state);
            }
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
