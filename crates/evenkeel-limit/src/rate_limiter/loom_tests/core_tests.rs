//! Timers that fire while they are started, and wakers that take the lock.
//!
//! The model runs the turnstile itself, with a lock whose users are switched, and timers that fire in every order with
//! the threads that start them.

use std::{
    sync::{Arc, Weak},
    task::{Wake, Waker},
    time::Duration,
};

use ::loom::thread::{self, Thread};
use tokio::{
    runtime::{Builder, Runtime},
    time::advance,
};

use super::{
    core::{Request, Terms, Turnstile},
    model,
    timer::fire,
};
use crate::rate::Rate;

const HOUR: Duration = Duration::from_secs(3600);
const ONE: Request = Request { permits: 1, deadline: None, bounded: true };

/// Words for the stack of a thread that drives a runtime.
const STACK: usize = 1 << 16;

/// Looks at the limiter when it is woken, and when it is dropped.
struct LooksBack(Weak<Turnstile>, Option<Thread>);

impl LooksBack {
    fn look(&self) {
        if let Some(turnstile) = self.0.upgrade() {
            assert!(turnstile.snapshot().waiting <= 2);
        }
    }
}

impl Wake for LooksBack {
    fn wake(self: Arc<Self>) {
        self.look();
        self.1.iter().for_each(Thread::unpark);
    }
}

impl Drop for LooksBack {
    fn drop(&mut self) {
        self.look();
    }
}

fn waker(turnstile: &Arc<Turnstile>, thread: Option<Thread>) -> Waker {
    Arc::new(LooksBack(Arc::downgrade(turnstile), thread)).into()
}

fn waits(turnstile: &Arc<Turnstile>) {
    let waker = waker(turnstile, Some(thread::current()));
    let Some(key) = turnstile.enter(ONE, &waker).unwrap() else { return };
    while turnstile.poll(key, &waker).is_pending() {
        thread::park();
    }
}

/// Gives back what it got, if anything.
fn leaves(turnstile: &Arc<Turnstile>) {
    match turnstile.enter(ONE, &waker(turnstile, None)).unwrap() {
        Some(key) => turnstile.leave(key),
        None => turnstile.refund(1),
    }
}

/// One limiter that has a permit in an hour, and an hour that passes.
fn an_hour_passes(actors: &'static [fn(&Arc<Turnstile>)]) {
    let runtime = Arc::new(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap());
    let _entered = runtime.enter();
    let shared: Arc<Runtime> = Arc::clone(&runtime);
    model(move || {
        let terms = Terms {
            burst: None,
            start_empty: true,
            sliding: false,
            fast: false,
            debt: false,
            max_waiters: usize::MAX,
            max_pause: HOUR,
        };
        let turnstile = Turnstile::new(Some(Rate::every(HOUR)), terms);
        let threads: Vec<_> = actors
            .iter()
            .map(|actor| {
                let turnstile = Arc::clone(&turnstile);
                let actor = move || actor(&turnstile);
                thread::Builder::new().stack_size(STACK).spawn(actor).unwrap()
            })
            .collect();
        // The clock is not loom's: by this it knows that the order matters.
        let _before = turnstile.snapshot();
        shared.block_on(advance(HOUR));
        fire();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(turnstile.snapshot().waiting, 0);
    });
}

#[test]
fn a_timer_may_fire_while_it_is_started() {
    an_hour_passes(&[waits]);
}

#[test]
fn nobody_is_forgotten_when_another_leaves_meanwhile() {
    an_hour_passes(&[waits, leaves]);
}
