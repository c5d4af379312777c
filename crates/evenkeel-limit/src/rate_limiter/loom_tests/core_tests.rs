//! The core, with timers that fire while they are started, and wakers that take the lock.
//!
//! The model runs the core itself, with a lock at which threads are switched, and timers that fire in every order with the
//! threads that start them.

use std::{
    sync::{Arc, Weak},
    task::{Poll, Wake, Waker},
    time::Duration,
};

use ::loom::thread::{self, Thread};
use tokio::{
    runtime::{Builder, Runtime},
    time::advance,
};

use super::{
    core::{Config, Core, Request},
    model,
    timer::fire,
};
use crate::{
    error::Denied,
    rate::Rate,
    sync::{
        edges::{CallPlace, Title},
        entry::Stage,
    },
};

const HOUR: Duration = Duration::from_secs(3600);
const ONE: Request = Request { permits: 1, deadline: None, bounded: true, call: CallPlace::here() };

/// Words of stack for a thread that drives a runtime.
const STACK: usize = 1 << 16;

/// Looks at the limiter when it is woken, and when it is dropped.
struct LooksBack(Weak<Core>, Option<Thread>);

impl LooksBack {
    fn look(&self) {
        if let Some(core) = self.0.upgrade() {
            assert!(core.snapshot().waiting <= 2);
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

fn waker(core: &Arc<Core>, thread: Option<Thread>) -> Waker {
    Arc::new(LooksBack(Arc::downgrade(core), thread)).into()
}

/// Polls a request for one permit for the first time, as its future does.
fn enter(core: &Arc<Core>, waker: &Waker, stage: &mut Stage) -> Poll<Result<(), Denied>> {
    match core.take_one() {
        Ok(()) => Poll::Ready(Ok(())),
        Err(waits) => core.enter(ONE, waits, waker, stage),
    }
}

fn waits(core: &Arc<Core>) {
    let waker = waker(core, Some(thread::current()));
    let mut stage = Stage::New;
    let _entered = enter(core, &waker, &mut stage);
    while let Stage::Queued(key) = stage
        && core.poll(key, &waker, &mut stage).is_pending()
    {
        thread::park();
    }
}

/// Leaves the queue, or puts the permit back.
fn leaves(core: &Arc<Core>) {
    let mut stage = Stage::New;
    match (enter(core, &waker(core, None), &mut stage), stage) {
        (Poll::Pending, Stage::Queued(key)) => core.leave(key),
        (Poll::Ready(Ok(())), _) => core.with(|state| state.algorithm.as_mut().unwrap().refund(1)),
        (poll, stage) => panic!("{poll:?} in {stage:?}"),
    }
}

/// Lets an hour pass for a limiter that has a permit in an hour.
fn an_hour_passes(actors: &'static [fn(&Arc<Core>)]) {
    let runtime = Arc::new(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap());
    let _entered = runtime.enter();
    let shared: Arc<Runtime> = Arc::clone(&runtime);
    model(move || {
        let config = Config {
            burst: None,
            start_empty: true,
            sliding: false,
            fast: false,
            cpu: false,
            debt: false,
            max_waiters: usize::MAX,
            max_pause: HOUR,
            title: Title::new(CallPlace::here()),
        };
        let core = Core::new(Some(Rate::every(HOUR)), config);
        let threads: Vec<_> = actors
            .iter()
            .map(|actor| {
                let core = Arc::clone(&core);
                let actor = move || actor(&core);
                thread::Builder::new().stack_size(STACK).spawn(actor).unwrap()
            })
            .collect();
        // The clock is not loom's. This call tells loom that its order with the other threads matters.
        let _before = core.snapshot();
        shared.block_on(advance(HOUR));
        fire();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(core.snapshot().waiting, 0);
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
