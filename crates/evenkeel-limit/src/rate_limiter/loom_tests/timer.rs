//! A timer that fires when a test calls [`fire`], in every order with the thread that starts it.

use std::{
    sync::{Arc, Weak},
    task::Waker,
    time::Duration,
};

use ::loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering::AcqRel},
};
use tokio::runtime::Handle;

::loom::lazy_static! {
    static ref CLOCK: Mutex<Clock> = Mutex::new(Clock { is_due: false, running: Vec::new() });
}

struct Clock {
    /// Whether the next timer is due before it is running.
    is_due: bool,
    running: Vec<Weak<Running>>,
}

#[derive(Debug)]
pub(super) struct Timer(Arc<Running>);

#[derive(Debug)]
struct Running {
    has_fired: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Timer {
    /// Calls the waker here if it fires meanwhile, as tokio's timer does.
    pub(super) fn start(_runtime: &Handle, _wait: Duration, waker: &Waker) -> Option<Self> {
        let running = Arc::new(Running { has_fired: AtomicBool::new(false), waker: Mutex::new(None) });
        let is_due = {
            let mut clock = CLOCK.lock().unwrap();
            clock.running.push(Arc::downgrade(&running));
            std::mem::take(&mut clock.is_due)
        };
        let waker = waker.clone();
        *running.waker.lock().unwrap() = Some(waker);
        if is_due || running.has_fired.load(std::sync::atomic::Ordering::Acquire) {
            running.fire();
        }
        Some(Self(running))
    }

    pub(super) fn has_fired(&self) -> bool {
        self.0.has_fired.load(std::sync::atomic::Ordering::Acquire)
    }
}

impl Running {
    fn fire(&self) {
        self.has_fired.swap(true, AcqRel);
        let waker = self.waker.lock().unwrap().take();
        waker.into_iter().for_each(Waker::wake);
    }
}

/// Fires all timers that are running; if there are none, the next one.
pub(super) fn fire() {
    let running: Vec<_> = {
        let mut clock = CLOCK.lock().unwrap();
        let running: Vec<_> = clock.running.drain(..).filter_map(|timer| timer.upgrade()).collect();
        clock.is_due = running.is_empty();
        running
    };
    running.iter().for_each(|timer| timer.fire());
}
