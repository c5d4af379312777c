//! Futures that wait: their memory, and the cost to begin a wait with a deadline and to give it up.

use std::{
    cell::LazyCell,
    pin::Pin,
    sync::Arc,
    task::{Context, Waker},
};

use tokio::runtime::{Builder, Runtime};

use crate::row::{Metric, Row};

/// The number of waiters alive together.
const WAITERS: u64 = 1000;

/// Measures the heap of a future that waits, with its place in the queue and its timers.
pub(super) fn memory(id: &str) -> Row {
    Row::new(id, Metric::Bytes).fixed(100_000)
}

/// Measures waits that begin and are given up, a thousand at a time.
pub(super) fn cost(id: &str) -> Row {
    Row::new(id, Metric::Cpu)
}

/// Work for [`memory`]: `wait` returns a future that is pending, on a limiter or pool that `make` has used up.
pub(super) fn kept<M, F>(make: fn() -> M, wait: fn(Arc<M::Output>) -> F) -> impl FnMut(u64) -> Kept<F>
where
    M: Future,
    F: Future,
{
    move |n| {
        let runtime = runtime();
        let shared = runtime.block_on(async { Arc::new(make().await) });
        let futures = pending(&runtime, n, &shared, wait);
        Kept { _futures: futures, _runtime: runtime }
    }
}

/// Work for [`cost`].
pub(super) fn given_up<M, F>(make: fn() -> M, wait: fn(Arc<M::Output>) -> F) -> impl FnMut(u64)
where
    M: Future,
    F: Future,
{
    given_up_by(WAITERS, make, wait)
}

/// As [`given_up`], by this number of waiters together.
pub(super) fn given_up_by<M, F>(
    waiters: u64,
    make: fn() -> M,
    wait: fn(Arc<M::Output>) -> F,
) -> impl FnMut(u64)
where
    M: Future,
    F: Future,
{
    let shared = LazyCell::new(move || {
        let runtime = runtime();
        let shared = runtime.block_on(async { Arc::new(make().await) });
        (shared, runtime)
    });
    move |n| {
        let (shared, runtime) = &*shared;
        let mut left = n;
        while left > 0 {
            let batch = left.min(waiters);
            drop(pending(runtime, batch, shared, wait));
            left -= batch;
        }
    }
}

/// Pending futures and their runtime, which is dropped after them.
pub(super) struct Kept<F> {
    _futures: Vec<Pin<Box<F>>>,
    _runtime: Runtime,
}

fn pending<L, F: Future>(
    runtime: &Runtime,
    n: u64,
    shared: &Arc<L>,
    wait: fn(Arc<L>) -> F,
) -> Vec<Pin<Box<F>>> {
    let _entered = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    let mut futures = Vec::with_capacity(n as usize);
    for _ in 0..n {
        let mut future = Box::pin(wait(Arc::clone(shared)));
        assert!(future.as_mut().poll(&mut cx).is_pending(), "a waiter that need not wait");
        futures.push(future);
    }
    futures
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime for a benchmark")
}
