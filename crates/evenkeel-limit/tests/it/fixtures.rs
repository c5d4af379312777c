//! Futures polled by hand, with counters of their polls and wakes.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use evenkeel_testkit::waker::{WakerEvent, with_hook};

/// The numbers of polls and wakes.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    polls: AtomicUsize,
    wakes: AtomicUsize,
}

impl Counts {
    pub(crate) fn polls(&self) -> usize {
        self.polls.load(Relaxed)
    }

    pub(crate) fn wakes(&self) -> usize {
        self.wakes.load(Relaxed)
    }
}

/// Counts the polls of `future`, and the calls of its wakers.
pub(crate) fn counted<F: Future>(
    future: F,
    counts: &Arc<Counts>,
) -> impl Future<Output = F::Output> + use<F> {
    let counts = Arc::clone(counts);
    async move {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| {
            counts.polls.fetch_add(1, Relaxed);
            let waker = Arc::new(Counting { counts: Arc::clone(&counts), waker: cx.waker().clone() }).into();
            future.as_mut().poll(&mut Context::from_waker(&waker))
        })
        .await
    }
}

/// A future that is polled by hand.
#[derive(Debug)]
pub(crate) struct ByHand<F> {
    future: Pin<Box<F>>,
    counts: Arc<Counts>,
}

impl<F: Future> ByHand<F> {
    pub(crate) fn new(future: F) -> Self {
        Self { future: Box::pin(future), counts: Arc::default() }
    }

    /// Returns a future that was polled once, and is pending.
    pub(crate) fn queued(future: F) -> Self {
        let mut by_hand = Self::new(future);
        assert!(by_hand.poll().is_pending());
        by_hand
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker =
            Arc::new(Counting { counts: Arc::clone(&self.counts), waker: Waker::noop().clone() }).into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    pub(crate) fn wakes(&self) -> usize {
        self.counts.wakes()
    }
}

/// Returns a waker that calls `wake`.
pub(crate) fn waker(wake: impl Fn() + Send + Sync + 'static) -> Waker {
    with_hook(move |event| {
        if event == WakerEvent::Wake {
            wake();
        }
    })
}

struct Counting {
    counts: Arc<Counts>,
    waker: Waker,
}

impl Wake for Counting {
    fn wake(self: Arc<Self>) {
        self.counts.wakes.fetch_add(1, Relaxed);
        self.waker.wake_by_ref();
    }
}
