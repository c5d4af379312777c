//! Waiters that come, wait, leave and are served.
//!
//! A call that does its work under a lock is one step. So the limiters themselves are tested, and threads switch between
//! their calls.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use ::loom::{
    model,
    sync::atomic::{AtomicUsize, Ordering::AcqRel},
    thread::{self, Thread},
};
use tokio::{
    runtime::{Builder, Runtime},
    time::advance,
};

use crate::{ConcurrencyLimiter, Rate, RateLimiter, Reason};

const HOUR: Duration = Duration::from_secs(3600);

/// Words of stack for a thread that drives a runtime.
const STACK: usize = 1 << 16;

/// A limiter, and a word that every step writes, so that loom tries every order of the steps.
struct Shared<L> {
    limiter: L,
    steps: AtomicUsize,
    runtime: Arc<Runtime>,
}

impl<L> Shared<L> {
    /// Returns the limiter for one call.
    fn step(&self) -> &L {
        self.steps.fetch_add(1, AcqRel);
        &self.limiter
    }

    /// Polls a future each time that it is woken, until it is ready.
    fn wait<F: Future + Unpin>(&self, mut future: F) -> F::Output {
        let waker = Waker::from(Arc::new(Parked(thread::current())));
        loop {
            self.step();
            match Pin::new(&mut future).poll(&mut Context::from_waker(&waker)) {
                Poll::Ready(output) => return output,
                Poll::Pending => thread::park(),
            }
        }
    }

    /// Polls a future once, drops it a step later, and returns whether it was ready.
    fn poll_and_leave<F: Future + Unpin>(&self, mut future: F) -> bool {
        self.step();
        let poll = Pin::new(&mut future).poll(&mut Context::from_waker(Waker::noop()));
        self.step();
        poll.is_ready()
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

type Actor<L> = fn(&Shared<L>);

/// Runs three threads in all orders; loom reports a thread that is never woken as a deadlock.
fn threads<L: Send + Sync + 'static>(
    limiter: impl Fn() -> L + Send + Sync + 'static,
    actors: [Actor<L>; 3],
    check: fn(&L),
) {
    let runtime = Arc::new(Builder::new_current_thread().enable_time().start_paused(true).build().unwrap());
    let _entered = runtime.enter();
    let shared_runtime = Arc::clone(&runtime);
    model(move || {
        let runtime = Arc::clone(&shared_runtime);
        let shared = Arc::new(Shared { limiter: limiter(), steps: AtomicUsize::new(0), runtime });
        // The last thread checks: to join them would be a step as well, and multiply the orders.
        let end = move |shared: Arc<Shared<L>>| {
            if let Some(shared) = Arc::into_inner(shared) {
                check(&shared.limiter);
            }
        };
        for actor in actors {
            let shared = Arc::clone(&shared);
            let thread = move || {
                actor(&shared);
                end(shared);
            };
            thread::Builder::new().stack_size(STACK).spawn(thread).unwrap();
        }
        end(shared);
    });
}

/// Returns a limiter that earns a permit each hour.
fn empty() -> RateLimiter {
    let limiter = RateLimiter::new(Rate::every(HOUR)).burst(2).start_empty();
    let _first_use = limiter.snapshot();
    limiter
}

/// Returns the permits there are, and the number of waiters.
fn left(limiter: &RateLimiter) -> (u32, usize) {
    let snapshot = limiter.snapshot();
    (snapshot.available, snapshot.waiting)
}

fn waits(shared: &Shared<RateLimiter>) {
    assert_eq!(shared.wait(shared.limiter.acquire_many(1)), Ok(()));
}

fn gives_one(shared: &Shared<RateLimiter>) {
    shared.step().refund(1);
}

#[test]
fn whoever_waits_is_woken_for_what_comes_back() {
    let gives_two = |shared: &Shared<RateLimiter>| (0..2).for_each(|_| gives_one(shared));
    threads(empty, [waits, waits, gives_two], |limiter| {
        assert_eq!((left(limiter), limiter.snapshot().granted), ((0, 0), 2));
    });
}

#[test]
fn whoever_waits_is_woken_by_the_clock() {
    let two_hours = |shared: &Shared<RateLimiter>| {
        for _ in 0..2 {
            shared.step();
            shared.runtime.block_on(advance(HOUR));
        }
    };
    threads(empty, [waits, waits, two_hours], |limiter| assert_eq!(left(limiter), (0, 0)));
}

#[test]
fn one_who_leaves_takes_nothing_and_lets_the_next_one_pass() {
    let leaves = |shared: &Shared<RateLimiter>| {
        if shared.poll_and_leave(shared.limiter.acquire_many(1)) {
            shared.limiter.refund(1);
        }
    };
    threads(empty, [leaves, waits, gives_one], |limiter| assert_eq!(left(limiter), (0, 0)));
    let two_leave = |shared: &Shared<RateLimiter>| {
        assert!(!shared.poll_and_leave(shared.limiter.acquire_many(2)), "there is one");
    };
    threads(empty, [two_leave, waits, gives_one], |limiter| assert_eq!(left(limiter), (0, 0)));
}

#[test]
fn one_who_does_not_wait_takes_nothing_from_those_who_do() {
    let tries = |shared: &Shared<RateLimiter>| {
        if shared.step().try_acquire().is_ok() {
            gives_one(shared);
        }
    };
    threads(empty, [tries, waits, gives_one], |limiter| assert_eq!(left(limiter), (0, 0)));
}

#[test]
fn all_are_told_that_it_is_closed() {
    let waits = |shared: &Shared<RateLimiter>| {
        if let Err(denied) = shared.wait(shared.limiter.acquire_many(1)) {
            assert_eq!(denied.reason, Reason::Closed);
        }
    };
    let closes = |shared: &Shared<RateLimiter>| {
        gives_one(shared);
        shared.step().close();
    };
    threads(empty, [waits, waits, closes], |limiter| {
        let snapshot = limiter.snapshot();
        assert_eq!((snapshot.granted + snapshot.refused, snapshot.waiting), (2, 0));
        assert_eq!(snapshot.granted + u64::from(snapshot.available), 1);
    });
}

fn two_at_once() -> ConcurrencyLimiter {
    ConcurrencyLimiter::new(2)
}

fn runs(shared: &Shared<ConcurrencyLimiter>, weight: u32) {
    let permit = shared.wait(shared.limiter.acquire_many(weight)).unwrap();
    assert!((u64::from(weight)..=2).contains(&shared.step().snapshot().in_use));
    drop(permit);
}

fn nothing_is_in_use(limiter: &ConcurrencyLimiter) {
    assert_eq!((limiter.snapshot().in_use, limiter.snapshot().waiting), (0, 0));
}

#[test]
fn never_more_run_than_may_and_the_next_one_is_woken() {
    threads(
        two_at_once,
        [|shared| runs(shared, 2), |shared| runs(shared, 1), |shared| runs(shared, 2)],
        |limiter| {
            nothing_is_in_use(limiter);
            assert_eq!(limiter.snapshot().granted, 3);
        },
    );
}

#[test]
fn one_who_does_not_run_after_all_lets_the_next_one_run() {
    let leaves = |shared: &Shared<ConcurrencyLimiter>| {
        shared.poll_and_leave(shared.limiter.acquire_many(2));
    };
    threads(two_at_once, [leaves, |shared| runs(shared, 2), |shared| runs(shared, 1)], nothing_is_in_use);
}

#[test]
fn the_end_of_all_is_seen() {
    let drains = |shared: &Shared<ConcurrencyLimiter>| shared.wait(shared.limiter.drained());
    threads(two_at_once, [drains, |shared| runs(shared, 2), |shared| runs(shared, 1)], nothing_is_in_use);
}
